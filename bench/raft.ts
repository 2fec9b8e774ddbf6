// The consensus core alone: three Rafts in one process, every frame sealed as in production, the
// disk and the network instant. What remains is the cost of deciding. Says nothing about a real
// cluster: that is bench/cluster.ts.

import { type Draft, type Entry, FRAME_HEADER_BYTES, LOG_START } from "../src/base/entry.ts";
import {
  type Instant,
  type LogIndex,
  type MemberId,
  millis,
  type Term,
  type WallMs,
  type WriteId,
} from "../src/base/ids.ts";
import { membershipOf } from "../src/base/membership.ts";
import { Prng } from "../src/base/prng.ts";
import { sealFrame } from "../src/log/frame.ts";
import type { RaftEvent, RaftMessage, RaftOutput, Send } from "../src/raft/protocol.ts";
import { Raft } from "../src/raft/raft.ts";
import { type Row, row } from "./row.ts";

const NAMES = ["a", "b", "c"] as MemberId[];
const BODY_BYTES = 16;
/** Virtual time between two turns. */
const TURN = millis(0.1);
/** Entries the host of each node keeps to send from: those of a turn, and as many again. */
const KEPT_ENTRIES = 8192;
/** Bodies are views of buffers of this size, as what a socket brings is. */
const SLAB_BYTES = 64 * 1024;

/**
 * Writes a second as published in openraft's README: its own framework, no disk, other hardware.
 */
const OPENRAFT: ReadonlyMap<number, number> = new Map([
  [1, 33_000],
  [64, 912_000],
  [256, 1_810_000],
  [4096, 3_500_000],
]);

/**
 * Committed proposals a second of CPU time, all threads of this process together, with 1, 64, 256
 * and 4096 proposals a turn; `quick` runs less long.
 */
export async function runRaftBench(quick: boolean): Promise<Row[]> {
  const seconds = quick ? 0.5 : 2;
  const rows: Row[] = [];
  let steady: Speed | null = null;
  for (const [perTurn, published] of OPENRAFT) {
    measure(perTurn, seconds / 4);
    const speed = measure(perTurn, seconds);
    if (perTurn === 256) steady = speed;
    const what = `${perTurn} proposals a turn`;
    const reference = "openraft README, other machine";
    rows.push(row("raft", what, speed.rate, "proposals/s", reference, published));
  }
  const [early, late] = steady?.leastMiB ?? [0, 0];
  const what = "heap at 256 a turn, second half";
  return [...rows, row("raft", what, late, "MiB", "first half", early)];
}

interface Speed {
  readonly rate: number;
  /** The least heap seen in each half of the time, MiB: what collections have left. */
  readonly leastMiB: readonly [number, number];
}

function measure(perTurn: number, seconds: number): Speed {
  const group = new Group();
  const leader = group.elect();
  const committedBefore = leader.committed;
  const leastMiB: [number, number] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  const began = process.cpuUsage();
  let used = 0;
  while (used < seconds * 1e6) {
    // The clock is looked at now and then: it costs as much as a turn.
    for (let turns = 0; turns < 64; turns++) group.turn(leader, perTurn);
    const { user, system } = process.cpuUsage(began);
    used = user + system;
    const half = used < (seconds * 1e6) / 2 ? 0 : 1;
    leastMiB[half] = Math.min(leastMiB[half], process.memoryUsage().heapUsed / 2 ** 20);
  }
  const rate = Math.round(((leader.committed - committedBefore) * 1e6) / used);
  return { rate, leastMiB };
}

/** One node and what its host would do: an instant disk, and a cache of entries to send. */
class Host {
  readonly raft: Raft;
  committed = 0;
  #cache: Entry[] = [];

  constructor(self: MemberId) {
    this.raft = new Raft(
      {
        self,
        electionTimeoutMin: millis(150),
        electionTimeoutMax: millis(300),
        heartbeatInterval: millis(50),
        appendBytesMax: 1024 * 1024,
        appendsInFlightMax: 64,
        uncommittedBytesMax: 64 * 1024 * 1024,
        readsWaitingMax: 1024,
        prng: new Prng(`bench/${self}`),
        seal: sealFrame,
      },
      {
        hardState: { term: 0 as Term, votedFor: null },
        membership: membershipOf(NAMES.map((id) => ({ id, address: "" }))),
        base: LOG_START,
        termRuns: [],
        tail: [],
      },
      0 as Instant,
    );
  }

  /** Takes what was decided; the write is durable at once. */
  take(now: Instant): RaftOutput | null {
    const output = this.raft.takeOutput();
    if (output === null) return null;
    for (const verdict of output.verdicts) if (verdict.kind === "committed") this.committed += 1;
    if (output.write !== null) {
      this.#keep(output.write.entries);
      this.raft.step(now, persisted(output.write.writeId));
    }
    return output;
  }

  messageOf(send: Send): RaftMessage {
    if (send.kind === "message") return send.message;
    if (send.kind === "snapshot") throw new Error("nothing is trimmed here");
    const { term, prevIndex, prevTerm, lastIndex, commitIndex, round } = send;
    const entries = this.#entries(prevIndex, lastIndex);
    return { kind: "append-request", term, prevIndex, prevTerm, commitIndex, round, entries };
  }

  #keep(entries: readonly Entry[]): void {
    if (this.#cache.length > KEPT_ENTRIES) this.#cache = this.#cache.slice(-KEPT_ENTRIES / 2);
    for (const entry of entries) this.#cache.push(entry);
  }

  #entries(after: LogIndex, last: LogIndex): Entry[] {
    const first = this.#cache[0]?.index ?? 0;
    return this.#cache.slice(after + 1 - first, last + 1 - first);
  }
}

const persisted = (writeId: WriteId): RaftEvent => ({ kind: "persisted", writeId });

class Group {
  readonly #hosts = new Map(NAMES.map((name) => [name, new Host(name)]));
  #now = 0 as Instant;
  #proposals = 0;

  elect(): Host {
    for (;;) {
      const hosts = [...this.#hosts.values()];
      const leader = hosts.find(({ raft }) => raft.role === "leader");
      if (leader !== undefined) return leader;
      const next = hosts.reduce((a, b) => (a.raft.deadline <= b.raft.deadline ? a : b));
      this.#now = next.raft.deadline;
      next.raft.step(this.#now, { kind: "deadline" });
      this.#settle();
    }
  }

  /** `count` proposals in one turn of the leader, then everything that follows from them. */
  turn(leader: Host, count: number): void {
    this.#now = (this.#now + TURN) as Instant;
    for (let made = 0; made < count; made++) {
      const proposalId = ++this.#proposals;
      leader.raft.step(this.#now, { kind: "proposed", proposalId, draft: makeDraft() });
    }
    if (leader.raft.deadline <= this.#now) leader.raft.step(this.#now, { kind: "deadline" });
    this.#settle();
  }

  /** Delivers until nobody has anything to say. */
  #settle(): void {
    for (let spoke = true; spoke; ) {
      spoke = false;
      for (const [name, host] of this.#hosts) {
        const output = host.take(this.#now);
        if (output === null) continue;
        spoke = true;
        for (const send of output.sends) {
          const message = host.messageOf(send);
          this.#hosts.get(send.to)?.raft.step(this.#now, { kind: "received", from: name, message });
        }
      }
    }
  }
}

let slab = new Uint8Array(SLAB_BYTES);
let slabUsed = 0;

function makeDraft(): Draft {
  const length = FRAME_HEADER_BYTES + BODY_BYTES;
  if (slabUsed + length > slab.length) {
    slab = new Uint8Array(SLAB_BYTES);
    slabUsed = 0;
  }
  const bytes = slab.subarray(slabUsed, slabUsed + length);
  slabUsed += length;
  return {
    kind: "records",
    codec: 0,
    critical: true,
    count: 1,
    timestamp: 1 as WallMs,
    bodyCrc: 0,
    rawLength: BODY_BYTES,
    producerId: 0,
    epoch: 0,
    sequence: 0,
    bytes,
  };
}
