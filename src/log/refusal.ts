// Why a directory cannot be used, as what the flows of opening throw; log.ts catches it and says
// so.

import type { Damage } from "../base/faults.ts";
import { MANIFEST_VERSION } from "./manifest.ts";
import type { OpenRefusal } from "./protocol.ts";

/** Sizes of a directory's files, by name. */
export type FileSizes = ReadonlyMap<string, number>;

export class Refused {
  readonly refusal: OpenRefusal;

  constructor(refusal: OpenRefusal) {
    this.refusal = refusal;
  }
}

/** `index` is the first entry that is lost or unreadable, where known. */
export function damaged(
  file: string,
  position: number,
  what: string,
  index: Damage["index"] = null,
): Refused {
  return new Refused({ kind: "damaged", damage: { file, position, what, index } });
}

export function newerFormat(found: number): Refused {
  return new Refused({ kind: "newer-format", found, known: MANIFEST_VERSION });
}
