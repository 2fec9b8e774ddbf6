// Time passes for a node only after it has heard what its peers said before: a process that was
// paused finds its alarm rung and the heartbeat that moves it on, both waiting, and must not stand
// for election. Owns who was heard when; looks at frames in mailboxes and at roles.

import type { Instant, NodeId, Term } from "../../src/base/ids.ts";
import type { RaftMessage, RaftStatus } from "../../src/raft/protocol.ts";
import type { Computer } from "../observer.ts";
import type { Plan } from "../plan.ts";
import type { Report } from "./violation.ts";
import { type Vote, voteOf } from "./vote.ts";

type Waits = Pick<Plan["options"], "electionTimeoutMinMs" | "lostLeaderDivisor">;

export class Patience {
  readonly #report: Report;
  /**
   * Half of the least that a follower waits: a clock that runs fast is not a clock that jumps.
   * Since a lost link, where it minds one; what it heard was before.
   */
  readonly #patience: number;
  /** Followers whose hard state was durable after their last turn: they hold no message back. */
  readonly #settled = new Set<NodeId>();
  /** By node: what was looked at to know that. */
  readonly #looked = new Map<NodeId, { raft: RaftStatus | null; durable: Vote }>();
  /** By node of this life: when an append of its own term came into its mailbox. */
  readonly #reached = new Map<
    NodeId,
    { readonly at: Instant; readonly from: NodeId; readonly term: Term }
  >();

  constructor(options: Waits, report: Report) {
    const { electionTimeoutMinMs, lostLeaderDivisor } = options;
    this.#patience = Math.floor((electionTimeoutMinMs * 500) / lostLeaderDivisor);
    this.#report = report;
  }

  taken(node: Computer, from: NodeId, message: RaftMessage | null, now: Instant): void {
    if (message?.kind !== "append-request" || message.term !== node.raft?.term) return;
    this.#reached.set(node.name, { at: now, from, term: message.term });
  }

  wentDown(node: NodeId): void {
    this.#reached.delete(node);
    this.#settled.delete(node);
    this.#looked.delete(node);
  }

  afterTurn({ name, raft }: Computer, durable: Vote): void {
    const looked = this.#looked.get(name);
    if (looked !== undefined && looked.raft === raft && looked.durable === durable) return;
    if (looked === undefined) this.#looked.set(name, { raft, durable });
    else {
      looked.raft = raft;
      looked.durable = durable;
    }
    const isSettled =
      raft?.role === "follower" &&
      raft.term === durable.term &&
      voteOf(raft).votedFor === durable.votedFor;
    if (isSettled) this.#settled.add(name);
    else this.#settled.delete(name);
  }

  /** A message leaves in the turn in which it was decided on, where nothing is held back. */
  sent({ name }: Computer, message: RaftMessage, now: Instant): void {
    if (message.kind !== "vote-request" || !message.preVote || !this.#settled.has(name)) return;
    const reached = this.#reached.get(name);
    if (reached === undefined || reached.term !== message.term - 1) return;
    const agoMicros = now - reached.at;
    if (agoMicros >= this.#patience) return;
    const first = `${agoMicros} us ago an append of term ${reached.term} from ${reached.from} was in the mailbox of ${name}`;
    const second = `${name} asks for pre-votes, as if it had heard nobody for a whole timeout`;
    this.#report({ property: "mail-before-time", facts: [first, second], node: name });
  }
}
