// Tags as a member's meta: a marker byte and a map of texts, or, from agents of before, the whole
// meta as the value of `role`. Owns this encoding; changes are told by the bytes, not by the map.

import type { FrozenBytes } from "../base/bytes.ts";
import { decodeUtf8 } from "../base/utf8.ts";
import { MsgpackWriter, readOnlyMap } from "./msgpack.ts";
import type { Tags } from "./protocol.ts";

const TAGS_MARKER = 0xff;
const REPLACEMENT = "\ufffd";

/** Equal tags give equal bytes: keys go in order. Callers compare with META_BYTES_MAX. */
export function encodeTags(tags: Tags): FrozenBytes {
  const writer = new MsgpackWriter().byte(TAGS_MARKER).map(tags.size);
  for (const key of [...tags.keys()].sort()) writer.text(key).text(tags.get(key) ?? "");
  return writer.take();
}

/** An unreadable map is no tags; bytes of a text that are not UTF-8 show as U+FFFD. */
export function decodeTags(meta: FrozenBytes): Tags {
  const tags = new Map<string, string>();
  if (meta.length === 0) return tags;
  if (meta[0] !== TAGS_MARKER) return tags.set("role", textOf(meta));
  const map = readOnlyMap(meta, 1);
  for (const [key, value] of map ?? []) {
    if (value instanceof Uint8Array) tags.set(key, textOf(value));
  }
  return tags;
}

function textOf(bytes: Uint8Array): string {
  const text = decodeUtf8(bytes);
  if (text !== null) return text;
  return Array.from(bytes, (byte) => {
    return byte < 0x80 ? String.fromCharCode(byte) : REPLACEMENT;
  }).join("");
}
