// What a connection asked for and has not read yet: bytes of answers that were handed to grpc-js
// and wait for the other end's window. Owns the count and its bound, a connection at a time, so
// that nobody's reading waits for somebody else's.

export class UnreadAnswers {
  readonly #bytesMax: number;
  readonly #byPeer = new Map<string, number>();

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Of all connections. */
  get bytes(): number {
    let bytes = 0;
    for (const unread of this.#byPeer.values()) bytes += unread;
    return bytes;
  }

  /** False: no more for this connection; one answer may always wait, however long it is. */
  take(peer: string, bytes: number): boolean {
    const unread = this.#byPeer.get(peer) ?? 0;
    if (unread > 0 && unread + bytes > this.#bytesMax) return false;
    this.#byPeer.set(peer, unread + bytes);
    return true;
  }

  /** They have left, or nobody waits for them any more. */
  give(peer: string, bytes: number): void {
    const unread = (this.#byPeer.get(peer) ?? 0) - bytes;
    if (unread > 0) this.#byPeer.set(peer, unread);
    else this.#byPeer.delete(peer);
  }
}
