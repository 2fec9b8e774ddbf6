// Elections that nobody needed, and leaders that nobody follows: who hears a leader is loyal to it,
// a leader that no quorum answers gives up, and who hears of a later term enters it. A run that
// breaks one of these may well keep every promise about its log; it only serves badly. Owns who was
// heard when, as far as their frames came into mailboxes; grants and roles are looked at.

import type { MemberId, NodeId, Term } from "../../src/base/ids.ts";
import { nameOf } from "../../src/base/membership.ts";
import { MAIL_CLASSES } from "../../src/node/mailbox.ts";
import type { RaftMessage, RaftStatus } from "../../src/raft/protocol.ts";
import type { Computer } from "../observer.ts";
import type { Plan } from "../plan.ts";
import type { Property, Report } from "./violation.ts";

/** A leader whose term was heard, and when that came into the mailbox. */
interface Heard {
  readonly at: number;
  readonly term: Term;
}

/** A later term that a node has been told of and has not entered. */
interface Told {
  readonly term: Term;
  readonly from: NodeId;
  readonly what: string;
  /** Turns in which the mail may still wait behind other mail. */
  turnsLeft: number;
}

/** What is known of one life of a node. */
interface Watched {
  turns: number;
  /** After its last turn. */
  last: RaftStatus | null;
  heard: Heard | null;
  /** Requests for votes that are not answered yet: whom the node had heard when each came. */
  readonly asked: Map<string, Heard | null>;
  /** The latest term in a message that anybody must believe. */
  latestTerm: Term;
  told: Told | null;
  /** By peer: the turn in which it said something that may have cost it its link. */
  readonly strange: Map<NodeId, number>;
  /** Leading: when each peer's last answer of this term came, and since when it could be missed. */
  readonly answeredAt: Map<NodeId, number>;
  since: number;
}

/** Beyond the mailbox: links that open and close, and what comes first of all mail. */
const SPARE_TURNS = 8;

export class Elections {
  readonly #report: Report;
  /** Half of the least election timeout: a clock that runs fast is not a clock that jumps. */
  readonly #loyalty: number;
  /** Twice the greatest, for slow clocks and mail that waits. */
  readonly #patience: number;
  /** After so many turns all that was in a mailbox is heard: each class has its share of each. */
  readonly #mailTurns: number;
  readonly #watched = new Map<NodeId, Watched>();

  constructor({ options }: Plan, report: Report) {
    this.#report = report;
    // Who minds a lost link is loyal to nobody behind it, and what a node knows of links is its
    // own.
    this.#loyalty = options.lostLeaderDivisor > 1 ? 0 : options.electionTimeoutMinMs * 500;
    this.#patience = options.electionTimeoutMaxMs * 2000;
    const share = Math.ceil(options.turnEventsMax / MAIL_CLASSES.length);
    this.#mailTurns = Math.ceil(options.mailboxEventsMax / share) + SPARE_TURNS;
  }

  wentDown(node: NodeId): void {
    this.#watched.delete(node);
  }

  /** It has missed nothing while it stood still: its mail waits. */
  resumed(node: NodeId, now: number): void {
    this.#of(node).since = now;
  }

  // ---- what a node hears ----

  taken(node: Computer, from: NodeId, message: RaftMessage | null, now: number): void {
    const watched = this.#of(node.name);
    if (message === null) {
      // A hello, or damage: links may be closed by it, and what they brought is not heard.
      watched.strange.set(from, watched.turns);
      watched.told = null;
      return;
    }
    const { raft } = node;
    if (raft === null) return;
    const { kind, term } = message;
    if (kind === "vote-request") {
      const key = keyOf(from, message);
      if (!watched.asked.has(key)) watched.asked.set(key, watched.heard);
      return;
    }
    if (!mustBeBelieved(message)) return;
    if (term > watched.latestTerm) watched.latestTerm = term;
    if (kind === "append-request" && message.entries.length === 0 && term >= raft.term)
      watched.heard = { at: now, term };
    if (kind === "append-reply" && term === raft.term) watched.answeredAt.set(from, now);
    if (term > raft.term) this.#hearsOf(node, watched, from, message);
  }

  #hearsOf(node: Computer, watched: Watched, from: NodeId, { kind, term }: RaftMessage): void {
    if (term <= (watched.told?.term ?? 0) || node.host?.status().state !== "serving") return;
    const isMember = isMemberOf(node.raft, from);
    const strangeAt = watched.strange.get(from);
    const isTrusted = strangeAt === undefined || watched.turns - strangeAt > this.#mailTurns;
    if (!isMember || !isTrusted) return;
    const what = `an ${kind} of ${from}, of term ${term}, came into the mailbox of ${node.name}`;
    watched.told = { term, from, what, turnsLeft: this.#mailTurns };
  }

  // ---- what a node does ----

  sent({ name }: Computer, to: NodeId, message: RaftMessage, now: number): void {
    if (message.kind !== "vote-reply" || !message.granted) return;
    const watched = this.#of(name);
    // A transfer is asked for by the leader itself, so that nobody need be loyal to it.
    const key = keyOf(to, { ...message, transfer: false });
    const heard = watched.asked.get(key);
    watched.asked.delete(key);
    const { last, latestTerm } = watched;
    if (heard === undefined || heard === null || heard.term < latestTerm) return;
    if (last?.role !== "follower" || last.term !== heard.term || last.leader === null) return;
    const agoMicros = now - heard.at;
    if (agoMicros >= this.#loyalty) return;
    const first = `${agoMicros} us ago the leader of term ${heard.term} was heard by ${name}`;
    const what = message.preVote ? "pre-vote" : "vote";
    const second = `${name} gives ${to} its ${what} for term ${message.term}`;
    this.#found("leader-loyalty", name, first, second);
  }

  afterTurn(node: Computer, now: number): void {
    const watched = this.#of(node.name);
    const { raft } = node;
    const before = watched.last;
    watched.turns++;
    watched.last = raft;
    if (raft === null) return;
    if (raft.role !== "leader" || before?.role !== "leader" || before.term !== raft.term) {
      watched.since = now;
      watched.answeredAt.clear();
    } else if (before.membership.voters !== raft.membership.voters) {
      // Another quorum must answer from here on, and it has had no time to.
      watched.since = now;
    } else this.#checkFollowed(node.name, watched, raft, now);
    this.#checkEntered(node, watched, raft);
  }

  #checkFollowed(name: NodeId, watched: Watched, raft: RaftStatus, now: number): void {
    // PERF: nobody is missed as long as this is young.
    if (now - watched.since <= this.#patience) return;
    const lastOf = (id: MemberId) =>
      nameOf(id) === name ? now : Math.max(watched.since, watched.answeredAt.get(nameOf(id)) ?? 0);
    const { voters, outgoing } = raft.membership;
    const quorumAt = Math.min(
      ...[voters, outgoing].filter((set) => set.length > 0).map((set) => middle(set.map(lastOf))),
    );
    if (now - quorumAt <= this.#patience) return;
    const first = `no quorum has answered ${name} in term ${raft.term} for ${now - quorumAt} us`;
    const second = `${name} still leads that term; ${this.#patience} us are enough to notice`;
    this.#found("leader-has-quorum", name, first, second);
  }

  #checkEntered({ name, host }: Computer, watched: Watched, raft: RaftStatus): void {
    const { told } = watched;
    if (told === null) return;
    // Who was removed meanwhile raises nobody's term by an answer.
    const isOver = raft.term >= told.term || !isMemberOf(raft, told.from);
    if (isOver || host?.status().state !== "serving") watched.told = null;
    else if (--told.turnsLeft === 0)
      this.#found("term-adopted", name, told.what, `${name} is still in term ${raft.term}`);
  }

  #found(property: Property, node: NodeId, first: string, second: string): void {
    this.#report({ property, facts: [first, second], node });
  }

  #of(node: NodeId): Watched {
    let watched = this.#watched.get(node);
    if (watched === undefined) {
      watched = {
        turns: 0,
        last: null,
        heard: null,
        asked: new Map(),
        latestTerm: 0 as Term,
        told: null,
        strange: new Map(),
        answeredAt: new Map(),
        since: 0,
      };
      this.#watched.set(node, watched);
    }
    return watched;
  }
}

type VoteWords = Pick<
  Extract<RaftMessage, { kind: "vote-request" }>,
  "term" | "preVote" | "transfer"
>;

function keyOf(candidate: NodeId, { term, preVote, transfer }: VoteWords): string {
  return `${candidate} ${term} ${preVote} ${transfer}`;
}

/** Who names a term here is in it; a candidate may only wish to be. */
function mustBeBelieved(message: RaftMessage): boolean {
  switch (message.kind) {
    case "append-request":
    case "append-reply":
      return true;
    case "vote-reply":
      return !(message.preVote && message.granted);
    default:
      return false;
  }
}

function isMemberOf(raft: RaftStatus | null, name: NodeId): boolean {
  return raft?.membership.members.some(({ id }) => nameOf(id) === name) === true;
}

/** The latest instant that more than half of these have reached. */
function middle(instants: readonly number[]): number {
  const descending = [...instants].sort((a, b) => b - a);
  return descending[Math.floor(instants.length / 2)] ?? 0;
}
