// A file as the operations on a disk left it in the cache of the simulated computer: its bytes, and
// what stands in them. Owns the bytes of one file; which files there are is disk-watch.ts.

import { freeze } from "../../src/base/bytes.ts";
import type { EntryHead, LogPoint } from "../../src/base/entry.ts";
import { type Checkpoint, decodeCheckpoint } from "../../src/log/checkpoint.ts";
import { SEGMENT_HEADER_BYTES } from "../../src/log/segment-header.ts";

/** An entry's place in its file. */
export interface Framed {
  readonly head: EntryHead;
  readonly position: number;
  readonly end: number;
}

export class FileWatch {
  bytes = new Uint8Array(0);
  length = 0;
  /** Entries that stand one after another from the header on, markers left out. */
  readonly frames: Framed[] = [];
  /** What a whole header says the log had before; undefined until it is read anew. */
  before: LogPoint | null | undefined = undefined;
  /** Undefined until somebody asks. */
  #checkpoint: Checkpoint | null | undefined = undefined;

  /** Writes, and says where the first byte changed; null when none did. */
  write(position: number, parts: readonly Uint8Array[]): number | null {
    let changedAt: number | null = null;
    let at = position;
    for (const part of parts) {
      this.#growTo(at + part.length);
      if (changedAt === null) changedAt = this.#firstChange(at, part);
      this.bytes.set(part, at);
      at += part.length;
    }
    const isInHeader = changedAt !== null && changedAt < SEGMENT_HEADER_BYTES;
    if (isInHeader || position < SEGMENT_HEADER_BYTES) this.before = undefined;
    this.#checkpoint = undefined;
    return changedAt;
  }

  /** It has these bytes and no others. */
  holds(bytes: Uint8Array): boolean {
    return this.length === bytes.length && this.#firstChange(0, bytes) === null;
  }

  /** The checkpoint in it; null when it is none, or not whole. */
  get checkpoint(): Checkpoint | null {
    if (this.#checkpoint === undefined)
      this.#checkpoint = decodeCheckpoint(freeze(this.bytes.slice(0, this.length)));
    return this.#checkpoint;
  }

  #firstChange(position: number, part: Uint8Array): number | null {
    const { bytes } = this;
    for (let n = 0; n < part.length; n++) if (bytes[position + n] !== part[n]) return position + n;
    return null;
  }

  #growTo(length: number): void {
    this.length = Math.max(this.length, length);
    if (length <= this.bytes.length) return;
    const room = new Uint8Array(Math.max(length, 2 * this.bytes.length, 4096));
    room.set(this.bytes);
    this.bytes = room;
  }
}
