// Reads in batches over a node in memory: every place to begin at, every consistency, the wait at
// the end, the bounds, and the stream made of reads.

import { beforeEach, describe, expect, test } from "vitest";
import { GZIP_PACKING } from "../../src/adapters/gzip-packing.ts";
import type { Fault } from "../../src/base/faults.ts";
import type { Instant, NodeId, WallMs } from "../../src/base/ids.ts";
import { millis } from "../../src/base/ids.ts";
import { decodeBatch } from "../../src/base/record-batch.ts";
import type { Batches, BatchSink, ReadRequest } from "../../src/service/batch-reads.ts";
import { Caller } from "../../src/service/caller.ts";
import { DEFAULT_LOG_SERVICE_OPTIONS, LogService } from "../../src/service/log-service.ts";
import { MemoryCluster, MemoryNode } from "./memory-node.ts";

const settle = async () => {
  for (let round = 0; round < 20; round++) await Promise.resolve();
};
const root = () => new Caller("root");
const bytes = (text: string) => new TextEncoder().encode(text);

let now = 0 as Instant;
let cluster: MemoryCluster;
let service: LogService;
let node: MemoryNode;

beforeEach(() => {
  now = 0 as Instant;
  cluster = new MemoryCluster();
  service = new LogService(DEFAULT_LOG_SERVICE_OPTIONS, {
    authorizer: {
      allows: (subject, _object, action) => subject === "root" && action !== "describe",
    },
    clock: { now: () => now, wall: () => 1_700_000_000_000 as WallMs },
    packing: GZIP_PACKING,
    telemetry: { notice: () => {} },
  });
  node = new MemoryNode(cluster, "n1", service);
  cluster.members.push(
    { id: "n1" as NodeId, address: "h:1" },
    { id: "n2" as NodeId, address: "h:2" },
  );
  cluster.leader = "n1" as NodeId;
  service.attach(node);
});

async function append(...texts: string[]): Promise<void> {
  const records = texts.map((text) => ({ value: bytes(text) }));
  const none = {
    gzip: null,
    fencingToken: null,
    producerId: 0,
    epoch: 0,
    sequence: 0,
    expectedEndOffset: null,
  };
  await service.append(root(), { records, ...none });
}

function request(rest: Partial<ReadRequest> = {}): ReadRequest {
  const from = { kind: "earliest" } as const;
  return { from, bytesMax: 0, maxWaitMs: 0, consistency: "local", endOffset: null, ...rest };
}

/** Each batch as its first offset and its values. */
function shown(answer: Batches | { kind: "fault"; fault: Fault }): unknown {
  if (answer.kind === "fault") return answer.fault;
  return answer.batches.map(({ offset, body }) =>
    [offset, ...(decodeBatch(body) ?? []).map(({ value }) => new TextDecoder().decode(value))].join(
      " ",
    ),
  );
}

describe("a read", () => {
  beforeEach(async () => {
    await append("a", "b", "c");
    await append("d");
    await append("e", "f");
  });

  test.each([
    ["the first record", { kind: "earliest" }, ["0 a b c", "3 d", "4 e f"]],
    [
      "an offset, whose batch may begin before it",
      { kind: "offset", offset: 1 },
      ["0 a b c", "3 d", "4 e f"],
    ],
    [
      "a time at or after which there are records",
      { kind: "timestamp", timestampMs: 1_700_000_000_000 },
      ["0 a b c", "3 d", "4 e f"],
    ],
    ["a time after everything", { kind: "timestamp", timestampMs: 1_700_000_000_001 }, []],
    ["the end", { kind: "latest" }, []],
    ["the end by its offset", { kind: "offset", offset: 6 }, []],
    ["the last three", { kind: "last", count: 3 }, ["3 d", "4 e f"]],
    ["the last thousand of six", { kind: "last", count: 1000 }, ["0 a b c", "3 d", "4 e f"]],
    ["the last none", { kind: "last", count: 0 }, []],
  ] as const)("begins at %s", async (_place, from, want) => {
    expect(shown(await service.read(root(), request({ from })))).toEqual(want);
  });

  test("says what is retained and committed beside the batches", async () => {
    const answer = await service.read(root(), request({ from: { kind: "latest" } }));
    expect(answer).toEqual({ kind: "batches", batches: [], startOffset: 0, endOffset: 6 });
  });

  test("beyond the end is out of range, with the bounds", async () => {
    const from = { kind: "offset", offset: 7 } as const;
    const fault = { code: "offset-out-of-range", offset: 7, startOffset: 0, endOffset: 6 };
    expect(shown(await service.read(root(), request({ from })))).toEqual(fault);
  });

  test("gives as many whole batches as fit, and one at least", async () => {
    expect(shown(await service.read(root(), request({ bytesMax: 1 })))).toEqual(["0 a b c"]);
    const [first, second] = cluster.entries;
    const bytesMax = (first?.frame.length ?? 0) + (second?.frame.length ?? 0);
    expect(shown(await service.read(root(), request({ bytesMax })))).toEqual(["0 a b c", "3 d"]);
  });

  test("of more than the server allows is given what it allows", async () => {
    await service.read(root(), request({ bytesMax: 0xffff_ffff }));
    const asked = node.offered.findLast(({ kind }) => kind === "fetch");
    expect(asked).toMatchObject({ bytesMax: DEFAULT_LOG_SERVICE_OPTIONS.readBytesMax });
  });

  test("that ends before it begins asks nobody", async () => {
    const before = node.offered.length;
    expect(shown(await service.read(root(), request({ endOffset: 0 })))).toEqual([]);
    expect(node.offered.length).toBe(before);
  });

  test("that waits is answered by what comes", async () => {
    const waiting = service.read(root(), request({ from: { kind: "latest" }, maxWaitMs: 1000 }));
    await settle();
    await append("g");
    expect(shown(await waiting)).toEqual(["6 g"]);
  });

  test("that waited in vain is answered with nothing, not with a fault", async () => {
    const waiting = service.read(root(), request({ from: { kind: "latest" }, maxWaitMs: 1000 }));
    await settle();
    now = millis(999) as number as Instant;
    service.expire();
    await settle();
    expect(node.waiting).toBe(1);
    now = millis(1000) as number as Instant;
    service.expire();
    expect(shown(await waiting)).toEqual([]);
    await settle();
    expect([node.waiting, service.inFlight]).toEqual([0, 0]);
  });

  test("that is linearizable first asks for the end, and fails where that fails", async () => {
    const consistency = "linearizable" as const;
    expect(shown(await service.read(root(), request({ consistency })))).toHaveLength(3);
    expect(node.offered.slice(-2).map(({ kind }) => kind)).toEqual(["check-tail", "fetch"]);
    cluster.leader = "n2" as NodeId;
    const fault = { code: "not-leader", leader: "n2", address: "h:2" };
    expect(shown(await service.read(root(), request({ consistency })))).toEqual(fault);
  });

  test("that wants the leader is sent on by a follower, one that does not is served", async () => {
    const consistency = "leader" as const;
    expect(shown(await service.read(root(), request({ consistency })))).toHaveLength(3);
    cluster.leader = "n2" as NodeId;
    const fault = { code: "not-leader", leader: "n2", address: "h:2" };
    expect(shown(await service.read(root(), request({ consistency })))).toEqual(fault);
    expect(shown(await service.read(root(), request()))).toHaveLength(3);
  });

  test("by somebody without the right is denied before the node is asked", async () => {
    const before = node.offered.length;
    const denied = await service.read(
      new Caller("nobody"),
      request({ consistency: "linearizable" }),
    );
    expect(shown(denied)).toMatchObject({ code: "permission-denied", action: "consume" });
    expect(node.offered.length).toBe(before);
  });
});

/** Takes so many answers at once, then none until told. */
class Taken implements BatchSink {
  readonly answers: Batches[] = [];
  room = 1000;
  #go: (() => void) | null = null;

  write(batches: Batches): Promise<void> | null {
    this.answers.push(batches);
    this.room--;
    if (this.room > 0) return null;
    return new Promise((resolve) => {
      this.#go = resolve;
    });
  }

  drain(): void {
    this.room = 1000;
    this.#go?.();
  }
}

describe("a stream of reads", () => {
  test("goes on with what comes, without gap or repetition, until the caller leaves", async () => {
    await append("a", "b");
    const caller = root();
    const sink = new Taken();
    const ended = service.readStream(caller, request(), sink);
    await settle();
    await append("c");
    await settle();
    await append("d");
    await settle();
    expect(sink.answers.flatMap((answer) => shown(answer))).toEqual(["0 a b", "2 c", "3 d"]);
    caller.leave();
    expect(await ended).toEqual({ code: "cancelled" });
    await settle();
    expect([node.waiting, service.inFlight]).toEqual([0, 0]);
  });

  test("ends in order at the end that was asked for", async () => {
    await append("a", "b");
    await append("c");
    const sink = new Taken();
    expect(await service.readStream(root(), request({ endOffset: 3 }), sink)).toBeNull();
    expect(sink.answers.flatMap((answer) => shown(answer))).toEqual(["0 a b", "2 c"]);
  });

  test("reads no further ahead than one answer while its caller stalls", async () => {
    for (const text of ["a", "b", "c", "d"]) await append(text);
    const sink = new Taken();
    sink.room = 2;
    const ended = service.readStream(root(), request({ bytesMax: 1, endOffset: 4 }), sink);
    await settle();
    expect(sink.answers).toHaveLength(2);
    expect(node.fetchedBytes).toBe(
      cluster.entries.slice(0, 2).reduce((sum, { frame }) => sum + frame.length, 0),
    );
    sink.drain();
    expect(await ended).toBeNull();
    expect(sink.answers).toHaveLength(4);
  });

  test("is refused to somebody without the right", async () => {
    const fault = await service.readStream(new Caller("nobody"), request(), new Taken());
    expect(fault).toMatchObject({ code: "permission-denied" });
  });
});
