// What leaves Raft with the next output, and the messages that may not leave yet because the hard
// state they speak for is not durable. Owns the holding back; what is said is decided by the roles.

import type { MemberId, WriteId } from "../base/ids.ts";
import type { RaftMessage, ReadVerdict, Send, TransferVerdict, Verdict } from "./protocol.ts";

interface HeldMessage {
  readonly to: MemberId;
  readonly message: RaftMessage;
  /** The write that must be durable first. */
  readonly after: WriteId;
}

export interface Outgoing {
  readonly sends: readonly Send[];
  readonly verdicts: readonly Verdict[];
  readonly reads: readonly ReadVerdict[];
  readonly transfers: readonly TransferVerdict[];
}

const NOTHING: readonly never[] = [];

export class Outbox {
  #sends: Send[] = [];
  #verdicts: Verdict[] = [];
  #reads: ReadVerdict[] = [];
  #transfers: TransferVerdict[] = [];
  /** At most one of each kind a peer: a newer message makes the older one of no use. */
  #held: HeldMessage[] = [];

  send(send: Send): void {
    this.#sends.push(send);
  }

  /** Holds `message` back until `after` is durable. */
  hold(to: MemberId, message: RaftMessage, after: WriteId): void {
    const { kind } = message;
    const older = this.#held.findIndex((held) => held.to === to && held.message.kind === kind);
    if (older >= 0) this.#held.splice(older, 1);
    this.#held.push({ to, message, after });
  }

  /** All writes up to `confirmed` are durable: what waited for them may leave. */
  release(confirmed: WriteId): void {
    if (this.#held.length === 0) return;
    const due = this.#held.filter(({ after }) => after <= confirmed);
    if (due.length === 0) return;
    this.#held = this.#held.filter(({ after }) => after > confirmed);
    for (const { to, message } of due) this.#sends.push({ kind: "message", to, message });
  }

  /** A candidacy has ended: what it has not asked yet, nobody should be asked in its name. */
  forgetRequests(): void {
    if (this.#held.length === 0) return;
    this.#held = this.#held.filter(({ message }) => message.kind !== "vote-request");
  }

  /** A new term: nobody waits any more for what was held in the name of the old one. */
  forgetHeld(): void {
    if (this.#held.length > 0) this.#held = [];
  }

  verdict(verdict: Verdict): void {
    this.#verdicts.push(verdict);
  }

  readVerdict(verdict: ReadVerdict): void {
    this.#reads.push(verdict);
  }

  transferVerdict(verdict: TransferVerdict): void {
    this.#transfers.push(verdict);
  }

  get isEmpty(): boolean {
    const answers = this.#verdicts.length + this.#reads.length + this.#transfers.length;
    return this.#sends.length + answers === 0;
  }

  /** Removes and returns all that may leave. */
  take(): Outgoing {
    const sends = this.#sends;
    const verdicts = this.#verdicts;
    const reads = this.#reads;
    if (sends.length > 0) this.#sends = [];
    if (verdicts.length > 0) this.#verdicts = [];
    if (reads.length > 0) this.#reads = [];
    const transfers = this.#transfers;
    if (transfers.length > 0) this.#transfers = [];
    return {
      sends: sends.length > 0 ? sends : NOTHING,
      verdicts: verdicts.length > 0 ? verdicts : NOTHING,
      reads: reads.length > 0 ? reads : NOTHING,
      transfers: transfers.length > 0 ? transfers : NOTHING,
    };
  }
}
