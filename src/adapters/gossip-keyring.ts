// The keys that members of a gossip cluster share, and AES-GCM with them, as stock agents do it.
// The first key seals, every key opens. Owns the keys in memory and, where it has one, the file
// that keeps them (Serf's: a JSON list of base64, the primary first).

import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { closeSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from "node:fs";

import { type FrozenBytes, freeze } from "../base/bytes.ts";
import type { GossipCipher } from "../ports/gossip-cipher.ts";

const NONCE_BYTES = 12;
const TAG_BYTES = 16;
const BLOCK_BYTES = 16;
/** Plain bytes as they are; version 0 pads them to blocks. */
const VERSION = 1;
const KEYS_MAX = 32;
const ALGORITHMS = { 16: "aes-128-gcm", 24: "aes-192-gcm", 32: "aes-256-gcm" } as const;
const KEY_RULE = "a key is 16, 24 or 32 bytes in base64";

/** What is wrong with a key or a keyring, for whoever asked. */
export class KeyringError extends Error {
  override readonly name = "KeyringError";
}

/** A new key, as `serf keygen` prints one. */
export function generateGossipKey(): string {
  return randomBytes(32).toString("base64");
}

export class GossipKeyring implements GossipCipher {
  readonly #file: string | null;
  readonly #nonce: () => Uint8Array;
  #keys: readonly Buffer[];

  /** Throws KeyringError. `file` null: what changes is forgotten with the process. */
  constructor(
    keys: readonly string[],
    file: string | null = null,
    nonce: () => Uint8Array = () => randomBytes(NONCE_BYTES),
  ) {
    if (keys.length === 0) throw new KeyringError("a keyring has one key at least");
    this.#keys = keys.map(decodeKey);
    this.#file = file;
    this.#nonce = nonce;
  }

  /** Throws KeyringError for a file that is no keyring, or the Error of reading it. */
  static open(file: string): GossipKeyring {
    let keys: unknown;
    try {
      keys = JSON.parse(readFileSync(file, "utf8"));
    } catch (error) {
      if (error instanceof SyntaxError) throw new KeyringError(`${file}: expected a JSON list`);
      throw error;
    }
    if (!Array.isArray(keys) || !keys.every((key) => typeof key === "string")) {
      throw new KeyringError(`${file}: expected a JSON list of keys in base64, the primary first`);
    }
    return new GossipKeyring(keys, file);
  }

  /** In base64, the primary first. */
  list(): readonly string[] {
    return this.#keys.map((key) => key.toString("base64"));
  }

  /** Opens with it, too, from now on. */
  install(key: string): void {
    const installed = decodeKey(key);
    if (this.#keys.some((known) => known.equals(installed))) return;
    if (this.#keys.length >= KEYS_MAX) {
      throw new KeyringError(`there are ${KEYS_MAX} keys already: remove one first`);
    }
    this.#replace([...this.#keys, installed]);
  }

  /** Seals with it from now on. */
  use(key: string): void {
    const chosen = this.#find(key);
    this.#replace([chosen, ...this.#keys.filter((known) => known !== chosen)]);
  }

  remove(key: string): void {
    const removed = this.#find(key);
    if (removed === this.#keys[0]) {
      throw new KeyringError("this is the primary key: use another one first");
    }
    this.#replace(this.#keys.filter((known) => known !== removed));
  }

  seal(plain: Uint8Array, context: Uint8Array): FrozenBytes {
    const nonce = this.#nonce();
    const key = this.#keys[0] as Buffer;
    const cipher = createCipheriv(algorithmOf(key), key, nonce).setAAD(context);
    const parts = [Uint8Array.of(VERSION), nonce, cipher.update(plain), cipher.final()];
    return freeze(new Uint8Array(Buffer.concat([...parts, cipher.getAuthTag()])));
  }

  open(sealed: Uint8Array, context: Uint8Array): FrozenBytes | null {
    const version = sealed[0];
    if (version === undefined || version > VERSION) return null;
    if (sealed.length < 1 + NONCE_BYTES + TAG_BYTES) return null;
    for (const key of this.#keys) {
      const plain = openWith(key, sealed, context);
      if (plain !== null) return version === VERSION ? freeze(plain) : unpadded(plain);
    }
    return null;
  }

  #find(key: string): Buffer {
    const wanted = decodeKey(key);
    const found = this.#keys.find((known) => known.equals(wanted));
    if (found === undefined) throw new KeyringError("no such key is installed: install it first");
    return found;
  }

  /** The file first: what is in force is never less than what a restart finds. */
  #replace(keys: readonly Buffer[]): void {
    if (this.#file !== null) {
      const text = `${JSON.stringify(keys.map((key) => key.toString("base64")))}\n`;
      writeWhole(this.#file, text);
    }
    this.#keys = keys;
  }
}

function openWith(key: Buffer, sealed: Uint8Array, context: Uint8Array): Uint8Array | null {
  const bodyEnd = sealed.length - TAG_BYTES;
  const nonce = sealed.subarray(1, 1 + NONCE_BYTES);
  const decipher = createDecipheriv(algorithmOf(key), key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAAD(context).setAuthTag(sealed.subarray(bodyEnd));
  const plain = decipher.update(sealed.subarray(1 + NONCE_BYTES, bodyEnd));
  try {
    decipher.final();
  } catch {
    return null;
  }
  return new Uint8Array(plain);
}

/** PKCS #7 of blocks of 16; null where it is none. */
function unpadded(padded: Uint8Array): FrozenBytes | null {
  const count = padded.at(-1) ?? 0;
  if (count < 1 || count > BLOCK_BYTES || count > padded.length) return null;
  const end = padded.length - count;
  if (!padded.subarray(end).every((byte) => byte === count)) return null;
  return freeze(padded.slice(0, end));
}

function decodeKey(text: string): Buffer {
  const key = Buffer.from(text, "base64");
  const isWhole = key.toString("base64") === text;
  if (!isWhole || !(key.length in ALGORITHMS)) throw new KeyringError(KEY_RULE);
  return key;
}

function algorithmOf(key: Buffer): (typeof ALGORITHMS)[keyof typeof ALGORITHMS] {
  return ALGORITHMS[key.length as keyof typeof ALGORITHMS];
}

function writeWhole(file: string, text: string): void {
  const aside = `${file}.tmp`;
  const opened = openSync(aside, "w", 0o600);
  try {
    writeSync(opened, text);
    fsyncSync(opened);
  } finally {
    closeSync(opened);
  }
  renameSync(aside, file);
}
