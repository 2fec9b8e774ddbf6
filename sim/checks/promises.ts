// Nothing leaves a node before what it promises is durable there: votes, candidacies, confirmations
// of appends, answers to clients. Judged when a message or an answer leaves, so that a promise made
// too early is found at once and not only after a lucky crash. Owns what each kind of message
// promises.

import type { Answer, ClientRequest, CursorInfo } from "../../src/base/client.ts";
import type { Entry } from "../../src/base/entry.ts";
import type { Fault } from "../../src/base/faults.ts";
import type { LogIndex, NodeId, Offset, RequestId, Term } from "../../src/base/ids.ts";
import type { RaftMessage } from "../../src/raft/protocol.ts";
import { isSameHead, printOf } from "./lineage.ts";
import type { Meaning } from "./meaning.ts";
import type { Durability, Safety } from "./safety.ts";
import type { Property, Report } from "./violation.ts";
import type { Vote } from "./vote.ts";

type MessageOf<Kind extends RaftMessage["kind"]> = Extract<RaftMessage, { kind: Kind }>;
type AnswerOf<Kind extends Answer["kind"]> = Extract<Answer, { kind: Kind }>;

/** What was asked of a node, as far as its answer can be held against it. */
interface Asked {
  readonly request: ClientRequest;
  /** The end of what was committed anywhere when it was asked. */
  readonly endOffset: Offset;
  /** Of what the node itself had committed then; null when it had not opened its log. */
  readonly own: { readonly startOffset: Offset; readonly endOffset: Offset } | null;
}

/** What answers are held against. */
export interface Truth {
  readonly safety: Safety;
  readonly meaning: Meaning;
}

export class Promises {
  readonly #safety: Safety;
  readonly #meaning: Meaning;
  readonly #durability: Durability;
  readonly #report: Report;
  /** By node, its present life only. */
  readonly #asked = new Map<NodeId, Map<RequestId, Asked>>();

  constructor({ safety, meaning }: Truth, durability: Durability, report: Report) {
    this.#safety = safety;
    this.#meaning = meaning;
    this.#durability = durability;
    this.#report = report;
  }

  /** Nothing that was asked of the node before will be answered. */
  crashed(node: NodeId): void {
    this.#asked.delete(node);
  }

  // ---- between peers ----

  sent(from: NodeId, to: NodeId, message: RaftMessage): void {
    switch (message.kind) {
      case "vote-request":
        if (!message.preVote) this.#checkCandidacy(from, message);
        return;
      case "vote-reply":
        if (message.granted && !message.preVote) this.#checkVote(from, to, message);
        return;
      case "append-request":
        this.#checkAppend(from, message);
        return;
      case "append-reply":
        if (message.conflict === null) this.#checkConfirmation(from, message);
    }
  }

  #checkCandidacy(node: NodeId, { term }: MessageOf<"vote-request">): void {
    const promised: Vote = { term, votedFor: node };
    this.#checkHardState("promise-candidacy", node, promised, `asks for votes in term ${term}`);
  }

  #checkVote(node: NodeId, candidate: NodeId, { term }: MessageOf<"vote-reply">): void {
    const promised: Vote = { term, votedFor: candidate };
    const says = `grants ${candidate} its vote for term ${term}`;
    this.#checkHardState("promise-vote", node, promised, says);
    this.#safety.granted(node, term, candidate);
  }

  #checkHardState(property: Property, node: NodeId, promised: Vote, says: string): void {
    const durable = this.#durability.hardState(node);
    // A later term may have become durable in the same sync as the promised one.
    const isKept =
      durable.term > promised.term ||
      (durable.term === promised.term && durable.votedFor === promised.votedFor);
    if (!isKept) {
      const has = `its disk would leave term ${durable.term}, vote ${durable.votedFor ?? "none"}`;
      this.#found(property, node, `${node} ${says}`, has);
    }
    this.#safety.raiseFloor(node, promised, "promised");
  }

  #checkAppend(node: NodeId, message: MessageOf<"append-request">): void {
    const { term, prevIndex, prevTerm, commitIndex, entries } = message;
    const leader = this.#safety.leaderOf(term);
    const says = () => `${node} sends an append of term ${term} after ${prevIndex}@${prevTerm}`;
    if (leader !== null && leader !== node) {
      this.#found("election-safety", node, `${leader} leads term ${term}`, says());
    }
    for (const entry of entries) this.#safety.sent(node, entry);
    const own = this.#safety.lineage.termAt(prevIndex, term);
    if (own !== null && own !== prevTerm) {
      const has = `the log of the leader of term ${term} has ${prevIndex}@${own}`;
      this.#found("leader-append-only", node, has, says());
    }
    this.#checkLinks(node, message);
    const known = this.#safety.committed.lastIndex;
    if (commitIndex > known) {
      const first = `nothing is committed after index ${known}`;
      this.#found("committed-immutable", node, first, `${says()} with commitIndex ${commitIndex}`);
    }
  }

  /** The entries of one append follow one another and what it says stands before them. */
  #checkLinks(node: NodeId, { prevIndex, prevTerm, entries }: MessageOf<"append-request">): void {
    let index: number = prevIndex;
    let term: Term = prevTerm;
    for (const entry of entries) {
      if (entry.index !== index + 1 || entry.prevTerm !== term) {
        const first = `${node} sends after ${index}@${term}`;
        this.#found("log-matching", node, first, printOf(entry));
        return;
      }
      index = entry.index;
      term = entry.term;
    }
  }

  #checkConfirmation(node: NodeId, { term, matchIndex }: MessageOf<"append-reply">): void {
    const durable = this.#durability.hardState(node);
    const says = () =>
      `${node} confirms to the leader of term ${term} all entries up to ${matchIndex}`;
    if (durable.term < term) {
      const has = `its disk would leave term ${durable.term} only`;
      this.#found("promise-append", node, says(), has);
    }
    if (matchIndex === 0) return;
    const expected = this.#safety.lineage.termAt(matchIndex, term);
    const own = this.#durability.termAt(node, matchIndex);
    if (own !== null && (expected === null || own === expected)) return;
    const has =
      own === null
        ? `its disk would keep no entry ${matchIndex} through a power loss`
        : `its disk has ${matchIndex}@${own}, the leader ${matchIndex}@${expected}`;
    this.#found("promise-append", node, says(), has);
  }

  // ---- to clients ----

  asked(node: NodeId, request: ClientRequest): void {
    let asked = this.#asked.get(node);
    if (asked === undefined) {
      asked = new Map();
      this.#asked.set(node, asked);
    }
    const { endOffset } = this.#safety.committed;
    asked.set(request.requestId, { request, endOffset, own: this.#boundsOf(node) });
  }

  /** Of the records that a node may give to readers, by what it has committed. */
  #boundsOf(node: NodeId): Asked["own"] {
    const commitIndex = this.#safety.lastSeen(node)?.commitIndex ?? null;
    if (commitIndex === null || commitIndex > this.#safety.committed.lastIndex) return null;
    return {
      startOffset: this.#meaning.startOffsetAt(commitIndex),
      endOffset: this.#safety.committed.endOffsetAt(commitIndex),
    };
  }

  answered(node: NodeId, answer: Answer): void {
    const asked = this.#asked.get(node)?.get(answer.requestId) ?? null;
    switch (answer.kind) {
      case "appended":
        this.#checkAppended(node, answer, asked);
        break;
      case "fetched":
        this.#checkFetched(node, answer, asked);
        break;
      case "tail":
        this.#checkTail(node, answer.endOffset, asked);
        break;
      case "backup-begun":
        this.#checkCut(node, answer, asked);
        break;
      case "backup-part":
        if (answer.part.kind !== "entries") break;
        for (const entry of answer.part.entries) this.#checkRead(node, entry);
        break;
      case "cursors":
        for (const cursor of answer.cursors) this.#checkCursor(node, cursor);
        break;
      case "done":
        break;
      case "fault":
        this.#checkRefused(node, answer.fault, asked);
    }
    this.#asked.get(node)?.delete(answer.requestId);
  }

  #checkAppended(node: NodeId, answer: AnswerOf<"appended">, asked: Asked | null): void {
    const { index, term, offset } = answer;
    const says = () => `${node} acknowledges an append at offset ${offset}, entry ${index}@${term}`;
    const head = this.#safety.committed.at(index);
    if (head === null || head.term !== term || head.offset !== offset) {
      const second = this.#safety.committed.describe(index);
      this.#found("promise-answer", node, says(), second);
      return;
    }
    if (asked?.request.kind === "append") {
      const { draft } = asked.request;
      if (draft.bodyCrc !== head.bodyCrc || draft.count !== head.count) {
        const sent = `the append was of ${draft.count} records with crc ${draft.bodyCrc.toString(16)}`;
        this.#found(
          "promise-answer",
          node,
          `${sent}; ${says()}`,
          this.#safety.committed.describe(index),
        );
      }
    }
    const few = this.#safety.tooFewHolders(index, term);
    if (few === null) return;
    const has = `after a power loss now only ${few} would have it`;
    this.#found("promise-answer", node, says(), has);
  }

  #checkFetched(
    node: NodeId,
    { entries, endOffset }: AnswerOf<"fetched">,
    asked: Asked | null,
  ): void {
    const { committed } = this.#safety;
    const from = placeAsked(asked);
    const startOffset = asked?.own?.startOffset ?? null;
    if (from !== null && startOffset !== null && from < startOffset) {
      const first = `when ${node} was asked, the log there began at offset ${startOffset}`;
      this.#found(
        "trimmed-read",
        node,
        first,
        `it answers a read from offset ${from} with records`,
      );
    }
    if (endOffset > committed.endOffset) {
      const says = `${node} tells a reader that its log ends at offset ${endOffset}`;
      const second = `all that is committed anywhere ends at offset ${committed.endOffset}`;
      this.#found("precommitted-read", node, says, second);
    }
    for (const entry of entries) this.#checkRead(node, entry);
  }

  #checkRead(node: NodeId, entry: Entry): void {
    const { committed } = this.#safety;
    const known = committed.at(entry.index);
    if (known !== null && isSameHead(known, entry)) return;
    const says = `${node} gives a reader ${printOf(entry)}`;
    if (known === null) {
      const second = `nothing is committed after index ${committed.lastIndex}`;
      this.#found("precommitted-read", node, says, second);
    } else this.#found("inconsistent-offsets", node, says, committed.describe(entry.index));
  }

  /** The commit that it rests on is committed. */
  #checkCursor(node: NodeId, { name, offset, ttlMs, timestamp }: CursorInfo): void {
    const { committed } = this.#safety;
    for (let index = committed.lastIndex; index >= 1; index--) {
      const head = committed.at(index as LogIndex);
      const { control } = head ?? {};
      const isIt = control?.kind === "cursor" && control.name === name;
      if (isIt && control.ttlMs === ttlMs && head?.timestamp === timestamp) return;
    }
    const says = `${node} tells a client that ${name} is at ${offset}, since log time ${timestamp}`;
    const first = `up to index ${committed.lastIndex} nothing is committed that says so`;
    this.#found("cursor-read", node, first, says);
  }

  /** Only what is before the start, or not there yet, is out of range. */
  #checkRefused(node: NodeId, fault: Fault, asked: Asked | null): void {
    const from = placeAsked(asked);
    if (fault.code !== "offset-out-of-range" || from === null) return;
    const now = this.#boundsOf(node);
    const endOffset = asked?.own?.endOffset ?? null;
    if (now === null || endOffset === null || from >= endOffset) return;
    // A node may have let go of more than it knows of: before it was started again, or with a
    // snapshot. What nobody has to have any more, it need not have either.
    if (from < this.#meaning.startOffset) return;
    const first = `the log has the records from ${this.#meaning.startOffset}, ${node} those to ${now.endOffset}`;
    const says = `${node} says that offset ${from} is out of range (its log: ${fault.startOffset} to ${fault.endOffset})`;
    this.#found("trimmed-read", node, first, says);
  }

  /** A backup is cut where all is committed, no sooner than where it was when it was asked for. */
  #checkCut(node: NodeId, { backup }: AnswerOf<"backup-begun">, asked: Asked | null): void {
    const { index, term, endOffset } = backup.cut;
    const { committed } = this.#safety;
    if (committed.at(index)?.term !== term) {
      const says = `${node} begins a backup up to ${index}@${term}`;
      this.#found("precommitted-read", node, says, committed.describe(index));
    }
    this.#checkTail(node, endOffset, asked);
  }

  #checkTail(node: NodeId, endOffset: Offset, asked: Asked | null): void {
    const says = `${node} tells a client that the log ends at offset ${endOffset}`;
    const { committed } = this.#safety;
    if (asked !== null && endOffset < asked.endOffset) {
      const first = `when it was asked, all up to offset ${asked.endOffset} was committed`;
      this.#found("stale-read", node, first, says);
    }
    if (endOffset > committed.endOffset) {
      const first = `all that is committed anywhere ends at offset ${committed.endOffset}`;
      this.#found("precommitted-read", node, first, says);
    }
  }

  #found(property: Property, node: NodeId, first: string, second: string): void {
    this.#report({ property, facts: [first, second], node });
  }
}

/** Where a read was to begin; null when the node had to find that by the time. */
function placeAsked(asked: Asked | null): Offset | null {
  if (asked?.request.kind !== "fetch") return null;
  return asked.request.notBefore === undefined ? asked.request.from : null;
}
