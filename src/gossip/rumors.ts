// What we pass on: claims about members, intents of Serf's, queries and user events, each in a
// queue of its own, packed in that order. Owns what replaces what; the queue itself is
// broadcasts.ts.

import { type FrozenBytes, freeze } from "../base/bytes.ts";
import type { Instant, NodeId } from "../base/ids.ts";
import { BroadcastQueue } from "./broadcasts.ts";
import type { Claim } from "./claims.ts";
import { retransmitLimit } from "./formulas.ts";
import { encodeMessage } from "./message-codec.ts";
import type { JoinIntent, LeaveIntent } from "./messages.ts";
import { COMPOUND_BYTES_PER_PART } from "./packet-codec.ts";
import type { Roster } from "./roster.ts";

export class Rumors {
  readonly #claims: BroadcastQueue;
  readonly #intents: BroadcastQueue;
  readonly #queries: BroadcastQueue;
  readonly #events: BroadcastQueue;
  /** In the order of packing. */
  readonly #queues: readonly BroadcastQueue[];
  readonly #roster: Roster;
  readonly #retransmitMult: number;

  constructor(countMax: number, retransmitMult: number, roster: Roster) {
    this.#claims = new BroadcastQueue(countMax);
    this.#intents = new BroadcastQueue(countMax);
    this.#queries = new BroadcastQueue(countMax);
    this.#events = new BroadcastQueue(countMax);
    this.#queues = [this.#claims, this.#intents, this.#queries, this.#events];
    this.#retransmitMult = retransmitMult;
    this.#roster = roster;
  }

  get size(): number {
    return this.#queues.reduce((sum, { size }) => sum + size, 0);
  }

  /** Lost to the bound. */
  get evicted(): number {
    return this.#queues.reduce((sum, { evicted }) => sum + evicted, 0);
  }

  /** Instead of whatever we told about that member's standing before. */
  tell(claim: Claim): void {
    this.#claims.add(standingOf(claim.node), encodeMessage(claim));
  }

  /**
   * Beside what we tell about its standing: a suspect's new tags do not take the suspicion back.
   */
  tellAnnouncement(claim: Claim): void {
    this.#claims.add(`tags ${claim.node}`, encodeMessage(claim));
  }

  /** Instead of the intent we told for that member before: one place each, however it churns. */
  tellIntent(intent: JoinIntent | LeaveIntent): void {
    this.#intents.add(intent.node, encodeMessage({ kind: "user", message: intent }));
  }

  /** A whole message, of somebody else's as it came; a copy is kept. Each stands alone. */
  tellQuery(bytes: Uint8Array): void {
    this.#queries.add(null, freeze(bytes.slice()));
  }

  tellEvent(bytes: Uint8Array): void {
    this.#events.add(null, freeze(bytes.slice()));
  }

  isTelling(node: NodeId): boolean {
    return this.#claims.has(standingOf(node));
  }

  isTellingIntent(node: NodeId): boolean {
    return this.#intents.has(node);
  }

  /** As many as fit into `bytesMax` of a compound's parts; they count as told once more. */
  take(now: Instant, bytesMax: number, countMax: number): FrozenBytes[] {
    if (this.size === 0) return [];
    const limit = retransmitLimit(this.#retransmitMult, this.#roster.countedAt(now));
    const overhead = COMPOUND_BYTES_PER_PART;
    let room = bytesMax;
    let taken: FrozenBytes[] = [];
    for (const queue of this.#queues) {
      const some = queue.take(overhead, room, countMax - taken.length, limit);
      room = some.reduce((left, { length }) => left - length - overhead, room);
      taken = [...taken, ...some];
    }
    return taken;
  }
}

function standingOf(node: NodeId): string {
  return `standing ${node}`;
}
