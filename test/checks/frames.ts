// Frames of entries for tests that write them on a disk by hand.

import { crc32c } from "../../src/base/crc32c.ts";
import { type EntryHead, FRAME_HEADER_BYTES } from "../../src/base/entry.ts";
import { sealFrame } from "../../src/log/frame.ts";

const BODY_BYTES = 8;
const BODY_CRC = crc32c(new Uint8Array(BODY_BYTES));

/** A header and eight zeros of body, so that no padding follows. */
export const FRAME_BYTES = FRAME_HEADER_BYTES + BODY_BYTES;

/** The frame of an entry with a body of eight zeros. */
export function frameOf(head: EntryHead): Uint8Array {
  const body = { bodyLength: BODY_BYTES, rawLength: BODY_BYTES, bodyCrc: BODY_CRC };
  return sealFrame({ ...head, ...body }, new Uint8Array(FRAME_BYTES));
}
