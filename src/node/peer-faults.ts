// What peers say that no correct peer says: counted for each, and told at most once a minute for
// each, however much comes, so that nobody can fill the disk with log lines. Owns the counts;
// dropping, and what happens to the link, is its caller's.

import { after, type Instant, type Micros, millis } from "../base/ids.ts";

/** How long nothing more is told of a peer. */
export const QUIET_TIME: Micros = millis(60_000);

/** Peers that are told apart; a further one takes the place of who was told of the longest ago. */
const PEERS_MAX = 256;

interface Record {
  toldAt: Instant;
  count: number;
  untold: number;
}

/** Since the peer was first heard of: how often, and how often since it was last told. */
export interface Tale {
  readonly count: number;
  readonly untold: number;
}

export class PeerFaults {
  /** In the order of `toldAt`. */
  readonly #peers = new Map<string, Record>();

  /** Counts one; what to tell with it, or null when this peer was told of within QUIET_TIME. */
  count(now: Instant, peer: string): Tale | null {
    const known = this.#peers.get(peer);
    if (known !== undefined && now < after(known.toldAt, QUIET_TIME)) {
      known.count++;
      known.untold++;
      return null;
    }
    const tale = { count: (known?.count ?? 0) + 1, untold: known?.untold ?? 0 };
    this.#peers.delete(peer);
    for (const longestAgo of this.#peers.keys()) {
      if (this.#peers.size < PEERS_MAX) break;
      this.#peers.delete(longestAgo);
    }
    this.#peers.set(peer, { toldAt: now, count: tale.count, untold: 0 });
    return tale;
  }
}
