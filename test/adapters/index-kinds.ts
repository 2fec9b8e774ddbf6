// Which indexes the tests try: both, unless CAIRN_INDEX=file says that this machine has no mmap-io.
// An addon that is merely absent is a failure, not a reason to test less.

import { type IndexKind, parseIndexWish } from "../../src/adapters/index-maps.ts";

export const INDEX_KINDS: readonly IndexKind[] =
  parseIndexWish(process.env["CAIRN_INDEX"]) === "file" ? ["file"] : ["mmap", "file"];

export const HAS_MMAP = INDEX_KINDS.includes("mmap");
