// What operators ask of a node: another membership, another leader, a trim; and what the leader
// does for them unasked, the swap of wiped members and retention. Owns who waits for which answer;
// what a change takes is changes.ts, what may be proposed is Raft's.

import type { Answer, ClientRequest } from "../base/client.ts";
import { controlDraft } from "../base/control.ts";
import type { Fault } from "../base/faults.ts";
import type { Instant, NodeId, RequestId, WallMs } from "../base/ids.ts";
import { nameOf } from "../base/membership.ts";
import { takeAll } from "../base/taking.ts";
import type { RaftOutput, Verdict } from "../raft/protocol.ts";
import { Changes, transferAnswer } from "./changes.ts";
import { DIGEST_ID } from "./digests.ts";
import type { Links } from "./links.ts";
import { addressesOf } from "./members.ts";
import type { NodeOptions } from "./protocol.ts";
import type { Replica } from "./replica.ts";

/** The proposal for the sake of retention: no request's id, and no change's. */
const RETENTION_ID = 0;

/** What only a leader does. */
export type AdminRequest = Extract<
  ClientRequest,
  { kind: "change-membership" | "transfer-leadership" }
>;

export class Administration {
  readonly #options: NodeOptions;
  readonly #replica: Replica;
  readonly #changes: Changes;
  /** A trim for the sake of retention has no verdict yet. */
  #isRetaining = false;
  readonly #transfers = new Set<RequestId>();
  readonly #answers: Answer[] = [];

  constructor(options: NodeOptions, replica: Replica) {
    this.#options = options;
    this.#replica = replica;
    this.#changes = new Changes(options.autoReplaceWiped);
  }

  get deadline(): Instant {
    return this.#changes.deadline;
  }

  /** Of a node that leads: others refuse before. */
  request(now: Instant, request: AdminRequest): void {
    if (request.kind === "change-membership") this.#changes.request(now, request);
    else this.#transfer(now, request.requestId, request.to);
  }

  /** Goes on with changes of the membership, where this node leads. */
  advance(now: Instant, links: Links, notLeader: () => Fault): void {
    const { self, raft, state } = this.#replica;
    if (raft === null || self === null) return;
    this.#changes.follow(state.membership);
    const isLeader = raft.role === "leader";
    const seen = 2 * links.changes + (isLeader ? 1 : 0);
    if (!this.#changes.isDue(now, seen)) return;
    const { greetings } = links;
    const view = { self, isLeader, membership: state.membership, greetings };
    this.#changes.advance(now, seen, view, notLeader());
    for (const event of this.#changes.takeProposals()) this.#replica.consult(now, event);
    this.dialMembers(now, links);
  }

  /** The members in force are dialed, and who is to become one. */
  dialMembers(now: Instant, links: Links): void {
    const { membership } = this.#replica.state;
    this.#changes.follow(membership);
    links.setMembers(now, [...addressesOf(membership), ...this.#changes.addresses]);
  }

  /** Where this node leads, what the limits of retention leave over is trimmed. */
  maybeRetain(now: Instant): void {
    const { retentionBytes: bytesMax, retentionMs: ageMsMax } = this.#options;
    const { raft, state } = this.#replica;
    if (raft?.role !== "leader" || (bytesMax === null && ageMsMax === null)) return;
    const startOffset = this.#replica.retentionOffset({ bytesMax, ageMsMax });
    if (startOffset === null || startOffset <= state.startOffset || this.#isRetaining) return;
    // What is not committed may be truncated: only what all will have for ever can be let go.
    if (startOffset > state.committed.endOffset) return;
    this.#isRetaining = true;
    const draft = controlDraft({ kind: "trim", startOffset }, 0 as WallMs);
    this.#replica.propose(now, RETENTION_ID, draft);
  }

  /** True when the verdict was on something proposed here. */
  maybeVerdict(now: Instant, verdict: Verdict, notLeader: Fault): boolean {
    if (verdict.proposalId === DIGEST_ID) return true;
    if (verdict.proposalId !== RETENTION_ID) {
      return this.#changes.maybeVerdict(now, verdict, notLeader);
    }
    this.#isRetaining = false;
    return true;
  }

  transferred({ transfers }: RaftOutput, notLeader: Fault): void {
    for (const verdict of transfers) {
      const answer = transferAnswer(verdict, notLeader);
      if (this.#transfers.delete(answer.requestId)) this.#answers.push(answer);
    }
  }

  /** Nothing is decided here any more. */
  abandon(fault: Fault): void {
    this.#changes.abandon(fault);
    this.#isRetaining = false;
    for (const requestId of this.#transfers) this.#refuse(requestId, { code: "outcome-unknown" });
    this.#transfers.clear();
  }

  takeAnswers(): readonly Answer[] {
    const changed = this.#changes.takeAnswers();
    const others = takeAll(this.#answers);
    return changed.length === 0 ? others : [...changed, ...others];
  }

  #transfer(now: Instant, requestId: RequestId, name: NodeId | null): void {
    const { voters } = this.#replica.state.membership;
    const to = voters.find((id) => nameOf(id) === name) ?? null;
    if (name !== null && to === null) {
      this.#refuse(requestId, { code: "change-refused", what: `no voter is named ${name}` });
      return;
    }
    this.#transfers.add(requestId);
    this.#replica.consult(now, { kind: "transfer-requested", transferId: requestId, to });
  }

  #refuse(requestId: RequestId, fault: Fault): void {
    this.#answers.push({ kind: "fault", requestId, fault });
  }
}
