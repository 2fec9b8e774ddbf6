// A backup's files: the base checkpoint, if there is one, and stores with the entries behind it,
// cut into files of about the same size. Owns their names, their bytes and what must hold of them,
// for whoever makes them and for whoever reads them back; the list of them all is the manifest
// (src/cli/backup-manifest.ts), and where they come from and go to nobody's business here.
//
// They are the files of a data directory (docs/formats.md), without markers and room ahead: a store
// begins with its header, each frame stands at a multiple of 8, and nothing stands behind the last.

import { type FrozenBytes, viewOf } from "../base/bytes.ts";
import type { BackupBase, BackupPart } from "../base/client.ts";
import { crc32c } from "../base/crc32c.ts";
import { brokenLink, type Entry, LOG_START, type LogPoint, pointAfter } from "../base/entry.ts";
import type { LogIndex } from "../base/ids.ts";
import { type Checkpoint, decodeCheckpoint, encodeCheckpointHeader } from "../log/checkpoint.ts";
import { checkpointFile, storeFile } from "../log/file-names.ts";
import { decodeFrame, FRAME_LIMITS, paddedLength } from "../log/frame.ts";
import {
  decodeSegmentHeader,
  encodeSegmentHeader,
  SEGMENT_HEADER_BYTES,
} from "../log/segment-header.ts";

/** A store of a backup ends behind the entry with which it has grown to this. */
export const BACKUP_STORE_BYTES = 16 * 1024 * 1024;

/** Whose log it is. */
export interface BackupOwner {
  /** 32 lower-case hex digits each. */
  readonly clusterId: string;
  readonly instanceId: string;
}

/** What the files consist of, in the order in which they are to be written. */
export type BackupPiece =
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  /** All bytes since the last file was whole are this one's. */
  | { readonly kind: "file"; readonly file: BackupFile };

export interface BackupFile {
  readonly name: string;
  readonly length: number;
  /** CRC-32C of its bytes. */
  readonly crc: number;
}

/** Makes files of what a node says of a backup. */
export class BackupWriter {
  readonly #owner: BackupOwner;
  readonly #base: BackupBase | null;
  readonly #storeBytes: number;
  /** The place after the last entry. */
  #point: LogPoint;
  #pieces: BackupPiece[] = [];
  #name: string | null = null;
  #length = 0;
  #crc = 0;

  constructor(owner: BackupOwner, base: BackupBase | null, storeBytes = BACKUP_STORE_BYTES) {
    this.#owner = owner;
    this.#base = base;
    this.#storeBytes = storeBytes;
    this.#point = base?.at ?? LOG_START;
    if (base !== null) this.#begin(checkpointFile(base.at.index), encodeCheckpointHeader(base));
  }

  /** Frames are not copied. At the end the last file is whole, too. */
  take(part: BackupPart): readonly BackupPiece[] {
    if (part.kind === "state") this.#put(part.bytes);
    else if (part.kind === "entries") for (const entry of part.entries) this.#append(entry);
    else this.#close();
    const pieces = this.#pieces;
    this.#pieces = [];
    return pieces;
  }

  #append(entry: Entry): void {
    const store = storeFile((this.#point.index + 1) as LogIndex);
    if (this.#point.index === this.#base?.at.index) this.#close();
    if (this.#name === null) {
      this.#begin(store, encodeSegmentHeader({ before: this.#point, ...this.#owner }));
    }
    const { frame } = entry;
    this.#put(frame);
    const padding = paddedLength(frame.length) - frame.length;
    if (padding > 0) this.#put(new Uint8Array(padding));
    this.#point = pointAfter(entry);
    if (this.#length >= this.#storeBytes) this.#close();
  }

  #begin(name: string, header: Uint8Array): void {
    this.#name = name;
    this.#length = 0;
    this.#crc = 0;
    this.#put(header);
  }

  #put(bytes: Uint8Array): void {
    this.#length += bytes.length;
    this.#crc = crc32c(bytes, this.#crc);
    this.#pieces.push({ kind: "bytes", bytes });
  }

  #close(): void {
    if (this.#name === null) return;
    const file = { name: this.#name, length: this.#length, crc: this.#crc };
    this.#pieces.push({ kind: "file", file });
    this.#name = null;
  }
}

/** What a file of a backup holds. */
export type BackupContent =
  | { readonly kind: "checkpoint"; readonly checkpoint: Checkpoint }
  | { readonly kind: "entries"; readonly entries: readonly Entry[] };

/** Throws it: `what` says what is wrong with which file at which byte. */
export class BackupDamage extends Error {
  override readonly name = "BackupDamage";
}

/** Reads files back in the order in which they were made, and holds each against those before. */
export class BackupReader {
  #owner: BackupOwner | null;
  #point: LogPoint = LOG_START;
  #hasAny = false;

  /** `owner` null: whoever the first store says. */
  constructor(owner: BackupOwner | null) {
    this.#owner = owner;
  }

  /** Null while no store has said it. */
  get owner(): BackupOwner | null {
    return this.#owner;
  }

  /** The place after the last entry so far. */
  get point(): LogPoint {
    return this.#point;
  }

  /**
   * The whole file, every checksum and the chain verified; throws BackupDamage. What it answers are
   * views of `bytes`.
   */
  read(name: string, bytes: FrozenBytes): BackupContent {
    const isFirst = !this.#hasAny;
    this.#hasAny = true;
    const checkpoint = isFirst ? decodeCheckpoint(bytes) : null;
    if (checkpoint !== null && name === checkpointFile(checkpoint.at.index)) {
      this.#point = checkpoint.at;
      return { kind: "checkpoint", checkpoint };
    }
    const expected = storeFile((this.#point.index + 1) as LogIndex);
    if (name !== expected) {
      const what = isFirst
        ? "neither a whole checkpoint nor the log's first store"
        : "out of order";
      throw new BackupDamage(`${name}: ${what}; expected ${expected}`);
    }
    this.#checkHeader(name, bytes);
    return { kind: "entries", entries: this.#entries(name, bytes) };
  }

  #checkHeader(name: string, bytes: Uint8Array): void {
    const decoded = decodeSegmentHeader(bytes);
    if (decoded.kind === "newer") throw damage(name, 8, `format ${decoded.found}: a newer build's`);
    if (decoded.kind === "malformed") throw damage(name, 0, decoded.what);
    const { before, clusterId, instanceId } = decoded.header;
    this.#owner ??= { clusterId, instanceId };
    if (clusterId !== this.#owner.clusterId) throw damage(name, 48, "it is of another cluster");
    if (instanceId !== this.#owner.instanceId) throw damage(name, 64, "it is of another node");
    const { index, term, endOffset, timestamp } = this.#point;
    const isSame =
      before.index === index &&
      before.term === term &&
      before.endOffset === endOffset &&
      before.timestamp === timestamp;
    if (!isSame) throw damage(name, 16, `it does not join on to entry ${index}`);
  }

  #entries(name: string, bytes: FrozenBytes): Entry[] {
    const view = viewOf(bytes);
    const entries: Entry[] = [];
    let at = SEGMENT_HEADER_BYTES;
    while (at < bytes.length) {
      const decoded = decodeFrame(bytes, at, FRAME_LIMITS, view);
      if (decoded.kind === "incomplete") throw damage(name, at, "the file ends inside a frame");
      if (decoded.kind !== "entry") throw damage(name, at, decoded.what);
      const { entry } = decoded;
      const broken = entry.kind === "marker" ? "a marker" : brokenLink(this.#point, entry);
      if (broken !== null) throw damage(name, at, `entry ${entry.index}: ${broken}`);
      this.#point = pointAfter(entry);
      entries.push(entry);
      const end = at + decoded.length;
      at += paddedLength(decoded.length);
      if (!isZero(bytes, end, at)) throw damage(name, end, "a frame is not followed by zeros");
    }
    if (entries.length === 0) throw damage(name, at, "it holds no entry");
    return entries;
  }
}

function isZero(bytes: Uint8Array, from: number, end: number): boolean {
  for (let at = from; at < end; at++) if (bytes[at] !== 0) return false;
  return true;
}

function damage(name: string, position: number, what: string): BackupDamage {
  return new BackupDamage(`${name} at byte ${position}: ${what}`);
}
