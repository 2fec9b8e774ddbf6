// What is said on a TCP stream: one message in each direction, a push/pull, a ping, an ack or an
// error, perhaps compressed as a whole. There is no length in front of it, so the reader takes the
// bytes as they come and knows from the content when they are complete. Owns the forms and the
// bounds of memory; when a stream is closed is the machine's business.

import { EMPTY_BYTES, type FrozenBytes, freeze } from "../base/bytes.ts";
import { type Fields, readFields } from "./fields.ts";
import { decodeMessage, encodeMessage, encodeVersions, TYPE } from "./message-codec.ts";
import type { MemberState, NodeRecord, PushPull, SerfState, StreamMessage } from "./messages.ts";
import { MsgpackWriter, readMsgpack, type Short } from "./msgpack.ts";
import { decodeCompressed, encodeCompressed } from "./packet-codec.ts";
import type { DropReason } from "./protocol.ts";
import { decodeSerf, encodeSerf } from "./serf-codec.ts";

/** Bytes of one message, as it came and when it is decompressed: about 20 000 members. */
export const STREAM_BYTES_MAX = 4 << 20;

const STATES: readonly MemberState[] = ["alive", "suspect", "dead", "left"];

/** The bytes of one message; compressed also where that makes it longer, as agents do. */
export function encodeStream(
  message: StreamMessage,
  { compress }: { readonly compress: boolean },
): FrozenBytes {
  const plain = message.kind === "push-pull" ? encodePushPull(message) : encodeMessage(message);
  return compress ? encodeCompressed(plain) : plain;
}

function encodePushPull({ join, nodes, serf }: PushPull): FrozenBytes {
  const state = serf === null ? EMPTY_BYTES : encodeSerf(serf);
  const to = new MsgpackWriter().byte(TYPE.pushPull).map(3).text("Join").bool(join);
  to.text("Nodes").uint(nodes.length).text("UserStateLen").uint(state.length);
  for (const node of nodes) writeRecord(to, node);
  return to.verbatim(state).take();
}

function writeRecord(to: MsgpackWriter, record: NodeRecord): void {
  to.map(7).text("Addr").raw(record.address.ip).text("Incarnation").uint(record.incarnation);
  to.text("Meta").rawOrNil(record.meta).text("Name").text(record.node);
  to.text("Port").uint(record.address.port).text("State").uint(STATES.indexOf(record.state));
  to.text("Vsn").raw(encodeVersions(record.versions));
}

function decodeRecord(fields: Fields): NodeRecord | DropReason {
  const state = STATES[fields.count("State", STATES.length - 1)];
  return fields.finish({
    node: fields.name("Name"),
    address: fields.address("Addr", "Port"),
    incarnation: fields.incarnation("Incarnation"),
    meta: fields.meta("Meta"),
    state: state ?? "dead",
    versions: fields.versions("Vsn"),
  });
}

export type StreamReading =
  /** Not complete yet, or it was told before: bytes behind a message are ignored. */
  | { readonly kind: "more" }
  | { readonly kind: "message"; readonly message: StreamMessage }
  | { readonly kind: "dropped"; readonly reason: DropReason };

/** Bytes looked at again, over all, before a stream of crumbs is given up. */
const REREAD_BYTES_MAX = 16 * STREAM_BYTES_MAX;
const MORE: StreamReading = { kind: "more" };

/** Reads one direction of one stream. Never throws. */
export class StreamReader {
  #bytes: FrozenBytes = EMPTY_BYTES;
  #length = 0;
  /** Reading again is of no use before so many bytes are here. */
  #neededBytes = 1;
  #rereadBytesLeft = REREAD_BYTES_MAX;
  #pushPull = new PushPullReader();
  #isDone = false;

  /** Takes what came next; the bytes are copied. */
  take(bytes: Uint8Array): StreamReading {
    if (this.#isDone) return MORE;
    if (this.#length + bytes.length > STREAM_BYTES_MAX) return this.#finish("too-large");
    this.#append(bytes);
    if (this.#length < this.#neededBytes) return MORE;
    this.#rereadBytesLeft -= this.#length - this.#pushPull.at;
    if (this.#rereadBytesLeft < 0) return this.#finish("too-slow");
    const reading = this.#read(freeze(this.#bytes.subarray(0, this.#length)));
    if (typeof reading === "string" || !("neededBytes" in reading)) return this.#finish(reading);
    this.#neededBytes = reading.neededBytes;
    return reading.neededBytes > STREAM_BYTES_MAX ? this.#finish("too-large") : MORE;
  }

  #finish(reading: StreamMessage | DropReason): StreamReading {
    this.#isDone = true;
    this.#bytes = EMPTY_BYTES;
    this.#pushPull = new PushPullReader();
    if (typeof reading === "string") return { kind: "dropped", reason: reading };
    return { kind: "message", message: reading };
  }

  #append(bytes: Uint8Array): void {
    const needed = this.#length + bytes.length;
    if (needed > this.#bytes.length) {
      const grown = new Uint8Array(Math.max(needed, 2 * this.#bytes.length));
      grown.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = freeze(grown);
    }
    this.#bytes.set(bytes, this.#length);
    this.#length = needed;
  }

  #read(bytes: FrozenBytes): StreamMessage | DropReason | Short {
    const type = bytes[0];
    switch (type) {
      case undefined:
        return { neededBytes: 1 };
      case TYPE.pushPull:
        return this.#pushPull.read(bytes);
      case TYPE.encrypt:
        return "encrypted";
      case TYPE.label:
        return "labelled";
      case TYPE.compress:
      case TYPE.ping:
      case TYPE.ack:
      case TYPE.error:
        break;
      default:
        return type > TYPE.error ? "unknown-type" : "not-for-streams";
    }
    const reading = readMsgpack(bytes, 1);
    if (reading === "malformed" || "neededBytes" in reading) return reading;
    if (type !== TYPE.compress) return decodeSingle(bytes);
    const plain = decodeCompressed(bytes, STREAM_BYTES_MAX);
    return typeof plain === "string" ? plain : decodeWhole(plain);
  }
}

/** A message all of whose bytes are here. */
function decodeWhole(bytes: FrozenBytes): StreamMessage | DropReason {
  if (bytes[0] !== TYPE.pushPull) return decodeSingle(bytes);
  const reading = new PushPullReader().read(bytes);
  return typeof reading === "object" && "neededBytes" in reading ? "truncated" : reading;
}

function decodeSingle(bytes: FrozenBytes): StreamMessage | DropReason {
  const message = decodeMessage(bytes);
  if (typeof message === "string") return message;
  const { kind } = message;
  return kind === "ping" || kind === "ack" || kind === "error" ? message : "not-for-streams";
}

interface PushPullHeader {
  readonly join: boolean;
  readonly nodeCount: number;
  readonly stateLength: number;
}

/** Reads each record once, however many pieces the bytes come in. */
class PushPullReader {
  /** Where the first thing begins that is not read yet. */
  at = 1;
  #header: PushPullHeader | null = null;
  #readCount = 0;
  readonly #nodes: NodeRecord[] = [];

  /** `bytes` begins with what was given before. */
  read(bytes: FrozenBytes): PushPull | DropReason | Short {
    const header = this.#header ?? this.#readHeader(bytes);
    if (typeof header === "string" || "neededBytes" in header) return header;
    this.#header = header;
    const trouble = this.#readRecords(bytes, header.nodeCount);
    if (trouble !== null) return trouble;
    const end = this.at + header.stateLength;
    if (bytes.length < end) return { neededBytes: end };
    return {
      kind: "push-pull",
      join: header.join,
      nodes: this.#nodes,
      nodesDropped: header.nodeCount - this.#nodes.length,
      serf: decodeState(freeze(bytes.subarray(this.at, end))),
    };
  }

  #readHeader(bytes: FrozenBytes): PushPullHeader | DropReason | Short {
    const reading = readFields(bytes, this.at);
    if (reading === "malformed" || "neededBytes" in reading) return reading;
    const { fields, end } = reading;
    const header = fields.finish({
      join: fields.bool("Join"),
      nodeCount: fields.u32("Nodes"),
      stateLength: fields.u32("UserStateLen"),
    });
    if (typeof header === "string") return header;
    if (header.nodeCount + header.stateLength > STREAM_BYTES_MAX) return "too-large";
    this.at = end;
    return header;
  }

  #readRecords(bytes: FrozenBytes, nodeCount: number): DropReason | Short | null {
    while (this.#readCount < nodeCount) {
      const reading = readFields(bytes, this.at);
      if (reading === "malformed" || "neededBytes" in reading) return reading;
      const record = decodeRecord(reading.fields);
      if (typeof record !== "string") this.#nodes.push(record);
      this.at = reading.end;
      this.#readCount++;
    }
    return null;
  }
}

function decodeState(bytes: FrozenBytes): SerfState | null {
  const state = decodeSerf(bytes, 0);
  return typeof state !== "string" && state.kind === "state" ? state : null;
}
