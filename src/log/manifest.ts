// The manifest: whose directory this is, and whether it was left in order. Owns its layout; it is
// replaced as a whole (written aside, synced, renamed), and made last, so that a directory without
// one never held an acknowledged entry.
//
//   0   8  "CAIRNDIR"                  48   8  last index at the clean stop, else 0
//   8   4  format version = 1          56   8  hard state's sequence number then, else 0
//  12   4  1 after a clean stop        64   2  length of the node's name
//  16  16  cluster id                  66      node name, UTF-8, at most 255 bytes
//  32  16  instance id                400   8  first entry that differs from the cluster's, else 0
//                                     408   8  the last such entry
//                                     508   4  CRC-32C

import { assert } from "../base/assert.ts";
import { getU64, putU64, viewOf } from "../base/bytes.ts";
import type { LogIndex, NodeId } from "../base/ids.ts";
import { decodeUtf8, encodeUtf8 } from "../base/utf8.ts";
import { getId, putId } from "./identity.ts";
import type { Identity } from "./protocol.ts";
import { areCounts, beginSector, closeSector, openSector } from "./sector.ts";

export const MANIFEST_VERSION = 1;
const MAGIC = "CAIRNDIR";
const NAME_BYTES_MAX = 255;

/** What a clean stop promises: the log holds exactly this much, and nothing is torn. */
export interface CleanStop {
  readonly endIndex: LogIndex;
  readonly hardSequence: number;
}

export interface Manifest {
  readonly identity: Identity;
  /** Null while a node runs on the directory, and after a crash. */
  readonly cleanStop: CleanStop | null;
  /** Committed entries that are not those the cluster agreed on: never to be served again. */
  readonly differs?: Difference;
}

export interface Difference {
  readonly first: LogIndex;
  readonly last: LogIndex;
}

export type DecodedManifest =
  | { readonly kind: "manifest"; readonly manifest: Manifest }
  | { readonly kind: "newer"; readonly found: number }
  | { readonly kind: "malformed"; readonly what: string };

export function encodeManifest(manifest: Manifest): Uint8Array {
  const { identity, cleanStop, differs } = manifest;
  const bytes = beginSector(MAGIC, MANIFEST_VERSION);
  const view = viewOf(bytes);
  view.setUint32(12, cleanStop === null ? 0 : 1);
  putId(bytes, 16, identity.clusterId);
  putId(bytes, 32, identity.instanceId);
  putU64(view, 48, cleanStop?.endIndex ?? 0);
  putU64(view, 56, cleanStop?.hardSequence ?? 0);
  const name = encodeUtf8(identity.nodeName);
  assert(name.length > 0 && name.length <= NAME_BYTES_MAX, "node name is 1 to 255 bytes");
  view.setUint16(64, name.length);
  bytes.set(name, 66);
  putU64(view, 400, differs?.first ?? 0);
  putU64(view, 408, differs?.last ?? 0);
  return closeSector(bytes);
}

export function decodeManifest(bytes: Uint8Array): DecodedManifest {
  const opened = openSector(bytes, 0, MAGIC, MANIFEST_VERSION);
  if (opened.kind !== "sector") return opened;
  const { view } = opened;
  const nameLength = view.getUint16(64);
  const name = nameLength > NAME_BYTES_MAX ? null : decodeUtf8(bytes.subarray(66, 66 + nameLength));
  if (name === null || name === "" || !areCounts(view, 48, 56, 400, 408)) {
    return { kind: "malformed", what: "a field is out of range" };
  }
  const identity: Identity = {
    clusterId: getId(bytes, 16),
    nodeName: name as NodeId,
    instanceId: getId(bytes, 32),
  };
  const cleanStop: CleanStop | null =
    view.getUint32(12) === 0
      ? null
      : { endIndex: getU64(view, 48) as LogIndex, hardSequence: getU64(view, 56) };
  const [first, last] = [getU64(view, 400) as LogIndex, getU64(view, 408) as LogIndex];
  if (first === 0) return { kind: "manifest", manifest: { identity, cleanStop } };
  return { kind: "manifest", manifest: { identity, cleanStop, differs: { first, last } } };
}

export function describeDifference({ first, last }: Difference): string {
  return `entries ${first} to ${last} are not those that the cluster agreed on`;
}
