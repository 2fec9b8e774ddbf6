// Time passes for a node only after it has heard what its peers said before: a process that was
// paused finds its alarm rung and the heartbeat that moves it on, both waiting, and must not stand
// for election. Owns who was heard when; looks at frames in mailboxes and at roles.

import type { Instant, NodeId } from "../../src/base/ids.ts";
import type { RaftMessage } from "../../src/raft/protocol.ts";
import type { Computer } from "../observer.ts";
import type { Report } from "./violation.ts";

export class Patience {
  readonly #report: Report;
  /** Half of the least election timeout: a clock that runs fast is not a clock that jumps. */
  readonly #patience: number;
  /** By node of this life: when an append of its own term came into its mailbox. */
  readonly #reached = new Map<NodeId, { readonly at: Instant; readonly from: NodeId }>();

  constructor(electionTimeoutMinMs: number, report: Report) {
    this.#patience = electionTimeoutMinMs * 500;
    this.#report = report;
  }

  taken(node: Computer, from: NodeId, message: RaftMessage | null, now: Instant): void {
    if (message?.kind !== "append-request" || message.term !== node.raft?.term) return;
    this.#reached.set(node.name, { at: now, from });
  }

  wentDown(node: NodeId): void {
    this.#reached.delete(node);
  }

  afterTurn({ name, raft }: Computer, now: Instant): void {
    if (raft?.role !== "pre-candidate") return;
    const reached = this.#reached.get(name);
    if (reached === undefined) return;
    this.#reached.delete(name);
    if (now - reached.at >= this.#patience) return;
    const first = `${now - reached.at} us ago an append of term ${raft.term} from ${reached.from} was in the mailbox of ${name}`;
    const second = `${name} stands for election, as if it had heard nobody for a whole timeout`;
    this.#report({ property: "mail-before-time", facts: [first, second], node: name });
  }
}
