// The service over a node in memory, without gRPC: access before work, order and back-pressure of
// streams, cancellation, deadlines and bounds. Time is the test's.

import { gzipSync } from "node:zlib";
import { beforeEach, describe, expect, test } from "vitest";
import { GZIP_PACKING } from "../../src/adapters/gzip-packing.ts";
import { bodyOf } from "../../src/base/entry.ts";
import type { Fault } from "../../src/base/faults.ts";
import type { Instant, Micros, NodeId, Offset, WallMs } from "../../src/base/ids.ts";
import type { Notice } from "../../src/base/notice.ts";
import { encodeBatch, type NewRecord } from "../../src/base/record-batch.ts";
import type { AppendRequest } from "../../src/service/batch-admission.ts";
import { Caller } from "../../src/service/caller.ts";
import {
  DEFAULT_LOG_SERVICE_OPTIONS,
  LogService,
  type LogServiceOptions,
} from "../../src/service/log-service.ts";
import { ProduceStream } from "../../src/service/produce-stream.ts";
import type { ConsumedRecord } from "../../src/service/records.ts";
import { MemoryCluster, MemoryNode } from "./memory-node.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (value: Uint8Array) => new TextDecoder().decode(value);

/** Lets all microtasks that are due run: the node in memory answers in them. */
const settle = async () => {
  for (let round = 0; round < 20; round++) await Promise.resolve();
};

class Desk {
  now = 0 as Instant;
  readonly asked: string[] = [];
  readonly rights = new Set(["root produce", "root consume", "watcher describe", "reader consume"]);
  readonly notices: Notice[] = [];
  readonly telemetry = { notice: (notice: Notice) => void this.notices.push(notice) };
  readonly cluster = new MemoryCluster();
  readonly service: LogService;
  readonly node: MemoryNode;

  constructor(options: Partial<LogServiceOptions> = {}) {
    const authorizer = {
      allows: (subject: string, object: string, action: string) => {
        this.asked.push(`${subject} ${object} ${action}`);
        return object === "*" && this.rights.has(`${subject} ${action}`);
      },
    };
    const clock = { now: () => this.now, wall: () => 1_700_000_000_000 as WallMs };
    this.service = new LogService(
      { ...DEFAULT_LOG_SERVICE_OPTIONS, ...options },
      { authorizer, clock, packing: GZIP_PACKING, telemetry: this.telemetry },
    );
    this.node = new MemoryNode(this.cluster, "n1", this.service);
    this.cluster.members.push({ id: "n1" as NodeId, address: "127.0.0.1:8400" });
    this.cluster.leader = "n1" as NodeId;
    this.service.attach(this.node);
  }
}

let desk = new Desk();
beforeEach(() => {
  desk = new Desk();
});

const root = () => new Caller("root");
const nobody = () => new Caller("nobody");
const batch = (texts: string[], rest: Partial<AppendRequest> = {}): AppendRequest => ({
  records: texts.map((value) => ({ value: bytes(value) })),
  gzip: null,
  fencingToken: null,
  producerId: 0,
  epoch: 0,
  sequence: 0,
  expectedEndOffset: null,
  ...rest,
});
const faultOf = (answer: { kind: string; fault?: Fault }): Fault | null => answer.fault ?? null;

describe("root", () => {
  test("reads back at its offset what it produced", async () => {
    const first = await desk.service.produce(root(), bytes("first message"));
    const second = await desk.service.produce(root(), bytes("second message"));
    expect([first, second]).toMatchObject([{ offset: 0 }, { offset: 1 }]);
    const read = await desk.service.consume(root(), 1);
    if (read.kind === "fault") throw new Error(read.fault.code);
    expect([read.record.offset, text(read.record.value)]).toEqual([1, "second message"]);
  });

  test("reads one record out of the middle of a batch", async () => {
    await desk.service.append(root(), batch(["a", "b", "c"]));
    await desk.service.append(root(), batch(["d", "e"]));
    const read = await desk.service.consume(root(), 4);
    if (read.kind === "fault") throw new Error(read.fault.code);
    expect([read.record.offset, text(read.record.value)]).toEqual([4, "e"]);
  });

  test("is told that an offset past the end is out of range", async () => {
    await desk.service.produce(root(), bytes("only"));
    const fault = faultOf(await desk.service.consume(root(), 1));
    expect(fault).toEqual({
      code: "offset-out-of-range",
      offset: 1,
      startOffset: 0,
      endOffset: 1,
    });
  });

  test("has a repeated batch answered with its first offset", async () => {
    const request = batch(["a", "b"], { producerId: 7 });
    await desk.service.produce(root(), bytes("before"));
    const first = await desk.service.append(root(), request);
    const again = await desk.service.append(root(), request);
    expect(first).toMatchObject({ offset: 1, duplicate: false });
    expect(again).toMatchObject({ offset: 1, duplicate: true });
    expect(desk.cluster.texts).toEqual(["before", "a", "b"]);
  });

  test("reads back one by one what came packed, and has it stored as it came", async () => {
    const texts = ["alpha", "beta", "gamma"];
    const plain = encodeBatch(texts.map((value) => ({ value: bytes(value) })));
    const gzip = gzipSync(plain);
    const appended = await desk.service.append(root(), batch([], { gzip }));
    expect(appended).toMatchObject({ kind: "appended", offset: 0 });
    const [entry] = desk.cluster.entries;
    expect(entry).toMatchObject({ codec: 1, count: 3, rawLength: plain.length });
    expect(Buffer.from(entry === undefined ? [] : bodyOf(entry))).toEqual(gzip);
    for (const [offset, value] of texts.entries()) {
      const read = await desk.service.consume(root(), offset);
      if (read.kind === "fault") throw new Error(read.fault.code);
      expect(text(read.record.value)).toBe(value);
    }
  });

  const packed = (records: NewRecord[]) => gzipSync(encodeBatch(records));
  const zeros = (length: number) => ({ value: new Uint8Array(length) });
  test.each([
    ["bytes that are no gzip stream", bytes("plain"), "malformed"],
    ["a gzip stream that is cut", packed([zeros(100)]).subarray(0, 20), "malformed"],
    ["a gzip stream of something else", gzipSync(bytes("something else")), "malformed"],
    ["a small stream that unpacks to more than a batch", gzipSync(Buffer.alloc(9e6)), "malformed"],
    ["a record above the limit inside", packed([zeros(2_000_000)]), "record-too-large"],
  ])("is refused %s", async (_what, gzip, code) => {
    const fault = faultOf(await desk.service.append(root(), batch([], { gzip })));
    expect([fault?.code, desk.node.offered.length]).toEqual([code, 0]);
  });

  test("is refused a batch that is both plain and packed", async () => {
    const fault = faultOf(
      await desk.service.append(root(), batch(["a"], { gzip: packed([zeros(1)]) })),
    );
    expect(fault?.code).toBe("malformed");
  });

  test("appends at an expected end, and only there", async () => {
    const right = await desk.service.append(root(), batch(["a"], { expectedEndOffset: 0 }));
    const wrong = await desk.service.append(root(), batch(["b"], { expectedEndOffset: 0 }));
    expect(right).toMatchObject({ offset: 0 });
    expect(faultOf(wrong)).toEqual({ code: "end-offset-mismatch", expected: 0, endOffset: 1 });
  });

  test("is told the end of the log and the servers", async () => {
    await desk.service.append(root(), batch(["a", "b"]));
    expect(await desk.service.checkTail(root())).toMatchObject({ endOffset: 2 });
    expect(desk.service.getServers(root())).toMatchObject({
      kind: "servers",
      servers: [{ id: "n1", address: "127.0.0.1:8400", isLeader: true }],
    });
  });

  test.each<[string, AppendRequest, Fault]>([
    ["an empty batch", batch([]), { code: "malformed", what: "records: at least one is needed" }],
    [
      "a sequence without a producer",
      batch(["a"], { sequence: 1 }),
      { code: "malformed", what: "epoch and sequence need a producer_id" },
    ],
    [
      "a producer above 48 bits",
      batch(["a"], { producerId: 2 ** 48 }),
      { code: "malformed", what: "producer_id: above 2^48-1" },
    ],
    [
      "a sequence that would overflow",
      batch(["a"], { producerId: 1, sequence: Number.MAX_SAFE_INTEGER }),
      { code: "malformed", what: "sequence: above 2^53-1" },
    ],
    [
      "a record above the limit",
      batch(["x".repeat(1_048_577)]),
      { code: "record-too-large", bytes: 1_048_577, bytesMax: 1_048_576 },
    ],
    [
      "a record whose key and headers put it above the limit",
      {
        ...batch([]),
        records: [
          {
            value: new Uint8Array(1_048_570),
            key: new Uint8Array(4),
            headers: [{ name: "abc", value: new Uint8Array(0) }],
          },
        ],
      },
      { code: "record-too-large", bytes: 1_048_577, bytesMax: 1_048_576 },
    ],
    [
      "a batch above the limit",
      batch(Array(5).fill("x".repeat(1_000_000))),
      { code: "malformed", what: "a batch of 5000000 bytes, above 4194304" },
    ],
  ])("is refused %s before the node hears of it", async (_what, request, fault) => {
    expect(faultOf(await desk.service.append(root(), request))).toEqual(fault);
    expect(desk.node.offered).toEqual([]);
  });

  test("is refused a single record above the limit before the node hears of it", async () => {
    const answer = await desk.service.produce(root(), new Uint8Array(1_048_577));
    expect(faultOf(answer)?.code).toBe("record-too-large");
    expect(desk.node.offered).toEqual([]);
  });
});

describe("somebody without the right", () => {
  const denied = (action: string): Fault => ({
    code: "permission-denied",
    subject: "nobody",
    action,
    object: "*",
  });

  test("is denied every request, and the node hears of none", async () => {
    const { service } = desk;
    const sink = { write: () => null };
    const produced = { produced: () => true, resume: () => {}, ended: () => {} };
    expect(faultOf(await service.produce(nobody(), bytes("x")))).toEqual(denied("produce"));
    expect(faultOf(await service.append(nobody(), batch(["x"])))).toEqual(denied("produce"));
    expect(faultOf(await service.consume(nobody(), 0))).toEqual(denied("consume"));
    expect(await service.consumeStream(nobody(), 0, sink)).toEqual(denied("consume"));
    expect(service.produceStream(nobody(), produced)).toEqual(denied("produce"));
    expect(faultOf(await service.checkTail(nobody()))).toEqual(denied("describe"));
    expect(faultOf(service.getServers(nobody()))).toEqual(denied("describe"));
    expect(desk.node.offered).toEqual([]);
  });

  test("is denied before the request is looked at", async () => {
    const answer = await desk.service.append(nobody(), batch([]));
    expect(faultOf(answer)).toEqual(denied("produce"));
  });

  test("may find the servers when it may describe, produce or consume", () => {
    for (const subject of ["root", "reader", "watcher"]) {
      expect(desk.service.getServers(new Caller(subject)).kind).toBe("servers");
    }
  });

  test("may not append when it may only describe", async () => {
    const answer = await desk.service.append(new Caller("watcher"), batch(["x"]));
    expect(faultOf(answer)?.code).toBe("permission-denied");
  });

  test("is unauthenticated when nobody verified a certificate", async () => {
    const answer = await desk.service.produce(new Caller(null), bytes("x"));
    expect(faultOf(answer)).toEqual({
      code: "unauthenticated",
      what: "no transport security being used",
    });
    expect(desk.asked).toEqual([]);
  });

  test("is the anonymous subject where there is one", async () => {
    desk = new Desk({ anonymousSubject: "root" });
    expect(await desk.service.produce(new Caller(null), bytes("x"))).toMatchObject({ offset: 0 });
  });
});

describe("a stream whose subject loses the right", () => {
  test("of consumed records ends before the next part, with permission denied", async () => {
    desk = new Desk({ fetchBytesMax: 1 });
    await desk.service.append(root(), batch(["a"]));
    await desk.service.append(root(), batch(["b"]));
    const seen: string[] = [];
    const sink = {
      write: (records: readonly ConsumedRecord[]) => {
        seen.push(...records.map(({ value }) => text(value)));
        desk.rights.delete("root consume");
        return null;
      },
    };
    const end = await desk.service.consumeStream(root(), 0, sink);
    expect([seen, end.code]).toEqual([["a"], "permission-denied"]);
    expect(desk.notices).toHaveLength(1);
  });

  test("of produced records takes no further one", async () => {
    const ended: (Fault | null)[] = [];
    const sink = {
      produced: () => true,
      resume: () => {},
      ended: (f: Fault | null) => ended.push(f),
    };
    const stream = desk.service.produceStream(root(), sink);
    if (!(stream instanceof ProduceStream)) throw new Error(stream.code);
    stream.push(bytes("a"));
    await settle();
    desk.rights.delete("root produce");
    stream.push(bytes("b"));
    await settle();
    expect(ended).toMatchObject([{ code: "permission-denied" }]);
    expect(desk.cluster.texts).toEqual(["a"]);
  });
});

describe("a consumer of the stream", () => {
  test("gets every record from its offset on, then each new one as it comes", async () => {
    await desk.service.append(root(), batch(["a", "b", "c"]));
    const seen: string[] = [];
    const caller = root();
    const sink = {
      write: (records: readonly ConsumedRecord[]) => {
        for (const { offset, value } of records) seen.push(`${offset}${text(value)}`);
        return null;
      },
    };
    const ended = desk.service.consumeStream(caller, 1, sink);
    await settle();
    expect(seen).toEqual(["1b", "2c"]);
    await desk.service.append(root(), batch(["d", "e"]));
    await settle();
    expect(seen).toEqual(["1b", "2c", "3d", "4e"]);
    caller.leave();
    expect(await ended).toEqual({ code: "cancelled" });
  });

  test("at the end of the log waits in the node: it asks once, not again and again", async () => {
    const caller = root();
    const ended = desk.service.consumeStream(caller, 0, { write: () => null });
    await settle();
    await settle();
    expect(desk.node.offered.map(({ kind }) => kind)).toEqual(["fetch"]);
    expect(desk.node.waiting).toBe(1);
    caller.leave();
    await ended;
    await settle();
    expect(desk.node.waiting).toBe(0);
    expect(desk.service.inFlight).toBe(0);
  });

  test("that stalls has one fetch read for it and no more", async () => {
    desk = new Desk({ fetchBytesMax: 10_000 });
    for (let i = 0; i < 50; i++) await desk.service.produce(root(), new Uint8Array(1000));
    const caller = root();
    let release: (() => void) | null = null;
    let written = 0;
    const ended = desk.service.consumeStream(caller, 0, {
      write: (records) => {
        written += records.length;
        return new Promise((resolve) => {
          release = resolve;
        });
      },
    });
    await settle();
    expect(written).toBe(1);
    expect(desk.node.fetchedBytes).toBeLessThanOrEqual(10_000);
    for (let i = 0; i < 60; i++) {
      (release as (() => void) | null)?.();
      await settle();
    }
    expect(written).toBe(50);
    caller.leave();
    await ended;
  });

  test("that leaves while it is stalled costs nothing more", async () => {
    for (let i = 0; i < 5; i++) await desk.service.produce(root(), bytes("x"));
    const caller = root();
    let leave = () => {};
    const ended = desk.service.consumeStream(caller, 0, {
      write: () =>
        new Promise((resolve) => {
          leave = resolve;
        }),
    });
    await settle();
    caller.leave();
    leave();
    expect(await ended).toEqual({ code: "cancelled" });
    expect(desk.service.inFlight).toBe(0);
  });

  test("is sent away when the service closes", async () => {
    const ended = desk.service.consumeStream(root(), 0, { write: () => null });
    await settle();
    desk.service.close();
    expect(await ended).toEqual({ code: "not-serving", state: "stopping" });
    const late = await desk.service.produce(root(), bytes("late"));
    expect(faultOf(late)).toEqual({ code: "not-serving", state: "stopping" });
  });
});

class Produced {
  readonly offsets: number[] = [];
  readonly ends: (Fault | null)[] = [];
  resumed = 0;
  room = Number.POSITIVE_INFINITY;

  produced(offset: Offset): boolean {
    this.offsets.push(offset);
    this.room--;
    return this.room > 0;
  }

  resume(): void {
    this.resumed++;
  }

  ended(fault: Fault | null): void {
    this.ends.push(fault);
  }
}

describe("a produce stream", () => {
  const openStream = (sink: Produced, caller = root()) => {
    const stream = desk.service.produceStream(caller, sink);
    if (!(stream instanceof ProduceStream)) throw new Error(stream.code);
    return stream;
  };

  test("answers each request with its offset, in order, and ends well", async () => {
    const sink = new Produced();
    const stream = openStream(sink);
    for (const value of ["a", "b", "c"]) stream.push(bytes(value));
    stream.finish();
    await settle();
    expect(sink.offsets).toEqual([0, 1, 2]);
    expect(sink.ends).toEqual([null]);
    expect(desk.cluster.texts).toEqual(["a", "b", "c"]);
  });

  test("ends with the first failure, after the answers before it", async () => {
    const sink = new Produced();
    const overloaded: Fault = { code: "overloaded", what: "appends", retryAfterMs: 50 };
    desk.node.mishaps.push(null, { instead: overloaded });
    const stream = openStream(sink);
    for (const value of ["a", "b", "c"]) stream.push(bytes(value));
    await settle();
    expect(sink.offsets).toEqual([0]);
    expect(sink.ends).toEqual([overloaded]);
    stream.push(bytes("d"));
    stream.finish();
    await settle();
    expect(sink.ends).toHaveLength(1);
  });

  test("answers in order when a later request is refused first", async () => {
    const sink = new Produced();
    const stream = openStream(sink);
    stream.push(bytes("a"));
    stream.push(new Uint8Array(2_000_000)); // Refused at once, while "a" is in flight.
    expect(sink.ends).toEqual([]);
    await settle();
    expect(sink.offsets).toEqual([0]);
    expect(sink.ends[0]?.code).toBe("record-too-large");
  });

  test("pauses when its window is full and resumes when half is answered", async () => {
    desk = new Desk({ produceWindowMax: 4 });
    const sink = new Produced();
    const stream = openStream(sink);
    const taken = ["a", "b", "c", "d"].map((value) => stream.push(bytes(value)));
    expect(taken).toEqual([true, true, true, false]);
    expect(sink.resumed).toBe(0);
    await settle();
    expect(sink.resumed).toBe(1);
  });

  test("whose client does not read its answers stops answering and stays full", async () => {
    desk = new Desk({ produceWindowMax: 4 });
    const sink = new Produced();
    sink.room = 1;
    const stream = openStream(sink);
    for (const value of ["a", "b", "c", "d"]) stream.push(bytes(value));
    await settle();
    expect(sink.offsets).toEqual([0]);
    expect(sink.resumed).toBe(0);
    sink.room = Number.POSITIVE_INFINITY;
    stream.drained();
    expect(sink.offsets).toEqual([0, 1, 2, 3]);
    expect(sink.resumed).toBe(1);
  });

  test("says nothing any more once its caller left, though what was sent goes on", async () => {
    const sink = new Produced();
    const caller = root();
    const stream = openStream(sink, caller);
    stream.push(bytes("a"));
    caller.leave();
    await settle();
    expect(sink.offsets).toEqual([]);
    expect(sink.ends).toEqual([]);
    expect(desk.cluster.texts).toEqual(["a"]);
  });
});

describe("a request in flight", () => {
  test("that nobody answers ends: an append as unknown, a check as too late", async () => {
    desk.node.mishaps.push("lose-answer", "lose-request");
    const append = desk.service.append(root(), batch(["a"]));
    const check = desk.service.checkTail(root());
    await settle();
    desk.now = 9_999_999 as Instant;
    desk.service.expire();
    expect(desk.service.inFlight).toBe(2);
    desk.now = 10_000_000 as Instant;
    desk.service.expire();
    expect(faultOf(await append)).toEqual({ code: "outcome-unknown" });
    expect(faultOf(await check)).toEqual({ code: "deadline-exceeded" });
  });

  test("is taken back from the node when its caller leaves", async () => {
    desk.node.mishaps.push("lose-request");
    const caller = root();
    const check = desk.service.checkTail(caller);
    await settle();
    caller.leave();
    expect(faultOf(await check)).toEqual({ code: "cancelled" });
    expect(desk.node.offered.at(-1)).toMatchObject({ kind: "cancel" });
  });

  test("is taken back later when the node has no room to hear it now", async () => {
    const caller = root();
    const ended = desk.service.consumeStream(caller, 0, { write: () => null });
    await settle();
    desk.node.hasRoom = false;
    caller.leave();
    await ended;
    expect(desk.node.waiting).toBe(1);
    desk.node.hasRoom = true;
    desk.service.expire();
    await settle();
    expect(desk.node.waiting).toBe(0);
    expect(desk.service.inFlight).toBe(0);
  });

  test("keeps its place until the node let go of it", async () => {
    desk = new Desk({ requestsMax: 1 });
    desk.node.mishaps.push("lose-request");
    const caller = root();
    void desk.service.checkTail(caller);
    await settle();
    caller.leave();
    const next = await desk.service.checkTail(root());
    expect(faultOf(next)?.code).toBe("overloaded");
  });

  test("is refused with a delay when there are too many", async () => {
    desk = new Desk({ requestsMax: 2 });
    const waiting = [0, 1].map(() => desk.service.consumeStream(root(), 0, { write: () => null }));
    await settle();
    const refused = await desk.service.produce(root(), bytes("x"));
    expect(faultOf(refused)).toEqual({
      code: "overloaded",
      what: "requests in flight",
      retryAfterMs: 50,
    });
    desk.service.close();
    await Promise.all(waiting);
  });

  test("is refused when appends in flight hold too many bytes, unless alone", async () => {
    desk = new Desk({ appendBytesMax: 1000 });
    const first = desk.service.produce(root(), new Uint8Array(2000));
    const second = desk.service.produce(root(), new Uint8Array(10));
    expect(faultOf(await second)?.code).toBe("overloaded");
    expect(await first).toMatchObject({ offset: 0 });
    expect(await desk.service.produce(root(), new Uint8Array(10))).toMatchObject({ offset: 1 });
  });

  test("is refused when the node's mailbox is full", async () => {
    desk.node.hasRoom = false;
    const refused = await desk.service.produce(root(), bytes("x"));
    expect(faultOf(refused)).toMatchObject({ code: "overloaded", what: "the node's mailbox" });
    expect(desk.service.inFlight).toBe(0);
  });

  test("is refused while there is no node yet", async () => {
    const authorizer = { allows: () => true };
    const clock = { now: () => 0 as Instant, wall: () => 0 as WallMs };
    const options = { ...DEFAULT_LOG_SERVICE_OPTIONS, requestTimeout: 1 as Micros };
    const early = new LogService(options, {
      authorizer,
      clock,
      packing: GZIP_PACKING,
      telemetry: desk.telemetry,
    });
    const refused = await early.produce(root(), bytes("x"));
    expect(faultOf(refused)).toEqual({ code: "not-serving", state: "opening" });
  });
});
