// Links to peers, as a node may use them: message frames that may be lost, repeated, delayed and
// reordered, with connection events as hints. A link carries frames from its dialer to its acceptor
// only; the hello goes both ways. The adapter is src/adapters/peer-links.ts, the double
// sim/sim-network.ts.

import type { FrozenBytes } from "../base/bytes.ts";
import type { LinkId, NodeId } from "../base/ids.ts";

/** Control never waits behind bulk: votes, heartbeats and replies on one, entries on the other. */
export type Lane = "control" | "bulk";

export interface Network {
  /** Starts connecting; answered by linkOpened or linkClosed with the same link. */
  dial(link: LinkId, peer: NodeId, address: string, lane: Lane): void;
  /**
   * Sends one frame, the parts one after another. False: the link's buffer is full or it is gone,
   * and nothing was taken. The parts are the network's until they left; nobody writes to them.
   */
  send(link: LinkId, parts: readonly Uint8Array[]): boolean;
  /** Closes without a linkClosed. */
  close(link: LinkId, why: string): void;
  attach(inbox: NetworkInbox): void;
}

export interface NetworkInbox {
  /** Takes the id that an accepted link shall have. */
  nextLinkId(): LinkId;
  /**
   * `identity` holds the names the peer's verified certificate speaks for (`CN=...`, then its DNS
   * SANs); null where the transport does not authenticate. `dialed` is false for an accepted link.
   */
  linkOpened(link: LinkId, dialed: boolean, identity: readonly string[] | null): void;
  /** False: no room; the frame was not taken and the adapter should offer it again after a turn. */
  linkFrame(link: LinkId, frame: FrozenBytes): boolean;
  linkClosed(link: LinkId, why: string): void;
}
