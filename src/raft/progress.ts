// One peer as the leader sees it: how far its log is known to match, what to send next, and how
// much may be in flight. Owns its transitions; leader.ts makes the messages. Instants come from the
// leader.
//
//             an append or its hint shows where the logs join
//        +---------+ ---------------------------------> +-----------+
//   ---> |  probe  |                                    | replicate |
//        +---------+ <--------------------------------- +-----------+
//   one append at a time;   a refusal, a lost link,       appends in a pipeline,
//   nextIndex is a guess    sizes no longer known         nextIndex runs ahead
//         |     ^                                            ^
//         |     | the host sent it, or gave up               | any acknowledgement that
//         v     |                                            | joins on to the leader's log
//        +----------+ ---------------------------------------+
//        | snapshot |   entries it needs are trimmed: the host brings it a checkpoint
//        +----------+

import { assert } from "../base/assert.ts";
import {
  after,
  type Instant,
  type LogIndex,
  type MemberId,
  type Micros,
  NO_INDEX,
} from "../base/ids.ts";
import type { LogTail } from "./log-tail.ts";
import { type Credit, type Mend, PeerLosses } from "./mending.ts";
import type { Conflict, PeerStatus, RaftOptions } from "./protocol.ts";

export class Progress {
  readonly peer: MemberId;
  readonly #inFlightMax: number;
  readonly #bytesInFlightMax: number;
  #mode: PeerStatus["mode"] = "probe";
  /**
   * Verified and durable at the peer. Only its acknowledgements raise it; nothing lowers it but its
   * own word that it has lost what it had acknowledged. Invariant: matchIndex < nextIndex. What a
   * peer that mends has counts for nothing (peers.ts), but is true.
   */
  #matchIndex: LogIndex = NO_INDEX;
  /** The leader's round when matchIndex last rose. */
  #matchRound = 0;
  #nextIndex: LogIndex;
  /** Probe mode: the one append is on its way. */
  #probeIsOut = false;
  /** Snapshot mode: the place of the checkpoint that the host was told to bring. */
  #snapshotIndex: LogIndex = NO_INDEX;
  /** Replicate mode: the last index of each append on its way, ascending. */
  readonly #inFlight: LogIndex[] = [];
  /** Since when the oldest append has waited, without progress and without a question after it. */
  #waitingSince: Instant;
  /** The commit index this peer has been told, if nothing was lost. */
  #toldCommit: LogIndex = NO_INDEX;
  #contactAt: Instant;
  #round = 0;
  readonly #losses = new PeerLosses();

  /** `nextIndex` is the leader's first guess: just after its own log (paper, Figure 2). */
  constructor(peer: MemberId, nextIndex: LogIndex, now: Instant, options: RaftOptions) {
    const { appendsInFlightMax, appendBytesMax } = options;
    this.peer = peer;
    this.#bytesInFlightMax = options.bytesInFlightMax ?? appendsInFlightMax * appendBytesMax;
    this.#nextIndex = nextIndex;
    this.#inFlightMax = appendsInFlightMax;
    this.#contactAt = now;
    this.#waitingSince = now;
  }

  get mode(): PeerStatus["mode"] {
    return this.#mode;
  }

  get matchIndex(): LogIndex {
    return this.#matchIndex;
  }

  get nextIndex(): LogIndex {
    return this.#nextIndex;
  }

  get toldCommit(): LogIndex {
    return this.#toldCommit;
  }

  /** When the peer last answered in this term; at first, when the leadership began. */
  get contactAt(): Instant {
    return this.#contactAt;
  }

  /** The newest round the peer has answered. */
  get round(): number {
    return this.#round;
  }

  status(tail: LogTail): PeerStatus {
    return {
      peer: this.peer,
      mode: this.#mode,
      matchIndex: this.#matchIndex,
      nextIndex: this.#nextIndex,
      inFlight: this.#onTheWay(),
      bytesInFlight: this.#bytesOnTheWay(tail),
      isMending: this.isMending,
    };
  }

  /** Whether `before` says what `status` would. */
  isStill(before: PeerStatus, tail: LogTail): boolean {
    return (
      before.matchIndex === this.#matchIndex &&
      before.nextIndex === this.#nextIndex &&
      before.inFlight === this.#onTheWay() &&
      before.bytesInFlight === this.#bytesOnTheWay(tail) &&
      before.mode === this.#mode &&
      before.isMending === this.isMending &&
      before.peer === this.peer
    );
  }

  #onTheWay(): number {
    if (this.#mode === "snapshot") return 1;
    return this.#mode === "probe" ? Number(this.#probeIsOut) : this.#inFlight.length;
  }

  /**
   * Of a pipeline: everything between what the peer has and what is sent next. A number that is
   * never counted up and down cannot leak (etcd/raft a370b6f).
   */
  #bytesOnTheWay(tail: LogTail): number {
    if (this.#inFlight.length === 0) return 0;
    return tail.knownBytesBetween(this.#matchIndex, (this.#nextIndex - 1) as LogIndex);
  }

  /** It has lost entries and counts for nothing until it has them again. */
  get isMending(): boolean {
    return this.#losses.isMending;
  }

  get mend(): Mend {
    return this.#losses.mend;
  }

  /** How an answer is to be taken, see PeerLosses; of a new loss nothing is left that it had. */
  credit(loss: number, echoed: number, round: number, lastIndex: LogIndex): Credit {
    const credit = this.#losses.credit(loss, echoed, round, lastIndex);
    if (credit === "lost") this.#forgetMatch();
    return credit;
  }

  /** Where its log ends now a probe will show: it is asked where it was last believed to be. */
  #forgetMatch(): void {
    this.#matchIndex = NO_INDEX;
    if (this.#mode !== "replicate") return;
    const nextIndex = this.#nextIndex;
    this.#becomeProbe();
    this.#nextIndex = nextIndex;
  }

  /** Any answer of this term: the peer was alive and followed us when `round` reached it. */
  answered(now: Instant, round: number): void {
    this.#contactAt = now;
    if (round > this.#round) this.#round = round;
  }

  /**
   * Whether an append may leave now, and first whether it may leave in a pipeline: without sizes
   * the host decides where an append ends, and only the answer tells.
   */
  mayAppend(tail: LogTail): boolean {
    if (this.#nextIndex > tail.lastIndex || this.#mode === "snapshot") return false;
    if (this.#mode === "probe") return !this.#probeIsOut;
    if (tail.isRecent((this.#nextIndex - 1) as LogIndex)) {
      if (this.#inFlight.length >= this.#inFlightMax) return false;
      return this.#bytesOnTheWay(tail) < this.#bytesInFlightMax;
    }
    if (this.#inFlight.length > 0) return false;
    this.#becomeProbe();
    return true;
  }

  /** An append up to `lastIndex` leaves, and tells of `commitIndex`. */
  appendSent(now: Instant, lastIndex: LogIndex, commitIndex: LogIndex): void {
    if (this.#mode === "probe") {
      this.#probeIsOut = true;
      this.#waitingSince = now;
      return;
    }
    assert(lastIndex >= this.#nextIndex, "an append goes forward", lastIndex, this.#nextIndex);
    if (this.#inFlight.length === 0) this.#waitingSince = now;
    this.#inFlight.push(lastIndex);
    this.#nextIndex = (lastIndex + 1) as LogIndex;
    this.commitTold(Math.min(commitIndex, lastIndex) as LogIndex);
  }

  commitTold(commitIndex: LogIndex): void {
    if (commitIndex > this.#toldCommit) this.#toldCommit = commitIndex;
  }

  /** Whether what it needs next is trimmed away from a log that begins after `startIndex`. */
  needsSnapshot(startIndex: LogIndex): boolean {
    return this.#nextIndex <= startIndex;
  }

  /** The host is told to bring the peer the checkpoint at `index`. */
  snapshotSent(index: LogIndex): void {
    this.#becomeProbe();
    this.#mode = "snapshot";
    this.#snapshotIndex = index;
  }

  /**
   * The host has sent the snapshot whole, or has given up. The peer's next acknowledgement says
   * what it has; if none shows progress, all begins anew as if a probe had been lost `since` then.
   */
  snapshotEnded(since: Instant): void {
    if (this.#mode !== "snapshot") return;
    this.#becomeProbe();
    this.#probeIsOut = true;
    this.#waitingSince = since;
  }

  /**
   * The peer has everything up to `matchIndex`, durable and verified. Says whether that was news.
   * The leader is in `round`, and its log begins after `startIndex`.
   */
  acknowledged(now: Instant, round: number, matchIndex: LogIndex, startIndex: LogIndex): boolean {
    const isNews = matchIndex > this.#matchIndex;
    if (isNews) {
      this.#matchIndex = matchIndex;
      this.#matchRound = round;
      this.#waitingSince = now;
    }
    if (this.#mode === "replicate") {
      // PERF: at most appendsInFlightMax long.
      while ((this.#inFlight[0] ?? matchIndex + 1) <= matchIndex) this.#inFlight.shift();
      if (this.#nextIndex <= matchIndex) this.#nextIndex = (matchIndex + 1) as LogIndex;
    } else if (this.#mode === "snapshot") {
      this.#maybeLeaveSnapshot(startIndex);
    } else if (matchIndex >= this.#nextIndex || this.#joinsAt(matchIndex)) {
      this.#becomeProbe();
      this.#mode = "replicate";
    }
    return isNews;
  }

  /**
   * Takes back all that the peer has acknowledged, if it refuses a place that it had acknowledged
   * when the round of the refused request began: it has lost durable entries, for within a term
   * nothing else takes them away. Whatever it is sent anew counts once it is durable there. A
   * refusal of an earlier round is merely late. Says whether anything was lost.
   *
   *   1. it acknowledges entries up to 9; the leader counts that, in its round 4
   *   2. an append after entry 7, sent in round 3, was refused before they came: it proves nothing
   *   3. a heartbeat of round 5 speaks of entry 9, and is refused: entry 9 is gone
   */
  maybeLost({ prevIndex }: Conflict, round: number): boolean {
    if (prevIndex > this.#matchIndex || round <= this.#matchRound) return false;
    this.#matchIndex = NO_INDEX;
    return true;
  }

  /**
   * The peer refused an append. Steps nextIndex back over everything that cannot match (paper,
   * section 5.3; our half of the jump is `tail.lastAtMost`); matchIndex stays, for a refusal proves
   * nothing there. A refusal of something no longer asked is ignored. Says whether it counted.
   */
  refused({ prevIndex, hintIndex, hintTerm }: Conflict, tail: LogTail): boolean {
    if (this.#mode === "snapshot") return false;
    if (prevIndex <= this.#matchIndex || prevIndex >= this.#nextIndex) return false;
    if (this.#mode === "probe" && prevIndex !== this.#nextIndex - 1) return false;
    const joins = hintTerm > 0 ? tail.lastAtMost(hintIndex, hintTerm).index : hintIndex;
    this.#becomeProbe();
    // Below what was refused, above what is known to match.
    const next = Math.max(Math.min(joins + 1, prevIndex), this.#matchIndex + 1);
    this.#nextIndex = next as LogIndex;
    return true;
  }

  /** Messages to the peer are being lost: no use in a pipeline until it answers. */
  unreachable(now: Instant): void {
    if (this.#mode === "replicate") this.#becomeProbe();
    else this.snapshotEnded(now);
  }

  /**
   * The peer answers, yet the oldest append has waited for longer than `patience`: it may be lost.
   * A probe is sent again; of a pipeline the caller asks whether its end has arrived, unless that
   * place is trimmed away, so that no answer could tell. At most once each `patience`. Says which.
   */
  takeStuck(now: Instant, patience: Micros, startIndex: LogIndex): "probe" | "pipeline" | null {
    if (!this.#probeIsOut && this.#inFlight.length === 0) return null;
    if (now < after(this.#waitingSince, patience)) return null;
    this.#waitingSince = now;
    if (this.#mode === "replicate") {
      if (!this.needsSnapshot(startIndex)) return "pipeline";
      this.#becomeProbe();
    }
    this.#probeIsOut = false;
    return "probe";
  }

  /** Any checkpoint that joins on to the leader's log is as good as the one that was asked for. */
  #maybeLeaveSnapshot(startIndex: LogIndex): void {
    if (this.#matchIndex < this.#snapshotIndex) return;
    this.#becomeProbe();
    if (!this.needsSnapshot(startIndex)) this.#mode = "replicate";
  }

  /** An answer that shows the guess to be right, when no probe is out to be told apart from. */
  #joinsAt(matchIndex: LogIndex): boolean {
    return !this.#probeIsOut && matchIndex === this.#nextIndex - 1;
  }

  #becomeProbe(): void {
    this.#mode = "probe";
    this.#probeIsOut = false;
    this.#inFlight.length = 0;
    this.#nextIndex = (this.#matchIndex + 1) as LogIndex;
  }
}
