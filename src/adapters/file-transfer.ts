// Whole reads and whole writes over an open descriptor. A system call may move fewer bytes than
// asked for (a full disk, a signal, 2 GiB at once): both go on until all is moved, the file ends,
// or the system says why not.

import { read, writev } from "node:fs";
import { promisify } from "node:util";

const readAsync = promisify(read);
const writevAsync = promisify(writev);

/** Performs one gather write; resolves with what the system took. Replaced in tests only. */
export type WriteSome = (
  fd: number,
  parts: readonly Uint8Array[],
  position: number,
) => Promise<number>;

const writeSome: WriteSome = async (fd, parts, position) => {
  const { bytesWritten } = await writevAsync(fd, parts, position);
  return bytesWritten;
};

/**
 * Bytes [position, position + length) of the file; fewer only where it ends. The reader owns them.
 */
export async function readFully(fd: number, position: number, length: number): Promise<Uint8Array> {
  // Unpooled and not zeroed: every byte handed out was read.
  const buffer = Buffer.allocUnsafeSlow(length);
  let have = 0;
  while (have < length) {
    const { bytesRead } = await readAsync(fd, buffer, have, length - have, position + have);
    if (bytesRead === 0) break;
    have += bytesRead;
  }
  // A short read at the end must not pin the room that was made for a long one.
  return have === length
    ? new Uint8Array(buffer.buffer, 0, length)
    : Uint8Array.from(buffer.subarray(0, have));
}

/** Writes the parts one after another at `position`. */
export async function writeFully(
  fd: number,
  position: number,
  parts: readonly Uint8Array[],
  write: WriteSome = writeSome,
): Promise<void> {
  let rest = parts.filter((part) => part.length > 0);
  let at = position;
  while (rest.length > 0) {
    const written = await write(fd, rest, at);
    if (written === 0) throw new Error(`the system took no byte of a write at position ${at}`);
    at += written;
    rest = withoutFirst(rest, written);
  }
}

/** What is left of `parts` after their first `count` bytes. */
export function withoutFirst(parts: readonly Uint8Array[], count: number): Uint8Array[] {
  let skip = count;
  let index = 0;
  for (const part of parts) {
    if (skip < part.length) break;
    skip -= part.length;
    index++;
  }
  const rest = parts.slice(index);
  const first = rest[0];
  if (first !== undefined && skip > 0) rest[0] = first.subarray(skip);
  return rest;
}
