// One open link over a connected socket, plain or TLS: frames in, frames out. Owns framing, the
// bound on what waits to leave, holding back a peer whose frames find no room, and the sign of
// life. Which frames, and when to close, is the node's.
//
// A frame without bytes is a sign of life: the end that dialed sends one now and then, the other
// end sends it back. Without it, a link over a path that was cut looks open for as long as TCP
// retries, and after the path is mended TCP may wait two minutes before it tries again.

import type { Socket } from "node:net";

import { assert } from "../base/assert.ts";
import type { FrozenBytes } from "../base/bytes.ts";
import { LENGTH_BYTES, LinkDecoder } from "./link-decoder.ts";

export interface LinkLimits {
  /** Longer frames close the link. */
  readonly frameBytesMax: number;
  /** Bytes that wait to leave before `send` says false; exceeded by at most one frame. */
  readonly sendBytesMax: number;
}

export interface LinkOwner {
  /** False: no room, offer it again. */
  frame(frame: FrozenBytes): boolean;
  /** Once, unless the owner closed the link. */
  closed(why: string): void;
}

/** What was sent may take this long to leave after the owner closed the link. */
const FAREWELL_MS = 1000;
/** A refused frame is offered at once some times, then at this interval. */
const OFFERS_AT_ONCE = 4;
const OFFER_AGAIN_MS = 2;
const SIGN_OF_LIFE = new Uint8Array(LENGTH_BYTES);

export class PeerLink {
  readonly isDialed: boolean;
  /** When the peer was last heard, by performance.now(). */
  heardMs: number;
  readonly #socket: Socket;
  readonly #limits: LinkLimits;
  readonly #owner: LinkOwner;
  readonly #decoder: LinkDecoder;
  /** A frame the owner had no room for. */
  #refused: FrozenBytes | null = null;
  #offers = 0;
  #isCorked = false;
  #isClosed = false;
  #why = "the peer closed the link";

  constructor(socket: Socket, isDialed: boolean, limits: LinkLimits, owner: LinkOwner) {
    this.isDialed = isDialed;
    this.heardMs = performance.now();
    this.#socket = socket;
    this.#limits = limits;
    this.#owner = owner;
    this.#decoder = new LinkDecoder(limits.frameBytesMax);
    socket.on("error", (error) => {
      this.#why = error.message;
    });
    socket.on("close", () => this.#end());
  }

  /** Begins to read; the owner may hear frames from the next round of the event loop on. */
  listen(): void {
    this.#socket.on("data", (chunk: Buffer) => {
      if (this.#isClosed) return;
      this.heardMs = performance.now();
      this.#decoder.push(chunk);
      this.#offer();
    });
  }

  /** True while the peer is held back because its frames find no room. */
  get isHeldBack(): boolean {
    return this.#refused !== null;
  }

  get unsentBytes(): number {
    return this.#socket.writableLength;
  }

  send(parts: readonly Uint8Array[]): boolean {
    if (this.#isClosed || this.unsentBytes >= this.#limits.sendBytesMax) return false;
    let length = 0;
    for (const part of parts) length += part.length;
    assert(length > 0, "a frame without bytes was sent");
    assert(length <= this.#limits.frameBytesMax, "a frame beyond the limit was sent", length);
    this.#cork();
    const prefix = Buffer.allocUnsafe(LENGTH_BYTES);
    prefix.writeUInt32BE(length);
    this.#socket.write(prefix);
    for (const part of parts) if (part.length > 0) this.#socket.write(part);
    return true;
  }

  /** Says that this end lives; nothing when the link is so full that the peer hears enough. */
  sendSignOfLife(): void {
    if (this.#isClosed || this.unsentBytes >= this.#limits.sendBytesMax) return;
    this.#cork();
    this.#socket.write(SIGN_OF_LIFE);
  }

  /** Closes once what was sent has left; the owner hears nothing more. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#refused = null;
    const timer = setTimeout(() => this.#socket.destroy(), FAREWELL_MS);
    this.#socket.on("close", () => clearTimeout(timer));
    this.#socket.end();
    // Unread bytes would hold back the peer's end of the connection.
    this.#socket.resume();
  }

  /** Closes at once; the owner hears nothing more. */
  destroy(): void {
    this.#isClosed = true;
    this.#refused = null;
    this.#socket.destroy();
  }

  /** Closes at once and tells the owner. */
  fail(why: string): void {
    this.#why = why;
    this.#socket.destroy();
    this.#end();
  }

  #end(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#refused = null;
    this.#owner.closed(this.#why);
  }

  /** All that one turn sends leaves in one system call. */
  #cork(): void {
    if (this.#isCorked) return;
    this.#isCorked = true;
    this.#socket.cork();
    process.nextTick(() => {
      this.#isCorked = false;
      this.#socket.uncork();
    });
  }

  #offer(): void {
    while (!this.#isClosed) {
      const frame = this.#refused ?? this.#decoder.next();
      if (frame === null) {
        this.#goOn();
        return;
      }
      if ("kind" in frame) {
        const max = this.#limits.frameBytesMax;
        this.fail(`the peer announced a frame of ${frame.length} bytes, the limit is ${max}`);
        return;
      }
      if (frame.length === 0) {
        if (!this.isDialed) this.sendSignOfLife();
      } else if (!this.#owner.frame(frame)) {
        this.#holdBack(frame);
        return;
      }
      this.#refused = null;
      this.#offers = 0;
    }
  }

  #goOn(): void {
    if (!this.#socket.isPaused()) return;
    this.heardMs = performance.now();
    this.#socket.resume();
  }

  #holdBack(frame: FrozenBytes): void {
    this.#refused = frame;
    this.#socket.pause();
    this.#offers++;
    if (this.#offers <= OFFERS_AT_ONCE) setImmediate(() => this.#offerAgain());
    else setTimeout(() => this.#offerAgain(), OFFER_AGAIN_MS);
  }

  #offerAgain(): void {
    if (this.#refused !== null) this.#offer();
  }
}
