// How a leader gives its place to another server (thesis 3.10): because it was asked to, because it
// was removed, or because its disk hangs. Owns to whom, and when the successor is told to stand;
// how a transfer ends is transfer.ts, which outlives the leadership.

import { after, type Instant, type MemberId, NEVER, type Term } from "../base/ids.ts";
import type { Peers } from "./peers.ts";
import type { RaftMessage } from "./protocol.ts";
import type { Server } from "./server.ts";

export class Succession {
  readonly #server: Server;
  readonly #peers: Peers;
  readonly #term: Term;
  /** The round in which the successor was last told to stand. */
  #toldRound = 0;

  constructor(server: Server, peers: Peers) {
    this.#server = server;
    this.#peers = peers;
    this.#term = server.term;
  }

  /** When the disk has made it wait too long, as long as there is somebody to give way to. */
  get deadline(): Instant {
    const { transfers, disk } = this.#server;
    return transfers.current === null && this.#peers.hasVoters ? disk.deadline : NEVER;
  }

  /** Begins to hand leadership over; null lets the longest log of those that answer decide. */
  request(now: Instant, transferId: number, wanted: MemberId | null): void {
    const { transfers, membership, outbox, self } = this.#server;
    const to = wanted ?? this.#peers.mostCaughtUp(now);
    if (transfers.current !== null) {
      outbox.transferVerdict({ kind: "aborted", transferId, why: "transferring" });
    } else if (to === null || !membership.voters.includes(to) || !this.#mayLead(to)) {
      outbox.transferVerdict({ kind: "aborted", transferId, why: "not-a-voter" });
    } else if (to !== self && !this.#peers.answers(now, to)) {
      outbox.transferVerdict({ kind: "aborted", transferId, why: "does-not-answer" });
    } else {
      this.#begin(now, transferId, to);
      if (to === self) transfers.complete();
    }
  }

  /**
   * Nobody asked for it, but another should lead: the most caught up voter, if there is any. While
   * it is tried nothing is proposed; when it comes to nothing in time the leader steps down.
   */
  giveWay(now: Instant): void {
    const isFree = this.#server.transfers.current === null;
    const successor = isFree ? this.#peers.mostCaughtUp(now) : null;
    if (successor !== null) this.#begin(now, null, successor);
  }

  /**
   * Tells the successor to stand once it has everything and everything is committed, and again in
   * each round until it does. Nothing is proposed meanwhile, so that it stays the most up to date.
   */
  maybeTell(round: number): void {
    const { transfers, tail, commitIndex, outbox } = this.#server;
    const to = transfers.current?.to;
    if (to === undefined || this.#toldRound === round) return;
    const { lastIndex } = tail;
    if (commitIndex < lastIndex || this.#peers.get(to)?.matchIndex !== lastIndex) return;
    this.#toldRound = round;
    const message: RaftMessage = { kind: "timeout-now", term: this.#term, lastIndex };
    outbox.send({ kind: "message", to, message });
  }

  /** Who mends its log would not obey. */
  #mayLead(to: MemberId): boolean {
    return to === this.#server.self || this.#peers.mayLead(to);
  }

  #begin(now: Instant, transferId: number | null, to: MemberId): void {
    const until = after(now, this.#server.options.electionTimeoutMax);
    this.#server.transfers.begin({ transferId, to, term: this.#term, until });
    this.#toldRound = 0;
  }
}
