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
  TermRun,
} from "../base/entry.ts";
import type { LogIndex, Micros, NodeId, Offset, Term, WriteId } from "../base/ids.ts";
import type { Prng } from "../base/prng.ts";

export type RaftMessage =
  /** RequestVote (paper 5.2); with preVote it asks without raising anyone's term (thesis 9.6). */
  | {
      readonly kind: "vote-request";
      /** The term the candidate has, or for a pre-vote the term it would have. */
      readonly term: Term;
      readonly lastIndex: LogIndex;
      readonly lastTerm: Term;
      readonly preVote: boolean;
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
    }
  | {
      readonly kind: "append-reply";
      readonly term: Term;
      readonly round: number;
      /** Durable here and verified to match the leader's log; meaningless when rejected. */
      readonly matchIndex: LogIndex;
      /** Null when prevIndex matched; else where to look instead (term-jump hint). */
      readonly conflict: Conflict | null;
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
  | { readonly kind: "received"; readonly from: NodeId; readonly message: RaftMessage }
  /** `proposalId` is the host's; exactly one verdict answers it. */
  | { readonly kind: "proposed"; readonly proposalId: number; readonly draft: Draft }
  /** All writes up to and with this id are durable. */
  | { readonly kind: "persisted"; readonly writeId: WriteId }
  /** Asks for the index that a linearizable read must have applied (thesis 6.4). */
  | { readonly kind: "read-requested"; readonly readId: number }
  /** A hint, never a vote: messages to this peer are being lost. */
  | { readonly kind: "peer-unreachable"; readonly peer: NodeId };

/** All that Raft decided since the last take. Everything in it may be performed at once. */
export interface RaftOutput {
  /** At most one; writes are performed in the order taken. */
  readonly write: LogWrite | null;
  readonly sends: readonly Send[];
  readonly verdicts: readonly Verdict[];
  readonly reads: readonly ReadVerdict[];
  /** Entries up to here are committed for ever. */
  readonly commitIndex: LogIndex;
}

export type Send =
  /** As it stands; an append-request in here has no entries. */
  | { readonly kind: "message"; readonly to: NodeId; readonly message: RaftMessage }
  /**
   * An append-request whose entries (prevIndex, lastIndex] the host attaches from the log: as many
   * as fit into `bytesMax` of frames, at least one. Sent only while `term` is still led.
   */
  | {
      readonly kind: "entries";
      readonly to: NodeId;
      readonly term: Term;
      readonly prevIndex: LogIndex;
      readonly prevTerm: Term;
      readonly lastIndex: LogIndex;
      readonly bytesMax: number;
      readonly commitIndex: LogIndex;
      readonly round: number;
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
      readonly why: "not-leader" | "overloaded";
      readonly leader: NodeId | null;
    }
  /** Leadership was lost after the append: it may yet commit. */
  | { readonly kind: "unknown"; readonly proposalId: number };

export type ReadVerdict =
  | { readonly kind: "ready"; readonly readId: number; readonly readIndex: LogIndex }
  | { readonly kind: "refused"; readonly readId: number; readonly leader: NodeId | null };

export type Role = "follower" | "pre-candidate" | "candidate" | "leader";

/** Who decides. A voter that is not in here counts for nothing. */
export interface Membership {
  readonly voters: readonly NodeId[];
  readonly learners: readonly NodeId[];
}

export interface RaftOptions {
  readonly self: NodeId;
  /** A timeout is drawn once from [min, max) and stored as an instant. */
  readonly electionTimeoutMin: Micros;
  readonly electionTimeoutMax: Micros;
  readonly heartbeatInterval: Micros;
  /** Frame bytes in one append-request; a single larger entry still goes alone. */
  readonly appendBytesMax: number;
  /** Appends in flight to one peer before the leader waits for an answer. */
  readonly appendsInFlightMax: number;
  /**
   * Frame bytes of uncommitted entries at the leader before proposals are refused as overloaded.
   */
  readonly uncommittedBytesMax: number;
  /** Linearizable reads waiting at once before further ones are refused. */
  readonly readsWaitingMax: number;
  readonly prng: Prng;
  readonly seal: Seal;
}

/** What the log says after recovery; all of it durable. */
export interface RaftRestored {
  readonly hardState: HardState;
  readonly membership: Membership;
  /** Committed for certain (the checkpoint's place). */
  readonly base: LogPoint;
  /** Runs of terms over [first retained index, base.index], ascending. */
  readonly termRuns: readonly TermRun[];
  /** Every entry after base, ascending. */
  readonly tail: readonly EntryHead[];
}

/** One peer as the leader sees it. */
export interface PeerStatus {
  readonly peer: NodeId;
  readonly mode: "probe" | "replicate";
  readonly matchIndex: LogIndex;
  readonly nextIndex: LogIndex;
  readonly inFlight: number;
}

/** A readable snapshot; a fresh object each time. */
export interface RaftStatus {
  readonly self: NodeId;
  readonly role: Role;
  readonly term: Term;
  readonly votedFor: NodeId | null;
  readonly leader: NodeId | null;
  readonly lastIndex: LogIndex;
  readonly lastTerm: Term;
  readonly endOffset: Offset;
  readonly commitIndex: LogIndex;
  readonly durableIndex: LogIndex;
  /** Empty unless leading. */
  readonly peers: readonly PeerStatus[];
  /** Messages without effect, because no correct peer of this cluster sends them. */
  readonly dropped: number;
  /** What was wrong with the latest of them, for people. */
  readonly lastDropped: string | null;
}
