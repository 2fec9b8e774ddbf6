// What `import ... from "cairnlog/raft"` gives: the bare consensus core, to be driven by hand. You
// bring the clock, the disk and the network; the core says what to write, what to send and what is
// committed. src/raft/protocol.ts is its contract, examples/counter.ts a complete host. Owns
// defaults for those who have no frames and no files; decides nothing.
//
// The host's part, in order of importance:
//   1. performs each `write` in the order taken, and says `persisted` when it is on disk;
//   2. delivers messages, or loses them, in any order; never changes them;
//   3. comes back with "deadline" at `deadline`, by a clock that does not run backwards;
//   4. after a restart gives back what was durable, as `restored`.

import { type FrozenBytes, freeze } from "./base/bytes.ts";
import {
  type Draft,
  type EntryHead,
  FRAME_HEADER_BYTES,
  type HardState,
  LOG_START,
} from "./base/entry.ts";
import { type Instant, type MemberId, millis, NO_TERM, type WallMs } from "./base/ids.ts";
import { membershipOf } from "./base/membership.ts";
import { Prng } from "./base/prng.ts";
import type { RaftOptions, RaftRestored } from "./raft/protocol.ts";
import { Raft } from "./raft/raft.ts";

export { InvariantViolation } from "./base/assert.ts";
export type { Draft, Entry, HardState, LogPoint, LogWrite, Snapshot } from "./base/entry.ts";
export { bodyOf, LOG_START, pointAfter } from "./base/entry.ts";
export {
  type Instant,
  type LogIndex,
  type MemberId,
  type Micros,
  millis,
  NEVER,
  type Term,
  type WriteId,
} from "./base/ids.ts";
export { type Member, type Membership, membershipOf, NO_MEMBERS } from "./base/membership.ts";
export { Prng } from "./base/prng.ts";
export { describeMessage } from "./raft/describe.ts";
export type * from "./raft/protocol.ts";

export interface RaftNodeOptions extends Partial<Omit<RaftOptions, "self" | "prng">> {
  /** This member's id: any text that is its own in the cluster. */
  readonly id: string;
  /** The ids of all voters of a new cluster; what `restored` says goes before it. */
  readonly voters: readonly string[];
  /** Equal seeds draw equal election timeouts. */
  readonly seed: string;
  /** What was durable before a restart; absent for a server that begins. */
  readonly restored?: RaftRestored;
}

/** Timeouts for one network; the bounds are in bytes of `Draft.bytes`. */
const DEFAULTS = {
  electionTimeoutMin: millis(150),
  electionTimeoutMax: millis(300),
  heartbeatInterval: millis(50),
  appendBytesMax: 1024 * 1024,
  appendsInFlightMax: 16,
  uncommittedBytesMax: 64 * 1024 * 1024,
  readsWaitingMax: 4096,
  seal: (_head: EntryHead, bytes: Uint8Array): FrozenBytes => freeze(bytes),
};

/** One server's consensus with everything but the essentials chosen. */
export class RaftNode extends Raft {
  /** `now` is the host's clock, in microseconds from anywhere. */
  constructor(options: RaftNodeOptions, now: Instant) {
    const { id, voters, seed, restored, ...rest } = options;
    const self = id as MemberId;
    const begun = restored ?? restoredFrom(voters, NEVER_VOTED, []);
    super({ ...DEFAULTS, ...rest, self, prng: new Prng(seed) }, begun, now);
  }
}

/** The hard state of a server that begins. */
export const NEVER_VOTED: HardState = { term: NO_TERM, votedFor: null };

/** What a restart begins with, for a host that keeps the whole log: all that was durable. */
export function restoredFrom(
  voters: readonly string[],
  hardState: HardState,
  entries: readonly EntryHead[],
): RaftRestored {
  const membership = membershipOf(voters.map((id) => ({ id: id as MemberId, address: "" })));
  return { hardState, membership, base: LOG_START, termRuns: [], tail: entries };
}

/** A draft of one user's command; `body` is copied, and is what `bodyOf` its entry gives. */
export function commandDraft(body: Uint8Array, wallMs = 0): Draft {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + body.length);
  bytes.set(body, FRAME_HEADER_BYTES);
  return {
    kind: "command",
    codec: 0,
    critical: true,
    count: 1,
    timestamp: wallMs as WallMs,
    bodyCrc: 0,
    rawLength: body.length,
    producerId: 0,
    epoch: 0,
    sequence: 0,
    bytes,
  };
}
