// A recorded run as bytes: what a node was made of, then each turn's mail, time and output. Owns
// the format; src/adapters/recording-writer.ts writes it beside a running node, sim/replay.ts feeds
// it to the same node again and compares.
//
//   file = magic "CAIRNREC" | u32 version (1) | block...
//   block = u32 length | u32 CRC-32C of the payload | payload (MessagePack)
//   first payload = { options, seed }, every other one = [now, events, rang, output]
//
// A block that is cut off or fails its checksum ends the recording: the process died while writing
// it.

import { decode, encode } from "@msgpack/msgpack";

import { viewOf } from "../base/bytes.ts";
import { crc32c } from "../base/crc32c.ts";
import type { Instant } from "../base/ids.ts";
import type { NodeEvent, NodeOptions, NodeOutput } from "../node/protocol.ts";

export const RECORDING_VERSION = 1;
export const RECORDING_SUFFIX = ".cairnrec";
const MAGIC = new Uint8Array([0x43, 0x41, 0x49, 0x52, 0x4e, 0x52, 0x45, 0x43]);
const FILE_HEAD_BYTES = 12;
const BLOCK_HEAD_BYTES = 8;

export interface RecordedTurn {
  readonly now: Instant;
  readonly events: readonly NodeEvent[];
  readonly rang: boolean;
  readonly output: Uint8Array;
}

export interface Recording {
  readonly options: NodeOptions;
  readonly seed: string;
  readonly turns: readonly RecordedTurn[];
  /** Bytes after the last whole block: the write that a crash cut off. */
  readonly cutBytes: number;
}

/** The beginning of a recording: file head and first block. */
export function encodeStart(options: NodeOptions, seed: string): Uint8Array {
  const block = encodeBlock({ options, seed });
  const bytes = new Uint8Array(FILE_HEAD_BYTES + block.length);
  bytes.set(MAGIC, 0);
  viewOf(bytes).setUint32(8, RECORDING_VERSION);
  bytes.set(block, FILE_HEAD_BYTES);
  return bytes;
}

/** The events of a turn as bytes, taken before the node touches what they hold. */
export function encodeEvents(events: readonly NodeEvent[]): Uint8Array {
  return encode(events, { ignoreUndefined: true });
}

/** An output as the bytes that a replay must match. */
export function encodeOutput(output: NodeOutput | null): Uint8Array {
  return encode(output, { ignoreUndefined: true });
}

/** One turn as a block. */
export function encodeTurn(
  now: Instant,
  events: Uint8Array,
  rang: boolean,
  output: Uint8Array,
): Uint8Array {
  return encodeBlock([now, events, rang, output]);
}

function encodeBlock(value: unknown): Uint8Array {
  const payload = encode(value);
  const block = new Uint8Array(BLOCK_HEAD_BYTES + payload.length);
  const view = viewOf(block);
  view.setUint32(0, payload.length);
  view.setUint32(4, crc32c(payload));
  block.set(payload, BLOCK_HEAD_BYTES);
  return block;
}

/** The recording in a file's bytes, or one sentence on why they are none. */
export function decodeRecording(bytes: Uint8Array): Recording | string {
  if (bytes.length < FILE_HEAD_BYTES || !MAGIC.every((byte, at) => bytes[at] === byte)) {
    return "this is not a recording of a Cairn node";
  }
  const version = viewOf(bytes).getUint32(8);
  if (version !== RECORDING_VERSION) {
    return `recording format ${version} is not known here (${RECORDING_VERSION} is)`;
  }
  const payloads: unknown[] = [];
  let at = FILE_HEAD_BYTES;
  for (;;) {
    const payload = blockAt(bytes, at);
    if (payload === null) break;
    payloads.push(decode(payload));
    at += BLOCK_HEAD_BYTES + payload.length;
  }
  const [start, ...turns] = payloads;
  if (start === undefined) return "the recording ends before its first block";
  const { options, seed } = start as { options: NodeOptions; seed: string };
  return { options, seed, turns: turns.map(turnOf), cutBytes: bytes.length - at };
}

function blockAt(bytes: Uint8Array, at: number): Uint8Array | null {
  if (at + BLOCK_HEAD_BYTES > bytes.length) return null;
  const view = viewOf(bytes);
  const from = at + BLOCK_HEAD_BYTES;
  const end = from + view.getUint32(at);
  if (end > bytes.length) return null;
  const payload = bytes.subarray(from, end);
  return crc32c(payload) === view.getUint32(at + 4) ? payload : null;
}

function turnOf(payload: unknown): RecordedTurn {
  const [now, events, rang, output] = payload as [Instant, Uint8Array, boolean, Uint8Array];
  return { now, events: decode(events) as NodeEvent[], rang, output };
}
