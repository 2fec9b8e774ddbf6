// The follower (paper, section 5.3): hears one leader a term, makes its log equal to the leader's,
// and acknowledges what is both verified to match and durable. Elections are called by raft.ts.

import { brokenLink, type Entry, type Snapshot } from "../base/entry.ts";
import {
  after,
  earlier,
  type Instant,
  type LogIndex,
  type MemberId,
  type Micros,
  NEVER,
  NO_INDEX,
} from "../base/ids.ts";
import type { Mend } from "./mending.ts";
import type { Conflict, RaftMessage } from "./protocol.ts";
import type { Server } from "./server.ts";

export type AppendRequest = Extract<RaftMessage, { kind: "append-request" }>;

export class Follower {
  readonly kind = "follower";
  readonly #server: Server;
  /** Drawn once: the timeout is an instant that contact moves, never a new chance. */
  readonly #timeout: Micros;
  #deadline: Instant;
  #leader: MemberId | null = null;
  /** When a live leader was last heard, or might have been: see `hearsLeader`. */
  #heardAt: Instant | null;

  /**
   * The last index at which this term's leader has shown its log to equal ours. It holds for the
   * whole term: a leader never changes what it has, and nobody else may change ours.
   */
  #verifiedIndex: LogIndex = NO_INDEX;
  #ackedIndex: LogIndex = NO_INDEX;
  #ackIsDue = false;
  /** The newest round heard; echoing it is truthful even for an older message. */
  #round = 0;

  /** `heardAt` is the start of the process after a restart, for who knows whom it heard before. */
  constructor(server: Server, now: Instant, heardAt: Instant | null) {
    this.#server = server;
    this.#timeout = server.drawElectionTimeout();
    this.#deadline = after(now, this.#timeout);
    this.#heardAt = heardAt;
  }

  get leader(): MemberId | null {
    return this.#leader;
  }

  /** When to call an election; who cannot stand never does. */
  get deadline(): Instant {
    return this.#server.mayStand ? this.#deadline : NEVER;
  }

  /**
   * Whether a leader was alive so recently that no sane candidate is needed (paper, section 6;
   * thesis 4.2.3): whoever asks has merely lost its own way to the leader.
   */
  hearsLeader(now: Instant): boolean {
    return (
      this.#heardAt !== null && now < after(this.#heardAt, this.#server.options.electionTimeoutMin)
    );
  }

  /**
   * AppendEntries of this term. Answers, or says what is wrong with a request that no correct
   * leader sends; such a one is no contact and leaves the log as it is.
   */
  appendRequested(now: Instant, from: MemberId, request: AppendRequest): string | null {
    if (this.#leader !== null && this.#leader !== from) return "a second leader in this term";
    const { tail, commitIndex } = this.#server;
    const matches = this.#matches(request);
    if (!matches && request.prevIndex <= commitIndex) return "denies a committed entry";
    const fresh = matches ? this.#freshEntries(request) : 0;
    const first = matches ? request.entries[fresh] : undefined;
    if (first !== undefined) {
      if (first.index <= commitIndex) return "replaces a committed entry";
      const broken = brokenLink(tail.pointAt((first.index - 1) as LogIndex), first);
      if (broken !== null) return broken;
    }
    this.#hear(now, from, request.round);
    if (!matches) this.#refuse(from, request);
    else this.#accept(request, fresh);
    if (request.mend !== undefined) this.#maybeMend(request.mend);
    return null;
  }

  /**
   * A snapshot of this term's leader, all of it. It never takes anything back, and whatever of the
   * log agrees with it stays (paper, section 7).
   */
  snapshotReceived(now: Instant, from: MemberId, round: number, snapshot: Snapshot): string | null {
    if (this.#leader !== null && this.#leader !== from) return "a second leader in this term";
    const server = this.#server;
    const { at } = snapshot;
    const here = server.tail.termAt(at.index);
    const isKnown = at.index <= server.commitIndex;
    if (isKnown && here !== null && here !== at.term) return "denies a committed entry";
    this.#hear(now, from, round);
    if (isKnown) {
      // The leader has every committed entry, so its log equals ours up to there.
      this.#verify(server.commitIndex);
    } else if (here === at.term) {
      this.#verify(at.index);
      server.maybeCommit(at.index);
    } else {
      server.install(snapshot);
      this.#verify(at.index);
    }
    if (this.#verifiedIndex <= server.journal.durableIndex) this.#ackIsDue = true;
    return null;
  }

  /**
   * The connection to a peer is gone. A leader's closes the moment that it dies, long before the
   * timeout; one that lives is soon heard again, and then all is as before. Whoever stands for
   * nothing is refused by those who still hear it.
   */
  lost(now: Instant, peer: MemberId): void {
    const { lostLeaderDivisor } = this.#server.options;
    if (lostLeaderDivisor === undefined || peer !== this.#leader) return;
    this.#heardAt = null;
    const wait = Math.ceil(this.#timeout / lostLeaderDivisor) as Micros;
    this.#deadline = earlier(this.#deadline, after(now, wait));
  }

  /** More is durable: acknowledges what waited for it. */
  persisted(): void {
    if (this.#matchIndex() > this.#ackedIndex) this.#ackIsDue = true;
  }

  /**
   * One acknowledgement speaks for everything heard since the last; made when it may leave. And
   * one request for all the reads that wait.
   */
  flush(now: Instant): void {
    const { journal, outbox, term, reads } = this.#server;
    if (this.#leader === null || !journal.isHardStateDurable) return;
    const sequence = reads.maybeAsk(now, term);
    if (sequence !== null) {
      const message: RaftMessage = { kind: "read-request", term, sequence };
      outbox.send({ kind: "message", to: this.#leader, message });
    }
    if (!this.#ackIsDue) return;
    this.#ackIsDue = false;
    this.#ackedIndex = this.#matchIndex();
    const message = this.#server.answer({
      kind: "append-reply",
      term,
      round: this.#round,
      matchIndex: this.#ackedIndex,
      conflict: null,
    });
    outbox.send({ kind: "message", to: this.#leader, message });
  }

  /**
   * The leader says what it takes to be whole again, by its own log. It says so of this very loss:
   * of an earlier one less may have been enough. Until our note of it is durable no answer leaves.
   */
  #maybeMend({ loss, index }: Mend): void {
    const { loss: ours, journal } = this.#server;
    if (ours === 0 || loss !== ours || this.#matchIndex() < index) return;
    journal.mended();
    this.#ackIsDue = true;
  }

  #verify(index: LogIndex): void {
    if (index > this.#verifiedIndex) this.#verifiedIndex = index;
  }

  #hear(now: Instant, leader: MemberId, round: number): void {
    this.#leader = leader;
    this.#heardAt = now;
    this.#deadline = after(now, this.#timeout);
    if (round > this.#round) this.#round = round;
  }

  /** Whether our log has the entry before the new ones. A trimmed entry is committed, so it has. */
  #matches({ prevIndex, prevTerm }: AppendRequest): boolean {
    const term = this.#server.tail.termAt(prevIndex);
    if (term === null) return prevIndex <= this.#server.commitIndex;
    return term === prevTerm;
  }

  /** How many of the entries are here already; from there on they are new or replace others. */
  #freshEntries({ entries, prevIndex }: AppendRequest): number {
    const { tail } = this.#server;
    if (prevIndex === tail.lastIndex) return 0;
    for (let at = 0; at < entries.length; at++) {
      const { index, term } = entries[at] as Entry;
      if (index > tail.lastIndex) return at;
      const here = tail.termAt(index);
      if (here !== null && here !== term) return at;
    }
    return entries.length;
  }

  /**
   * Takes the entries from place `fresh` on. Nothing is truncated that the request does not
   * contradict: it may be old, and what follows may be acknowledged already (paper, section 5.3).
   */
  #accept({ prevIndex, entries, commitIndex }: AppendRequest, fresh: number): void {
    const server = this.#server;
    const first = entries[fresh];
    if (first !== undefined && first.index <= server.tail.lastIndex) server.truncate(first.index);
    for (let at = fresh; at < entries.length; at++) server.append(entries[at] as Entry);

    const verified = (prevIndex + entries.length) as LogIndex;
    this.#verify(verified);
    // Not our last index: what lies behind `verified` may be another leader's.
    server.maybeCommit(Math.min(commitIndex, verified) as LogIndex);
    // A heartbeat is answered at once, however busy the disk is; entries when they are durable.
    if (entries.length === 0 || verified <= server.journal.durableIndex) this.#ackIsDue = true;
  }

  #refuse(from: MemberId, { prevIndex, prevTerm, round }: AppendRequest): void {
    const { tail, term } = this.#server;
    const hint = tail.lastAtMost(prevIndex, prevTerm);
    const conflict: Conflict = { prevIndex, hintIndex: hint.index, hintTerm: hint.term };
    const reply = { kind: "append-reply", term, round, matchIndex: NO_INDEX, conflict } as const;
    this.#server.sendWhenDurable(from, this.#server.answer(reply));
  }

  /** What the leader may count on. */
  #matchIndex(): LogIndex {
    return Math.min(this.#verifiedIndex, this.#server.journal.durableIndex) as LogIndex;
  }
}
