// What the simulator shows to those who check a run, and how they stop it. Observers see everything
// and change nothing: a run with them and a run without them have the same digest. The properties
// themselves are in sim/checks; who calls these hooks is sim/world.ts.

import type { FrozenBytes } from "../src/base/bytes.ts";
import type { Answer, ClientRequest } from "../src/base/client.ts";
import type { DiskOperation, DiskResult } from "../src/base/disk.ts";
import type { Instant, NodeId } from "../src/base/ids.ts";
import type { Notice } from "../src/base/notice.ts";
import type { GossipStatus } from "../src/gossip/protocol.ts";
import type { NodeHost } from "../src/node/ports.ts";
import type { Stopped } from "../src/node/protocol.ts";
import type { Lane } from "../src/ports/network.ts";
import type { RaftMessage, RaftStatus } from "../src/raft/protocol.ts";
import type { Call, History } from "./history.ts";
import type { LostWrite } from "./lost-writes.ts";
import type { Moment } from "./moments.ts";
import type { Plan, PlannedMishap, PlannedOutsider } from "./plan.ts";

/** A computer of the simulated cluster over all the lives of its node. */
export interface Computer {
  readonly name: NodeId;
  /** Its place in the plan: 0 is the first node. */
  readonly place: number;
  /** 1 for the first start, one more at each restart. */
  readonly life: number;
  /** Null while it is down. */
  readonly host: NodeHost | null;
  /** Raft as it was after the node's last turn; null while it is down or has not opened its log. */
  readonly raft: RaftStatus | null;
  readonly disk: DiskView;
  /** What its gossip knows; null while it is down, and in plans without discovery. */
  readonly gossip: GossipStatus | null;
  /** Down for good: its disk is damaged, or has forgotten what was durable on it. */
  readonly isLost: boolean;
  /** Its process stands still. */
  readonly isPaused: boolean;
  /** It failed for ever when the others were healed, and nobody waits for it. */
  readonly isOutside: boolean;
}

/** A simulated disk as checkers may ask it; the answers hold for this very instant. */
export interface DiskView {
  /** Grows with every crash of its computer: what was asked before may be otherwise since. */
  readonly crashes: number;
  /** Something that a node cannot do without reads otherwise than it was written. */
  readonly isDamaged: boolean;
  /** True when losing the power now cannot change or take away bytes [start, end) of the file. */
  survivesPowerLoss(file: string, start: number, end: number): boolean;
  /** What the least lucky power loss would leave; copies, so ask rarely. */
  durableImage(): ReadonlyMap<string, Uint8Array>;
  /** What was written, whether it is durable or not, or even readable; copies, so ask rarely. */
  writtenImage(): ReadonlyMap<string, Uint8Array>;
}

/** Whether a process ends, and its disk goes on, or the power does. */
export type CrashKind = "process" | "power";

/** What a crash did to a disk. */
export interface CrashLoss {
  /** Bytes of completed or submitted writes that are no longer readable. */
  readonly lostBytes: number;
  /** Writes of which some sectors survived and others did not. */
  readonly tornWrites: number;
  /** Creates, renames and unlinks that are undone. */
  readonly lostNames: number;
}

/** What an observer can see at any time; `report` ends the run after the current event. */
export interface Stage {
  readonly plan: Plan;
  readonly now: Instant;
  readonly nodes: readonly Computer[];
  readonly history: History;
  report(violation: Violation): void;
}

/** A property that did not hold, with the facts that contradict each other. */
export interface Violation {
  /** Kebab-case, stable: runs are grouped and shrunk by it. */
  readonly property: string;
  /** One sentence each; two of them, as a rule, that cannot both be true. */
  readonly facts: readonly string[];
  readonly at: Instant;
  readonly node: NodeId | null;
}

/** All hooks are optional; they are called in the order in which the observers were given. */
export interface Observer {
  /** Once, before the first node starts. */
  attach?(stage: Stage): void;
  nodeStarted?(node: Computer): void;
  /** The node is gone (`host` is null) and its disk already is what the crash left. */
  nodeCrashed?(node: Computer, kind: CrashKind, loss: CrashLoss): void;
  /** The node said that it stopped; `host` still answers. */
  nodeStopped?(node: Computer, how: Stopped): void;
  /** A mishap of the plan begins, or begins to wait. */
  mishapBegan?(mishap: PlannedMishap): void;
  /** A crash has waited for this moment (sim/moments.ts), and comes next. */
  momentStruck?(node: Computer, moment: Moment): void;
  /** The node has something to tell an operator. */
  noticed?(node: Computer, notice: Notice): void;
  /** Its gossip took a turn. */
  gossiped?(node: Computer): void;
  /** A datagram of its gossip left. */
  gossipSent?(node: Computer): void;
  /** Its process stands still, and goes on. */
  nodePaused?(node: Computer): void;
  nodeResumed?(node: Computer): void;
  /** A node took a turn and all its outputs have been performed. */
  afterTurn?(node: Computer): void;
  /** Before that, where its Raft, which is up, is not what it was after the turn before. */
  raftChanged?(node: Computer, raft: RaftStatus): void;
  /** The node's disk completes nothing more, or not all, until the node dies. */
  diskHung?(node: Computer): void;
  /** Bits of what is durable on the node's disk read otherwise from here on. */
  bitsRotted?(node: Computer, bits: number): void;
  /** The node's disk acknowledges something and does not do it. */
  writeLost?(node: Computer, how: LostWrite): void;
  /** The node is down, and its disk is another one: empty, or as it was so long ago. */
  diskReplaced?(node: Computer, ageMs: number | null): void;
  /** A node is about to start on a disk that has forgotten this: only where nothing is bounded. */
  diskForgot?(node: Computer, what: string): void;
  /** The node is excused for good: it found its disk damaged, or would not have noticed. */
  diskLost?(node: Computer): void;
  /** A mishap cut paths: none of `from` reaches any of `to`, nor back when both ways. */
  pathsCut?(from: readonly NodeId[], to: readonly NodeId[], isBothWays: boolean): void;
  /** That cut is over. */
  pathsMended?(from: readonly NodeId[], to: readonly NodeId[], isBothWays: boolean): void;
  /** A node fails for ever, just after the others were healed. */
  nodeLeftOutside?(node: Computer, how: PlannedOutsider["how"]): void;
  /** It would have failed for ever, but disks are lost, and the others are no quorum without it. */
  nodeSpared?(node: Computer): void;
  /** Nothing more is asked of the run, and this is the proof that it cannot be. */
  excused?(proof: string): void;
  /** Everything recovered in time, and nobody asks anything from here on. */
  recovered?(): void;
  /** The mishaps are over; the cluster must recover from here on. */
  healed?(): void;
  operationSubmitted?(node: Computer, operation: DiskOperation): void;
  /** The operation took effect on the disk; the node hears of it next. */
  operationCompleted?(node: Computer, operation: DiskOperation, result: DiskResult): void;
  /**
   * A frame leaves a node, before the network decides its fate. `message` is null for what is not
   * Raft's (the hello) or cannot be decoded.
   */
  frameSent?(
    from: Computer,
    to: NodeId,
    lane: Lane,
    frame: FrozenBytes,
    message: RaftMessage | null,
  ): void;
  /** A full path threw a frame away. */
  frameEvicted?(from: NodeId, to: NodeId): void;
  /** A frame is in a node's mailbox; `message` is null for what is not Raft's as it was sent. */
  frameTaken?(node: Computer, from: NodeId, message: RaftMessage | null): void;
  /** A request was taken by a node's mailbox. */
  offered?(node: Computer, request: ClientRequest): void;
  /** An answer leaves a node, before the client's path decides its fate. */
  answered?(node: Computer, answer: Answer): void;
  /** A client's call has its outcome. */
  returned?(call: Call): void;
  /** Everything is healed and quiet; the last chance to report. */
  atEnd?(): void;
}
