// What a gossip member keeps for its next life: how far it has counted its incarnations, so that
// what was said of the last life is refuted with the first word of the next, and who the others
// were, so that it finds somebody although all it was told to join are gone. Owns the bytes
// (docs/formats.md); the file is src/adapters/gossip-file.ts.

import { crc32c } from "../base/crc32c.ts";
import { decodeUtf8, encodeUtf8 } from "../base/utf8.ts";
import { INCARNATION_FIRST_MAX } from "../gossip/claims.ts";
import type { Incarnation } from "../gossip/messages.ts";

export interface Remembered {
  /** The highest that this member has used. */
  readonly incarnation: Incarnation;
  /** Everybody else who has not left, failed ones too; `addr` is `host:port`. */
  readonly members: readonly { readonly name: string; readonly addr: string }[];
}

/** Where it is kept. */
export interface GossipMemory {
  /** Of the life before; null when there was none, or nothing sound is left of it. */
  readonly remembered: Remembered | null;
  /** Replaces what is kept. Takes effect soon, the latest wins, and failing is told elsewhere. */
  keep(remembered: Remembered): void;
}

const MAGIC = "cairn-gossip";
const VERSION = 1;
/** Any more are not kept; one that answers is enough. */
const MEMBERS_MAX = 4096;

/** One line that says what it is, of which version and checksum, and one of JSON. */
export function encodeRemembered({ incarnation, members }: Remembered): Uint8Array {
  const body = encodeUtf8(
    `${JSON.stringify({ incarnation, members: members.slice(0, MEMBERS_MAX) })}\n`,
  );
  const head = encodeUtf8(`${MAGIC} ${VERSION} ${checksum(body)}\n`);
  const bytes = new Uint8Array(head.length + body.length);
  bytes.set(head);
  bytes.set(body, head.length);
  return bytes;
}

/** Null for whatever was not written by `encodeRemembered`: nothing depends on it. */
export function decodeRemembered(bytes: Uint8Array): Remembered | null {
  const headEnd = bytes.indexOf(0x0a);
  if (headEnd < 0) return null;
  const body = bytes.subarray(headEnd + 1);
  const expected = `${MAGIC} ${VERSION} ${checksum(body)}`;
  if (decodeUtf8(bytes.subarray(0, headEnd)) !== expected) return null;
  return rememberedIn(JSON.parse(decodeUtf8(body) ?? "null"));
}

function rememberedIn(value: unknown): Remembered | null {
  if (typeof value !== "object" || value === null) return null;
  const { incarnation, members } = value as Record<string, unknown>;
  const isCount = Number.isSafeInteger(incarnation) && (incarnation as number) > 0;
  if (!isCount || (incarnation as number) >= INCARNATION_FIRST_MAX) return null;
  if (!Array.isArray(members)) return null;
  const known: { name: string; addr: string }[] = [];
  for (const { name, addr } of members) {
    if (typeof name === "string" && typeof addr === "string") known.push({ name, addr });
  }
  return { incarnation: incarnation as Incarnation, members: known };
}

function checksum(body: Uint8Array): string {
  return crc32c(body).toString(16).padStart(8, "0");
}
