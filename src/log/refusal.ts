// Why a directory cannot be used, as what the flows of opening throw; log.ts catches it and says
// so.

import type { Damage } from "../base/faults.ts";
import type { LogIndex } from "../base/ids.ts";
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

/** All entries from `from` on are lost or cannot be reached; what is before them is whole. */
export class LostEnd extends Refused {
  readonly damage: Damage;
  readonly from: LogIndex;

  constructor(damage: Damage, from: LogIndex) {
    super({ kind: "damaged", damage });
    this.damage = damage;
    this.from = from;
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

/** The same of a log whose peers may have what it has lost from `from` on. */
export function lostEnd(file: string, position: number, what: string, from: LogIndex): LostEnd {
  return new LostEnd({ file, position, what, index: from }, from);
}

export function newerFormat(found: number): Refused {
  return new Refused({ kind: "newer-format", found, known: MANIFEST_VERSION });
}
