// Opens gzip streams with Node's zlib, bounded: a stream that holds too much is refused before it
// takes the memory.

import { gunzipSync } from "node:zlib";
import type { Packing } from "../ports/packing.ts";

export const GZIP_PACKING: Packing = {
  unpack(packed, bytesMax) {
    try {
      return gunzipSync(packed, { maxOutputLength: Math.max(1, bytesMax) });
    } catch {
      return null;
    }
  },
};
