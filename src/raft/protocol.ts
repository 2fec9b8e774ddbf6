// What consensus hears and says: the messages between peers, the events a host may give to Raft,
// and the one output it takes back. Types only. Names follow the Raft paper; places are inclusive.

import type {
  Draft,
  Entry,
  EntryHead,
  HardState,
  LogPoint,
  LogWrite,
  Seal,
  Snapshot,
  TermRun,
} from "../base/entry.ts";
import type { Instant, LogIndex, MemberId, Micros, Offset, Term, WriteId } from "../base/ids.ts";
import type { Member, Membership } from "../base/membership.ts";
import type { Prng } from "../base/prng.ts";
import type { Mend } from "./mending.ts";

export type RaftMessage =
  /** RequestVote (paper 5.2); with preVote it asks without raising anyone's term (thesis 9.6). */
  | {
      readonly kind: "vote-request";
      /** The term the candidate has, or for a pre-vote the term it would have. */
      readonly term: Term;
      readonly lastIndex: LogIndex;
      readonly lastTerm: Term;
      readonly preVote: boolean;
      /** The leader itself wants this election: nobody need be loyal to it (thesis 3.10). */
      readonly transfer: boolean;
    }
  /**
   * Echoes the term of the request when granted; else the voter's own term, so that a stale
   * candidate catches up.
   */
  | {
      readonly kind: "vote-reply";
      readonly term: Term;
      readonly granted: boolean;
      readonly preVote: boolean;
    }
  /** AppendEntries (paper 5.3); without entries it is the heartbeat. */
  | {
      readonly kind: "append-request";
      readonly term: Term;
      readonly prevIndex: LogIndex;
      readonly prevTerm: Term;
      readonly commitIndex: LogIndex;
      /**
       * The leader's count of rounds; echoed, it proves contact after the round began (ReadIndex).
       */
      readonly round: number;
      readonly entries: readonly Entry[];
      /** To a server that mends its log: what it takes to be whole again (mending.ts). */
      readonly mend?: Mend;
    }
  | {
      readonly kind: "append-reply";
      readonly term: Term;
      readonly round: number;
      /** Durable here and verified to match the leader's log; meaningless when rejected. */
      readonly matchIndex: LogIndex;
      /** Null when prevIndex matched; else where to look instead (term-jump hint). */
      readonly conflict: Conflict | null;
      /** The sender mends its log and counts for nothing: which of its losses (mending.ts). */
      readonly loss?: number;
    }
  /**
   * TimeoutNow (thesis 3.10): stand for election at once. `lastIndex` is the end of the leader's
   * log, an entry of its own term; whoever has it not, or no longer, disobeys.
   */
  | { readonly kind: "timeout-now"; readonly term: Term; readonly lastIndex: LogIndex }
  /**
   * A server that does not lead asks for the index that its readers must have applied (thesis 6.4).
   * `sequence` counts the sender's requests; it confirms nothing, the leader's own rounds do.
   */
  | { readonly kind: "read-request"; readonly term: Term; readonly sequence: number }
  /** Null: the sender does not lead, or too many reads wait there. */
  | {
      readonly kind: "read-reply";
      readonly term: Term;
      readonly sequence: number;
      readonly readIndex: LogIndex | null;
    };

/**
 * Why an append was rejected: at `prevIndex` this follower has no entry of the leader's prevTerm.
 */
export interface Conflict {
  /** The prevIndex that was refused: a reply to an older probe is told by it. */
  readonly prevIndex: LogIndex;
  /** The last index at or below prevIndex whose term here is at most prevTerm. */
  readonly hintIndex: LogIndex;
  readonly hintTerm: Term;
}

export type RaftEvent =
  | { readonly kind: "deadline" }
  | { readonly kind: "received"; readonly from: MemberId; readonly message: RaftMessage }
  /** `proposalId` is the host's; exactly one verdict answers it. */
  | { readonly kind: "proposed"; readonly proposalId: number; readonly draft: Draft }
  /**
   * Asks for another membership, any from any (paper, section 6). `proposalId` as for proposals;
   * the verdict is `committed` when the final configuration is.
   */
  | {
      readonly kind: "membership-proposed";
      readonly proposalId: number;
      readonly target: MembershipTarget;
    }
  /** Asks the leader to make another lead (thesis 3.10); exactly one transfer verdict answers. */
  | {
      readonly kind: "transfer-requested";
      readonly transferId: number;
      /** Null: whichever voter is the most caught up. */
      readonly to: MemberId | null;
    }
  /** All writes up to and with this id are durable. */
  | { readonly kind: "persisted"; readonly writeId: WriteId }
  /**
   * Asks for the index that a linearizable read must have applied (thesis 6.4). With a deadline the
   * answer is sought until then, of whoever leads; without one only a leader seeks it.
   */
  | { readonly kind: "read-requested"; readonly readId: number; readonly deadline?: Instant }
  /**
   * The leader of `term` has sent this snapshot, and the host has all of it, verified. It is
   * answered by append-replies, as entries are.
   */
  | {
      readonly kind: "snapshot-received";
      readonly from: MemberId;
      readonly term: Term;
      readonly round: number;
      readonly snapshot: Snapshot;
    }
  /** The host has sent a snapshot whole (ok), or has given up sending it. */
  | { readonly kind: "snapshot-ended"; readonly peer: MemberId; readonly ok: boolean }
  /** The host's log begins after `base` now, a committed place. */
  | { readonly kind: "trimmed"; readonly base: LogPoint }
  /**
   * The host's disk does nothing any more of what it was asked, reads included, or does again. Raft
   * sees by itself when a write takes too long.
   */
  | { readonly kind: "disk-hung"; readonly isHung: boolean }
  /** Writes wait for room on the host's disk, which works otherwise; or there is room again. */
  | { readonly kind: "disk-full"; readonly isFull: boolean }
  /** A hint, never a vote: messages to this peer are being lost. */
  | { readonly kind: "peer-unreachable"; readonly peer: MemberId };

/** What a membership is to become; in any order, nobody twice. */
export interface MembershipTarget {
  readonly voters: readonly Member[];
  readonly learners: readonly Member[];
}

/** All that Raft decided since the last take. Everything in it may be performed at once. */
export interface RaftOutput {
  /** At most one; writes are performed in the order taken. */
  readonly write: LogWrite | null;
  readonly sends: readonly Send[];
  readonly verdicts: readonly Verdict[];
  readonly reads: readonly ReadVerdict[];
  readonly transfers: readonly TransferVerdict[];
  /** The membership in force, when it is another than at the last take, or at the start. */
  readonly membership: Membership | null;
  /** Entries up to here are committed for ever. */
  readonly commitIndex: LogIndex;
}

export type Send =
  /** As it stands; an append-request in here has no entries. */
  | { readonly kind: "message"; readonly to: MemberId; readonly message: RaftMessage }
  /**
   * An append-request whose entries (prevIndex, lastIndex] the host attaches from the log: as many
   * as fit into `bytesMax` of frames, at least one. Sent only while `term` is still led.
   */
  | {
      readonly kind: "entries";
      readonly to: MemberId;
      readonly term: Term;
      readonly prevIndex: LogIndex;
      readonly prevTerm: Term;
      readonly lastIndex: LogIndex;
      readonly bytesMax: number;
      readonly commitIndex: LogIndex;
      readonly round: number;
    }
  /**
   * Entries that this peer needs are trimmed: it is to be brought the base checkpoint, at `at` or
   * later. Nothing else is asked for it until it has that, or `snapshot-ended` comes.
   */
  | {
      readonly kind: "snapshot";
      readonly to: MemberId;
      readonly term: Term;
      readonly round: number;
      readonly at: LogIndex;
    };

export type Verdict =
  | {
      readonly kind: "committed";
      readonly proposalId: number;
      readonly index: LogIndex;
      readonly term: Term;
      readonly offset: Offset;
    }
  /** Definite: the draft is not in the log and never will be. */
  | {
      readonly kind: "refused";
      readonly proposalId: number;
      readonly why: Refusal;
      readonly leader: MemberId | null;
      /** For people: what is invalid, who is behind. */
      readonly what?: string;
    }
  /** Leadership was lost after the append: it may yet commit. */
  | { readonly kind: "unknown"; readonly proposalId: number };

export type Refusal =
  | "not-leader"
  /** Too many bytes are uncommitted. */
  | "overloaded"
  /** Leadership is on its way to another; it is over within electionTimeoutMax. */
  | "transferring"
  /** No membership can be so. */
  | "invalid"
  /** One change of membership at a time. */
  | "change-in-progress"
  /** A new leader has not committed an entry of its own term yet. */
  | "not-ready"
  /** A learner that is to be a voter lacks more than one append. */
  | "not-caught-up";

export type ReadVerdict =
  /** Whoever has applied `readIndex` may read. It may not be committed here yet. */
  | { readonly kind: "ready"; readonly readId: number; readonly readIndex: LogIndex }
  | { readonly kind: "refused"; readonly readId: number; readonly leader: MemberId | null };

export type TransferVerdict =
  | { readonly kind: "completed"; readonly transferId: number }
  | {
      readonly kind: "aborted";
      readonly transferId: number;
      readonly why:
        | "not-leader"
        | "not-a-voter"
        /** Not for electionTimeoutMin: nothing could be proposed while it is waited for. */
        | "does-not-answer"
        | "transferring"
        | "timed-out"
        | "another-leader";
    };

export type Role = "follower" | "pre-candidate" | "candidate" | "leader";

export interface RaftOptions {
  readonly self: MemberId;
  /** A timeout is drawn once from [min, max) and stored as an instant. */
  readonly electionTimeoutMin: Micros;
  readonly electionTimeoutMax: Micros;
  readonly heartbeatInterval: Micros;
  /** Frame bytes in one append-request; a single larger entry still goes alone. */
  readonly appendBytesMax: number;
  /** Appends in flight to one peer before the leader waits for an answer. */
  readonly appendsInFlightMax: number;
  /**
   * Frame bytes in flight to one peer at which no further append leaves before an answer comes; the
   * last one to leave may go beyond it. Absent: appendsInFlightMax times appendBytesMax, which
   * entries larger than appendBytesMax would pass otherwise.
   */
  readonly bytesInFlightMax?: number;
  /**
   * Frame bytes of uncommitted entries at the leader before proposals are refused as overloaded.
   */
  readonly uncommittedBytesMax: number;
  /** Linearizable reads waiting at once before further ones are refused. */
  readonly readsWaitingMax: number;
  /**
   * A write that is outstanding for so long makes a leader give way, and keeps every other server
   * from standing for election; at least electionTimeoutMax, absent: four times that.
   */
  readonly diskPatience?: Micros;
  /**
   * A leader without entries for a peer tells it a new commit index after so long, unless entries
   * or a heartbeat have told it by then; absent: at once. Under load the next entries tell it
   * anyway: waiting for them spares a message and its answer for each commit.
   */
  readonly commitNoticeDelay?: Micros;
  /**
   * A follower that the host tells of a lost connection to the leader waits for no more than this
   * part of its election timeout (1/n), and no longer vouches for that leader; absent: all of it. A
   * leader that lives is to be heard again by then: keep the part above heartbeatInterval.
   */
  readonly lostLeaderDivisor?: number;
  readonly prng: Prng;
  readonly seal: Seal;
}

/** What the log says after recovery; all of it durable. */
export interface RaftRestored {
  readonly hardState: HardState;
  /** The committed membership as of `base`; NO_MEMBERS where none is known yet. */
  readonly membership: Membership;
  /** Committed for certain (the checkpoint's place). */
  readonly base: LogPoint;
  /** Runs of terms over [first retained index, base.index], ascending. */
  readonly termRuns: readonly TermRun[];
  /** The place the retained log begins after; absent where the first entry ever is retained. */
  readonly start?: LogPoint;
  /** Every entry after base, ascending; membership entries with what they say. */
  readonly tail: readonly EntryHead[];
}

/** One peer as the leader sees it. */
export interface PeerStatus {
  readonly peer: MemberId;
  readonly mode: "probe" | "replicate" | "snapshot";
  readonly matchIndex: LogIndex;
  readonly nextIndex: LogIndex;
  /** Appends without an answer; a checkpoint on its way is one. */
  readonly inFlight: number;
  /** Frame bytes of a pipeline without an answer; 0 where the host cuts the appends. */
  readonly bytesInFlight: number;
  /** It has lost entries and counts for nothing until it has them again. */
  readonly isMending: boolean;
}

/** A readable snapshot. */
export interface RaftStatus {
  readonly self: MemberId;
  readonly role: Role;
  readonly term: Term;
  readonly votedFor: MemberId | null;
  readonly leader: MemberId | null;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  readonly endOffset: Offset;
  readonly commitIndex: LogIndex;
  readonly durableIndex: LogIndex;
  /** In force: the last in the log, committed or not. */
  readonly membership: Membership;
  readonly committedMembership: Membership;
  /** Whether this server votes and may lead under `membership`. */
  readonly isVoter: boolean;
  /** Its log has lost entries: until it has them again it neither votes nor stands. */
  readonly isMending: boolean;
  /** Whom leadership is on its way to, as long as this server leads. */
  readonly transferTo: MemberId | null;
  /** Empty unless leading; with removed members that have not been told yet. */
  readonly peers: readonly PeerStatus[];
  /** Messages without effect, because no correct peer of this cluster sends them. */
  readonly dropped: number;
  /** What was wrong with the latest of them, for people. */
  readonly lastDropped: string | null;
}
