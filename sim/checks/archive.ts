// The committed records of a run as clients may know them, of entries too that no disk has any
// more: what leaves a disk with a file that is trimmed away is noted before. Owns which disk is
// read in the end, and reading records; what must hold of them is history.ts.

import { type EntryHead, FRAME_HEADER_BYTES } from "../../src/base/entry.ts";
import type { LogIndex } from "../../src/base/ids.ts";
import { decodeBatch } from "../../src/base/record-batch.ts";
import type { RecordId } from "../history.ts";
import type { RecordValues } from "../sim-record.ts";
import { type ClientLog, MISSING } from "./client-log.ts";
import type { CommittedLog } from "./committed-log.ts";
import type { DiskWatch } from "./disk-watch.ts";

/** What is asked of a disk at the end. */
export type KeptLog = Pick<DiskWatch, "entries">;

export class Archive {
  readonly #committed: CommittedLog;
  readonly #values: RecordValues;
  /** Records of committed entries that some disk let go of, by index. */
  readonly #records = new Map<LogIndex, readonly RecordId[]>();

  constructor(committed: CommittedLog, values: RecordValues) {
    this.#committed = committed;
    this.#values = values;
  }

  /** An entry is about to leave a disk. */
  leaves({ index, term, count }: EntryHead, frame: Uint8Array): void {
    if (count === 0 || this.#records.has(index)) return;
    if (this.#committed.at(index)?.term === term) this.#records.set(index, this.#read(frame));
  }

  /**
   * The committed log: what was noted, and what `disks` have, each of which goes on to its end. One
   * that a snapshot was installed on begins later than others, and lacks what they still have.
   */
  clientLog(disks: readonly KeptLog[]): ClientLog {
    const kept = new Map<LogIndex, Uint8Array>();
    for (const { head, frame } of longest(disks)?.entries() ?? []) kept.set(head.index, frame);
    const records: RecordId[] = [];
    const batchEnds: number[] = [];
    for (let at = 1; at <= this.#committed.lastIndex; at++) {
      const index = at as LogIndex;
      const count = this.#committed.at(index)?.count ?? 0;
      if (count === 0) continue;
      const frame = kept.get(index);
      const own = frame === undefined ? this.#records.get(index) : this.#read(frame);
      records.push(...(own ?? new Array<RecordId>(count).fill(MISSING)));
      batchEnds.push(records.length);
    }
    return { records, batchEnds };
  }

  #read(frame: Uint8Array): RecordId[] {
    const batch = decodeBatch(frame.subarray(FRAME_HEADER_BYTES)) ?? [];
    return batch.map(({ value }) => this.#values.decode(value) ?? UNREADABLE);
  }
}

/** The log whose entries begin first: its base tells only from where on they are needed. */
function longest(disks: readonly KeptLog[]): KeptLog | null {
  let [first, beginning]: [KeptLog | null, number] = [null, Number.POSITIVE_INFINITY];
  for (const disk of disks) {
    for (const { head } of disk.entries()) {
      if (head.index < beginning) [first, beginning] = [disk, head.index];
      break;
    }
  }
  return first;
}

/** Stands for a record whose bytes are nobody's. */
const UNREADABLE: RecordId = -1;
