// The watch as a whole: a run that is sound passes under its eyes, and each hook hands on what it
// hears. The nodes here are only their statuses; the disks are real ones of the simulator.

import { beforeEach, describe, expect, it } from "vitest";
import { Watch } from "../../sim/checks/watch.ts";
import { History } from "../../sim/history.ts";
import type { Computer, Stage, Violation } from "../../sim/observer.ts";
import { planOf } from "../../sim/plan.ts";
import { SimDisk } from "../../sim/sim-disk.ts";
import { Timeline } from "../../sim/timeline.ts";
import type { NodeStatus } from "../../src/base/client.ts";
import type { DiskOperation } from "../../src/base/disk.ts";
import { LOG_START } from "../../src/base/entry.ts";
import type {
  Instant,
  LogIndex,
  NodeId,
  OpId,
  Position,
  RequestId,
  Term,
} from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import { HARD_STATE_FILE, storeFile } from "../../src/log/file-names.ts";
import { encodeSlot } from "../../src/log/hard-state.ts";
import type { LogStatus } from "../../src/log/protocol.ts";
import { encodeSegmentHeader, SEGMENT_HEADER_BYTES } from "../../src/log/segment-header.ts";
import { Mailbox } from "../../src/node/mailbox.ts";
import type { RaftStatus } from "../../src/raft/protocol.ts";
import { appendRequest, first, memberOf, N1, N2, N3, status, voteReply } from "./cluster.ts";
import { frameOf } from "./frames.ts";

const STORE = storeFile(1 as LogIndex);
const EMPTY = new Uint8Array(0);

/** A computer whose node is a status that the test sets. */
class PaperComputer implements Computer {
  readonly isPaused = false;
  readonly isLost = false;
  readonly isOutside = false;
  readonly gossip = null;
  readonly name: NodeId;
  readonly place: number;
  readonly disk: SimDisk;
  readonly #timeline = new Timeline();
  readonly #watch: Watch;
  life = 1;
  raft: RaftStatus | null = null;
  /** What it says of itself when it has no Raft any more. */
  commitIndex = 0;
  #opId = 0;

  constructor(name: NodeId, place: number, watch: Watch) {
    this.name = name;
    this.place = place;
    this.#watch = watch;
    const profile = {
      operationMeanMicros: 1,
      syncMeanMicros: 1,
      slowPerMille: 0,
      capacityBytes: 0,
    };
    this.disk = new SimDisk(this.#timeline, profile, new Prng(name), {
      submitted: () => watch.operationSubmitted(this),
      reached: () => true,
      applied: (operation, result) => {
        watch.operationCompleted(this, operation, result);
        return true;
      },
    });
    this.disk.attach({ diskDone: () => undefined });
  }

  get host() {
    const raft = () => this.raft;
    const log = () => ({}) as LogStatus;
    const whole = () => ({ commitIndex: this.commitIndex as LogIndex }) as NodeStatus;
    const mail = () => new Mailbox(1).sizes();
    const committedState = () => null;
    return { raft, log, mail, status: whole, committedState } as Computer["host"];
  }

  do(...operations: readonly Words[]): void {
    for (const words of operations) {
      this.disk.submit({ ...words, opId: this.#opId++ as OpId } as DiskOperation);
      this.#timeline.advance();
    }
  }

  turn(raft: RaftStatus): void {
    this.raft = raft;
    this.#watch.afterTurn(this);
  }

  /** Its vote for n1 and the first entry of term 1, all synced. */
  keepAll(): void {
    const [clusterId, instanceId] = ["0".repeat(32), "1".repeat(32)];
    const header = encodeSegmentHeader({ before: LOG_START, clusterId, instanceId });
    const slot = encodeSlot({
      hardState: { term: 1 as Term, votedFor: memberOf(N1) },
      sequence: 1,
      truncateFrom: null,
      durableIndex: 0 as LogIndex,
    });
    const at = (position: number) => position as Position;
    this.do(
      { kind: "create", file: HARD_STATE_FILE },
      { kind: "write-at", file: HARD_STATE_FILE, position: at(0), parts: [slot] },
      { kind: "sync", file: HARD_STATE_FILE },
      { kind: "create", file: STORE },
      { kind: "write-at", file: STORE, position: at(0), parts: [header] },
      { kind: "write-at", file: STORE, position: at(SEGMENT_HEADER_BYTES), parts: [NOOP_FRAME] },
      { kind: "sync", file: STORE },
      { kind: "sync-dir" },
    );
    this.#watch.afterTurn(this);
  }
}

const NOOP = { ...first(1, 1, 0), kind: "noop", count: 0 } as const;
const NOOP_FRAME = frameOf(NOOP);

type Words = DiskOperation extends infer Operation
  ? Operation extends DiskOperation
    ? Omit<Operation, "opId">
    : never
  : never;

let watch: Watch;
let computers: PaperComputer[];
let violations: Violation[];

beforeEach(() => {
  watch = new Watch();
  violations = [];
  computers = [N1, N2, N3].map((name, place) => new PaperComputer(name, place, watch));
  const stage: Stage = {
    plan: planOf({
      format: 1,
      seed: "paper",
      nodes: 3,
      operations: [],
      mishaps: [],
      healAtMs: 1000,
    }),
    now: 7 as Instant,
    nodes: computers,
    history: new History(),
    report: (violation) => void violations.push(violation),
  };
  watch.attach(stage);
});

/** n1 leads term 1 with the votes and the copies of n1 and n2, and commits its first entry. */
function commitOne(): [PaperComputer, PaperComputer, PaperComputer] {
  const [n1, n2, n3] = computers as [PaperComputer, PaperComputer, PaperComputer];
  for (const computer of [n1, n2]) computer.keepAll();
  watch.frameSent(n2, N1, "control", EMPTY as never, voteReply(1));
  n1.turn(status(N1, { role: "leader", term: 1, vote: N1, last: [1, 1] }));
  n1.turn(status(N1, { role: "leader", term: 1, vote: N1, last: [1, 1], commit: 1 }));
  return [n1, n2, n3];
}

describe("the watch", () => {
  it("says nothing while all is well", () => {
    const [, , n3] = commitOne();
    n3.keepAll();
    watch.atEnd();
    expect(violations).toEqual([]);
  });

  it("reports with the instant, the node and two facts", () => {
    const [n1] = commitOne();
    n1.turn(status(N1, { role: "leader", term: 1, vote: N1, last: [1, 1], commit: 0 }));
    expect(violations[0]).toMatchObject({ property: "commit-monotonic", at: 7, node: "n1" });
    expect(violations[0]?.facts.length).toBe(2);
  });

  it("looks at a node before it judges what the same turn sends", () => {
    const [n1] = commitOne();
    // The commit and the answer that rests on it leave in one turn: the answer is no early promise.
    const tail = { kind: "check-tail", requestId: 1 as RequestId } as const;
    watch.offered(n1, tail);
    n1.raft = status(N1, { role: "leader", term: 1, vote: N1, last: [1, 1], commit: 1 });
    watch.answered(n1, { kind: "tail", requestId: tail.requestId, endOffset: 0 as never });
    expect(violations).toEqual([]);
  });

  it("believes a leader that commits, says so and stops, all in one turn", () => {
    const [n1, n2] = computers as [PaperComputer, PaperComputer];
    for (const computer of [n1, n2]) computer.keepAll();
    watch.frameSent(n2, N1, "control", EMPTY as never, voteReply(1));
    n1.turn(status(N1, { role: "leader", term: 1, vote: N1, last: [1, 1] }));
    n1.raft = null;
    watch.frameSent(n1, N2, "control", EMPTY as never, appendRequest(1, [1, 1], [], 1));
    expect(violations[0]).toMatchObject({ property: "committed-immutable" });
    violations.length = 0;
    watch.afterTurn(n1);
    n1.commitIndex = 1;
    watch.frameSent(n1, N2, "control", EMPTY as never, appendRequest(1, [1, 1], [], 1));
    expect(violations).toEqual([]);
  });

  it("finds in the end a node that is up without a committed entry", () => {
    commitOne();
    watch.atEnd();
    expect(violations[0]).toMatchObject({ property: "divergence", node: "n3" });
    expect(violations[0]?.facts[1]).toMatch(/its disk has for certain no entry there$/);
  });

  it("finds a restart that has forgotten what was durable", () => {
    const [, n2] = commitOne();
    n2.disk.crash("power");
    n2.life = 2;
    watch.nodeCrashed(n2);
    watch.nodeStarted(n2);
    n2.turn(status(N2, { term: 1, vote: N1, last: [0, 0] }));
    expect(violations[0]).toMatchObject({ property: "recovered-log", node: "n2" });
  });

  it("finds a restart after a clean stop that has forgotten its vote", () => {
    const [, n2] = commitOne();
    n2.turn(status(N2, { term: 1, vote: N1, last: [1, 1] }));
    n2.life = 2;
    watch.nodeStarted(n2);
    n2.turn(status(N2, { term: 1, vote: null, last: [1, 1] }));
    expect(violations[0]).toMatchObject({ property: "hard-state-monotonic", node: "n2" });
  });
});
