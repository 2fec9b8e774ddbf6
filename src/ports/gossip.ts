// Packets and streams between members, as gossip may use them: datagrams that may be lost, doubled
// and reordered, and short connections that carry bytes in order. The adapter is
// src/adapters/gossip-sockets.ts, the double sim/sim-gossip-network.ts.

import type { Address } from "../base/address.ts";
import type { FrozenBytes } from "../base/bytes.ts";
import type { StreamId } from "../base/ids.ts";

export interface GossipNetwork {
  /** Where this end hears packets and streams. */
  readonly address: Address;
  /** One datagram; lost without a word where it cannot be sent. */
  sendPacket(to: Address, bytes: FrozenBytes): void;
  /** Starts connecting; answered by streamOpened or streamClosed, never inside this call. */
  dial(streamId: StreamId, to: Address): void;
  /** Bytes for the other end. Nothing happens where the stream is not open. */
  write(streamId: StreamId, bytes: FrozenBytes): void;
  /**
   * Closes once what was written has left, or takes a dial back; nothing more is heard of the
   * stream here. Of a stream that is not there, nothing happens.
   */
  closeStream(streamId: StreamId): void;
  attach(inbox: GossipInbox): void;
}

export interface GossipInbox {
  /** Takes the id that an accepted stream shall have: an even number, never used before. */
  nextStreamId(): StreamId;
  /** `from` is what the datagram claims. */
  packet(from: Address, bytes: FrozenBytes): void;
  streamOpened(streamId: StreamId, peer: Address, dialed: boolean): void;
  /**
   * Never none. False: no room; the stream is closed at both ends and no more of it is heard here.
   */
  streamBytes(streamId: StreamId, bytes: FrozenBytes): boolean;
  /**
   * After all bytes: the other end has no more to say, or the connection is gone. What is written
   * in the same turn may still reach an end that only stopped speaking.
   */
  streamClosed(streamId: StreamId, why: string): void;
  /** A packet to or a stream from `peer` found no room in the adapter. */
  overflowed(peer: Address, what: "queue-full" | "too-many-streams"): void;
}
