// A whole node whose peer says what no correct peer says: it is dropped, the link stays, and the
// operator hears of it once a minute. The network and the clock are the test's, the disk is memory.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { OverlayDisk } from "../../src/adapters/overlay-disk.ts";
import { concat, freeze } from "../../src/base/bytes.ts";
import {
  type Instant,
  type LinkId,
  type LogIndex,
  millis,
  type NodeId,
  type Term,
  type WallMs,
} from "../../src/base/ids.ts";
import type { Notice } from "../../src/base/notice.ts";
import { Prng } from "../../src/base/prng.ts";
import { createNode } from "../../src/node/create-node.ts";
import type { NodeHost } from "../../src/node/ports.ts";
import type { NodeOptions } from "../../src/node/protocol.ts";
import { encodeRaft } from "../../src/node/raft-wire.ts";
import { encodeHello } from "../../src/node/wire.ts";
import { RouteBytes } from "../../src/node/wire-head.ts";
import type { ClockInbox } from "../../src/ports/clock.ts";
import type { NetworkInbox } from "../../src/ports/network.ts";
import type { RaftMessage } from "../../src/raft/protocol.ts";

const folder = mkdtempSync(path.join(tmpdir(), "cairn-bad-"));
afterAll(() => rmSync(folder, { recursive: true }));

const CLUSTER = "00112233445566778899aabbccddeeff";
const a = "a" as NodeId;
const b = "b" as NodeId;
const MIB = 1024 * 1024;

const OPTIONS: NodeOptions = {
  name: a,
  clusterId: CLUSTER,
  address: "a:1",
  members: [],
  electionTimeoutMin: millis(150),
  electionTimeoutMax: millis(300),
  heartbeatInterval: millis(50),
  appendBytesMax: MIB,
  appendsInFlightMax: 8,
  uncommittedBytesMax: MIB,
  readsWaitingMax: 8,
  segmentBytesMax: MIB,
  indexEntriesMax: 1024,
  preallocateBytes: 0,
  cacheBytesMax: MIB,
  recordBytesMax: MIB,
  batchBytesMax: MIB,
  mailboxEventsMax: 64,
  turnEventsMax: 64,
  requestsWaitingMax: 8,
  producersMax: 8,
  snapshotBytesMax: MIB,
  redialMin: millis(50),
  redialMax: millis(500),
  retentionBytes: null,
  retentionMs: null,
  scrubBytesPerSecond: 0,
  scrubEvery: millis(1000),
  autoReplaceWiped: false,
};

class Bench {
  readonly notices: Notice[] = [];
  readonly closes: string[] = [];
  readonly host: NodeHost;
  now = 0 as Instant;
  #alarm: ClockInbox | null = null;
  #network: NetworkInbox | null = null;
  #isDue = false;

  constructor() {
    this.host = createNode(OPTIONS, {
      clock: {
        now: () => this.now,
        wall: () => 1 as WallMs,
        wakeAt: () => undefined,
        wakeSoon: () => {
          this.#isDue = true;
        },
        attach: (inbox) => {
          this.#alarm = inbox;
        },
      },
      disk: new OverlayDisk(folder),
      network: {
        dial: () => undefined,
        send: () => true,
        close: (_, why) => this.closes.push(why),
        attach: (inbox) => {
          this.#network = inbox;
        },
      },
      clients: { answer: () => undefined },
      telemetry: { notice: (notice) => this.notices.push(notice) },
      prng: new Prng("bad input"),
      recorder: null,
      faultSites: null,
      machine: null,
      stopped: () => undefined,
    });
  }

  /** Turns, until nobody waits for one and the log is open. */
  async settle(): Promise<void> {
    while (this.#isDue || this.host.status().state !== "serving") {
      this.#isDue = false;
      this.#alarm?.alarm();
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  async linkFromB(): Promise<LinkId> {
    const link = this.#network?.nextLinkId() as LinkId;
    this.#network?.linkOpened(link, false, null);
    const hello = { protocolMin: 2, protocolMax: 2, instanceId: "ab".repeat(16), address: "" };
    const route = new RouteBytes({ clusterId: CLUSTER, from: b, to: a });
    const parts = encodeHello(route, { ...hello, lane: "control", awaits: false });
    this.#network?.linkFrame(link, freeze(concat(parts)));
    await this.settle();
    return link;
  }

  async say(link: LinkId, message: RaftMessage): Promise<void> {
    const route = new RouteBytes({ clusterId: CLUSTER, from: b, to: a });
    this.#network?.linkFrame(link, freeze(concat(encodeRaft(route, message))));
    await this.settle();
  }
}

const voteRequest = (term: number, lastTerm = 0): RaftMessage => ({
  kind: "vote-request",
  term: term as Term,
  lastIndex: lastTerm as number as LogIndex,
  lastTerm: lastTerm as Term,
  preVote: false,
  transfer: false,
});

describe("a node whose peer says what no correct peer says", () => {
  test("drops it, counts it, tells of it once a minute and keeps the link", async () => {
    const bench = new Bench();
    bench.host.start();
    await bench.settle();
    const link = await bench.linkFromB();
    bench.now = millis(1000) as number as Instant;
    for (let second = 1; second <= 61; second++) {
      bench.now = millis(second * 1000) as number as Instant;
      await bench.say(link, second % 2 ? voteRequest(2 ** 49) : voteRequest(5, 5));
    }
    const told = bench.notices.filter(({ what }) => what === "peer-message-dropped");
    expect(told.map(({ facts }) => [facts["why"], facts["count"], facts["untold"]])).toEqual([
      ["term is absurd", 1, 0],
      ["term is absurd", 61, 59],
    ]);
    expect(told[0]?.facts["from"]).toBe(`b/${"ab".repeat(16)}`);
    expect(bench.host.raft()).toMatchObject({ dropped: 61, term: 0, votedFor: null });
    expect(bench.closes).toEqual([]);
    await bench.say(link, voteRequest(3));
    expect(bench.host.raft()).toMatchObject({ dropped: 61, term: 3 });
  });
});
