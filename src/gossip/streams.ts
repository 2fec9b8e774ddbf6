// The streams that are open: their numbers, who they are to, what they are for, how long they may
// take, and how many there may be. Owns no word that is said on them (exchanges.ts).

import type { Address } from "../base/address.ts";
import { after, type Instant, type Micros, NEVER, type StreamId } from "../base/ids.ts";
import type { Ping } from "./messages.ts";
import type { Outbox } from "./outbox.ts";
import type { GossipRequestId } from "./protocol.ts";
import { StreamReader } from "./stream-codec.ts";

/** Why a stream is there. */
export type Purpose =
  /** A push/pull that takes us in; `requestId` is null for an attempt of our own. */
  | { readonly kind: "join"; readonly requestId: GossipRequestId | null }
  /** The periodic push/pull. */
  | { readonly kind: "sync" }
  /** A ping where packets brought no answer. */
  | { readonly kind: "ping"; readonly ping: Ping }
  /** Somebody else's, who will say what it is for. */
  | { readonly kind: "accepted" };

export interface Stream {
  readonly id: StreamId;
  readonly peer: Address;
  readonly purpose: Purpose;
  readonly reader: StreamReader;
  readonly deadline: Instant;
}

export class Streams {
  readonly #outbox: Outbox;
  readonly #countMax: number;
  readonly #open = new Map<StreamId, Stream>();
  #accepted = 0;
  #ids = -1;

  constructor(countMax: number, outbox: Outbox) {
    this.#countMax = countMax;
    this.#outbox = outbox;
  }

  get size(): number {
    return this.#open.size;
  }

  get(id: StreamId): Stream | null {
    return this.#open.get(id) ?? null;
  }

  /** False when there are too many. */
  maybeDial(now: Instant, peer: Address, purpose: Purpose, patience: Micros): boolean {
    if (this.#open.size >= this.#countMax) return false;
    this.#ids += 2;
    const id = this.#ids as StreamId;
    this.#add({ id, peer, purpose, reader: new StreamReader(), deadline: after(now, patience) });
    this.#outbox.dial(id, peer);
    return true;
  }

  /** False when there are too many; a quarter of the room is kept for our own. */
  maybeAccept(now: Instant, id: StreamId, peer: Address, patience: Micros): boolean {
    const room = Math.ceil((this.#countMax * 3) / 4);
    if (this.#open.size >= this.#countMax || this.#accepted >= room) return false;
    const purpose: Purpose = { kind: "accepted" };
    this.#add({ id, peer, purpose, reader: new StreamReader(), deadline: after(now, patience) });
    return true;
  }

  /** It is closed already, or was never opened. */
  forget({ id, purpose }: Stream): void {
    if (this.#open.delete(id) && purpose.kind === "accepted") this.#accepted -= 1;
  }

  close(stream: Stream, why: string): void {
    this.forget(stream);
    this.#outbox.close(stream.id, why);
  }

  get all(): readonly Stream[] {
    return [...this.#open.values()];
  }

  get deadline(): Instant {
    let deadline = NEVER;
    for (const stream of this.#open.values()) {
      if (stream.deadline < deadline) deadline = stream.deadline;
    }
    return deadline;
  }

  #add(stream: Stream): void {
    this.#open.set(stream.id, stream);
    if (stream.purpose.kind === "accepted") this.#accepted += 1;
  }
}
