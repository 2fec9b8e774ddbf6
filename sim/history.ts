// What the clients of a run asked and were told, as one list in the order of their calls. Owns the
// record and nothing else: who asks is sim/sim-client.ts, who judges is sim/checks.

import type { CursorInfo } from "../src/base/client.ts";
import type { EntryHead, LogPoint } from "../src/base/entry.ts";
import type { FaultCode } from "../src/base/faults.ts";
import type { Instant, LogIndex, NodeId, Offset, Term } from "../src/base/ids.ts";
import { NEVER } from "../src/base/ids.ts";
import type { Checkpoint } from "../src/log/checkpoint.ts";
import type { ReadFrom, ReadRequest } from "../src/service/batch-reads.ts";

/** Names one record of the whole run: no two drafts carry the same. */
export type RecordId = number;

/** A record as a reader saw it; its value has already been checked against its own checksum. */
export interface SeenRecord {
  readonly offset: Offset;
  readonly record: RecordId;
}

/** How fresh the log of the node must be that answers. */
export type Consistency = ReadRequest["consistency"];

/** What was asked. */
export type Question =
  | {
      readonly kind: "append";
      readonly records: readonly RecordId[];
      /** 0 without a producer: such an append is sent once and never again. */
      readonly producerId: number;
      readonly epoch: number;
      /** Of the first record. */
      readonly sequence: number;
      readonly expectedEndOffset: Offset | null;
      /** The token that the writer names; absent: none, and no fence keeps it out. */
      readonly fencingToken?: string;
    }
  /** One fetch at one node. A stream reader is many of these, with one `stream` name. */
  | {
      readonly kind: "read";
      readonly node: NodeId;
      /** The life of the node that answered is in the facts. */
      readonly from: Offset;
      readonly wait: boolean;
      /**
       * Null for a read that stands alone; calls of one stream continue where the last one ended.
       */
      readonly stream: number | null;
    }
  /** One fetch at one node, from a place that the node finds. */
  | {
      readonly kind: "seek";
      readonly node: NodeId;
      readonly from: ReadFrom;
      readonly consistency: Consistency;
    }
  /** Of one node's log, up to an index that a quorum confirms. */
  | { readonly kind: "backup"; readonly node: NodeId }
  | { readonly kind: "check-tail" }
  | {
      readonly kind: "commit-cursor";
      readonly name: string;
      /** Null deletes it. */
      readonly offset: Offset | null;
      /** Unlike that of any other commit of the run: the log says by it whose commit it has. */
      readonly ttlMs: number;
      /** Where the consumer believes it to be, null for nowhere; absent: wherever. */
      readonly expected?: Offset | null;
    }
  | {
      readonly kind: "fetch-cursors";
      readonly node: NodeId;
      /** Null for all. */
      readonly names: readonly string[] | null;
      readonly consistency: Consistency;
    }
  | {
      readonly kind: "fence";
      /** Unlike that of any other fence of the run. */
      readonly token: string;
      /** Absent: whatever it is. */
      readonly expected?: string;
    };

/**
 * How it ended. ok: it happened, as the facts say. fail: it did not happen and never will. unknown:
 * the client cannot tell. pending: no outcome when the run ended.
 */
export type Outcome = "pending" | "ok" | "fail" | "unknown";

/** What was told. */
export type Facts =
  /** Also of a cursor's commit and of a fence: their entries have no records. */
  | {
      readonly kind: "appended";
      readonly offset: Offset;
      readonly index: LogIndex;
      readonly term: Term;
      readonly duplicate: boolean;
    }
  | {
      readonly kind: "read";
      readonly node: NodeId;
      readonly life: number;
      readonly records: readonly SeenRecord[];
      readonly endOffset: Offset;
    }
  | { readonly kind: "tail"; readonly endOffset: Offset }
  | {
      readonly kind: "cursors";
      readonly node: NodeId;
      readonly life: number;
      readonly cursors: readonly CursorInfo[];
    }
  | BackupFacts
  | { readonly kind: "fault"; readonly code: FaultCode };

/** A backup as its files say. */
export interface BackupFacts {
  readonly kind: "backup";
  readonly node: NodeId;
  readonly life: number;
  /** Where it was to be cut, as the node said when it began. */
  readonly cut: LogPoint;
  readonly endOffset: Offset;
  readonly startOffset: Offset;
  readonly base: Checkpoint | null;
  readonly heads: readonly EntryHead[];
  /** Why the files cannot be read back; null when they can. */
  readonly damage: string | null;
}

/** One call of one client; `end`, `outcome` and `facts` are set when it returns. */
export interface Call {
  readonly id: number;
  /** A client has one call at a time. */
  readonly client: number;
  readonly question: Question;
  readonly start: Instant;
  /** NEVER while pending. */
  end: Instant;
  outcome: Outcome;
  facts: Facts | null;
  /** Requests it took, the first one included. */
  attempts: number;
}

/** The calls of a run, in the order in which they began. */
export class History {
  readonly calls: Call[] = [];

  begin(client: number, question: Question, at: Instant): Call {
    const call: Call = {
      id: this.calls.length,
      client,
      question,
      start: at,
      end: NEVER,
      outcome: "pending",
      facts: null,
      attempts: 0,
    };
    this.calls.push(call);
    return call;
  }

  finish(call: Call, outcome: Outcome, facts: Facts | null, at: Instant): void {
    call.end = at;
    call.outcome = outcome;
    call.facts = facts;
  }
}
