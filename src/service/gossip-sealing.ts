// Encryption between a gossip machine and its network, in memberlist's framing: packets sealed as
// they are, streams as one frame in each direction. Owns what is refused and when, and the bytes of
// frames that are not complete; the keys are the cipher's.
//
//   packet = sealed part
//   stream = 0x0a | u32 length of the sealed part | sealed part, bound to those five bytes

import { EMPTY_BYTES, type FrozenBytes, freeze, viewOf } from "../base/bytes.ts";
import type { StreamId } from "../base/ids.ts";
import type { DropReason } from "../gossip/protocol.ts";
import { STREAM_BYTES_MAX } from "../gossip/stream-codec.ts";
import type { GossipCipher } from "../ports/gossip-cipher.ts";

/**
 * How far a cluster has come in using its keys. `accept`: speaks plainly, understands both. `send`:
 * speaks sealed, understands both. `require`: whatever is not sealed is refused.
 */
export type EncryptionStage = "accept" | "send" | "require";

export interface GossipEncryption {
  readonly cipher: GossipCipher;
  readonly stage: EncryptionStage;
}

const FRAME_TYPE = 0x0a;
const FRAME_HEAD_BYTES = 5;
/** Version, nonce, tag, and the padding of version 0. */
const SEAL_BYTES_MAX = 1 + 12 + 16 + 16;
/** Of all frames that are not complete. */
export const FRAME_BYTES_WAITING_MAX = 4 * STREAM_BYTES_MAX;

interface OpenStream {
  /** How the other end speaks; null before its first byte. An answer is given in kind. */
  isSealed: boolean | null;
  waiting: Uint8Array;
  isDone: boolean;
}

export class GossipSealing {
  readonly #encryption: GossipEncryption | null;
  readonly #streams = new Map<StreamId, OpenStream>();
  #bytesWaiting = 0;

  constructor(encryption: GossipEncryption | null) {
    this.#encryption = encryption;
  }

  sealPacket(plain: FrozenBytes): FrozenBytes {
    const { cipher, stage } = this.#encryption ?? NONE;
    return cipher === null || stage === "accept" ? plain : cipher.seal(plain, EMPTY_BYTES);
  }

  openPacket(bytes: FrozenBytes): FrozenBytes | DropReason {
    const { cipher, stage } = this.#encryption ?? NONE;
    if (cipher === null) return bytes;
    const plain = cipher.open(bytes, EMPTY_BYTES);
    if (plain !== null) return plain;
    if (stage !== "require") return bytes;
    return looksSealed(bytes) ? "undecryptable" : "plaintext";
  }

  /** All that is said in one direction of a stream, at once. */
  sealStream(streamId: StreamId, plain: FrozenBytes): FrozenBytes {
    const { cipher, stage } = this.#encryption ?? NONE;
    if (cipher === null) return plain;
    const isSealed = this.#streams.get(streamId)?.isSealed ?? stage !== "accept";
    return isSealed ? frame(cipher, plain) : plain;
  }

  /** What came is for the machine, is not complete yet (null), or ends the stream. */
  takeStream(streamId: StreamId, bytes: FrozenBytes): FrozenBytes | DropReason | null {
    const { cipher, stage } = this.#encryption ?? NONE;
    if (cipher === null || bytes.length === 0) return bytes;
    const stream = this.#streams.get(streamId) ?? this.#begin(streamId);
    stream.isSealed ??= bytes[0] === FRAME_TYPE;
    if (!stream.isSealed) return stage === "require" ? "plaintext" : bytes;
    return stream.isDone ? null : this.#takeSealed(cipher, stream, bytes);
  }

  /** The stream is gone. */
  forget(streamId: StreamId): void {
    const stream = this.#streams.get(streamId);
    if (stream === undefined) return;
    this.#bytesWaiting -= stream.waiting.length;
    this.#streams.delete(streamId);
  }

  #begin(streamId: StreamId): OpenStream {
    const stream: OpenStream = { isSealed: null, waiting: EMPTY_BYTES, isDone: false };
    this.#streams.set(streamId, stream);
    return stream;
  }

  #takeSealed(
    cipher: GossipCipher,
    stream: OpenStream,
    bytes: FrozenBytes,
  ): FrozenBytes | DropReason | null {
    if (this.#bytesWaiting + bytes.length > FRAME_BYTES_WAITING_MAX) return "too-large";
    const whole = new Uint8Array(stream.waiting.length + bytes.length);
    whole.set(stream.waiting);
    whole.set(bytes, stream.waiting.length);
    this.#bytesWaiting += bytes.length;
    stream.waiting = whole;
    if (whole.length < FRAME_HEAD_BYTES) return null;
    const length = viewOf(whole).getUint32(1);
    if (length > STREAM_BYTES_MAX + SEAL_BYTES_MAX) return "too-large";
    const end = FRAME_HEAD_BYTES + length;
    if (whole.length < end) return null;
    this.#bytesWaiting -= whole.length;
    stream.waiting = EMPTY_BYTES;
    stream.isDone = true;
    const head = whole.subarray(0, FRAME_HEAD_BYTES);
    return cipher.open(whole.subarray(FRAME_HEAD_BYTES, end), head) ?? "undecryptable";
  }
}

const NONE = { cipher: null, stage: "accept" } as const;

/** The first byte of a sealed packet is its version; of plain ones only pings begin so. */
function looksSealed(bytes: Uint8Array): boolean {
  return (bytes[0] ?? 0xff) <= 1 && bytes.length > SEAL_BYTES_MAX - 16;
}

function frame(cipher: GossipCipher, plain: Uint8Array): FrozenBytes {
  // The length goes into what is sealed, and is known before: version 1 does not pad.
  const head = new Uint8Array(FRAME_HEAD_BYTES);
  head[0] = FRAME_TYPE;
  viewOf(head).setUint32(1, plain.length + SEAL_BYTES_MAX - 16);
  const sealed = cipher.seal(plain, head);
  const whole = new Uint8Array(FRAME_HEAD_BYTES + sealed.length);
  whole.set(head);
  whole.set(sealed, FRAME_HEAD_BYTES);
  return freeze(whole);
}
