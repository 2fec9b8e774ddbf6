// What a leader sends to its peers (paper, section 5.3): heartbeats, appends in pipelines, probes,
// checkpoints for those who are too far behind. Owns the messages; what each peer is due is in
// progress.ts, why a round is made in leader.ts.

import type { Instant } from "../base/ids.ts";
import { type LogIndex, NO_INDEX, NO_TERM, type Term } from "../base/ids.ts";
import type { Mend } from "./mending.ts";
import type { Peers } from "./peers.ts";
import type { Progress } from "./progress.ts";
import type { RaftMessage } from "./protocol.ts";
import type { Server } from "./server.ts";

export class Replication {
  readonly #server: Server;
  readonly #peers: Peers;
  readonly #term: Term;
  /** Counts heartbeat rounds; an answer that echoes it was given after the round began. */
  #round = 0;

  constructor(server: Server, peers: Peers) {
    this.#server = server;
    this.#peers = peers;
    this.#term = server.term;
  }

  get round(): number {
    return this.#round;
  }

  /** A heartbeat to everybody. */
  beginRound(): void {
    this.#round += 1;
    for (const peer of this.#peers) this.#sendHeartbeat(peer);
  }

  /**
   * Sends each peer all that it may have now. `tellsCommits`: also to those whom nothing else tells
   * of a commit, what their last entries have become.
   */
  flush(now: Instant, tellsCommits: boolean): void {
    for (const peer of this.#peers) {
      this.#replicate(now, peer);
      if (tellsCommits && this.#isUntold(peer)) this.#sendHeartbeat(peer);
    }
  }

  /** Whether a commit of ours is news to a peer, and no message on its way tells it. */
  get hasUntold(): boolean {
    for (const peer of this.#peers) if (this.#isUntold(peer)) return true;
    return false;
  }

  #isUntold({ matchIndex, toldCommit }: Progress): boolean {
    return Math.min(matchIndex, this.#server.commitIndex) > toldCommit;
  }

  /** Asks whether the end of the pipeline has arrived; if not, the answer is a refusal. */
  askPipeline(peer: Progress): void {
    this.#sendEmpty(peer, (peer.nextIndex - 1) as LogIndex, this.#server.commitIndex);
  }

  /**
   * Proof that we lead, without entries. It speaks only of what the peer is known to have, so that
   * it may overtake any append on the way, and is answered as soon as it is read.
   */
  #sendHeartbeat(peer: Progress): void {
    const known = Math.min(peer.matchIndex, this.#server.commitIndex) as LogIndex;
    this.#sendEmpty(peer, peer.matchIndex, known, this.#peers.mendOf(peer));
    peer.commitTold(known);
  }

  #replicate(now: Instant, peer: Progress): void {
    const { tail, options, outbox, commitIndex } = this.#server;
    while (peer.mayAppend(tail)) {
      if (peer.needsSnapshot(tail.startIndex)) {
        this.#sendSnapshot(peer);
        break;
      }
      const prevIndex = (peer.nextIndex - 1) as LogIndex;
      const prevTerm = tail.termAt(prevIndex);
      // The host has not said what the place before its first entry is: nothing joins on to it.
      if (prevTerm === null) return;
      const bytesMax = options.appendBytesMax;
      const lastIndex =
        peer.mode === "probe" ? tail.lastIndex : tail.lastWithin(prevIndex, bytesMax);
      outbox.send({
        kind: "entries",
        to: peer.peer,
        term: this.#term,
        prevIndex,
        prevTerm,
        lastIndex,
        bytesMax,
        commitIndex,
        round: this.#round,
      });
      peer.appendSent(now, lastIndex, commitIndex);
    }
  }

  #sendSnapshot(peer: Progress): void {
    const { tail, outbox } = this.#server;
    const at = tail.startIndex;
    outbox.send({ kind: "snapshot", to: peer.peer, term: this.#term, round: this.#round, at });
    peer.snapshotSent(at);
  }

  #sendEmpty(
    { peer }: Progress,
    prevIndex: LogIndex,
    commitIndex: LogIndex,
    mend: Mend | null = null,
  ): void {
    const { tail, outbox } = this.#server;
    const prevTerm = tail.termAt(prevIndex);
    const message: RaftMessage = {
      kind: "append-request",
      term: this.#term,
      // Trimmed away here, so committed: the place before the log matches every log.
      prevIndex: prevTerm === null ? NO_INDEX : prevIndex,
      prevTerm: prevTerm ?? NO_TERM,
      commitIndex,
      round: this.#round,
      entries: [],
    };
    const told = mend === null ? message : { ...message, mend };
    outbox.send({ kind: "message", to: peer, message: told });
  }
}
