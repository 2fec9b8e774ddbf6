// What a host keeps of a log for its Raft: the place it begins after, the membership there, and the
// entries, made by performing writes. One is on the disk, one is in the host's memory. Owns no
// judgement.

import { EMPTY_BYTES } from "../../src/base/bytes.ts";
import {
  type Entry,
  LOG_START,
  type LogPoint,
  type LogWrite,
  pointAfter,
  type Snapshot,
  type TermRun,
} from "../../src/base/entry.ts";
import type { LogIndex } from "../../src/base/ids.ts";
import type { Membership } from "../../src/base/membership.ts";
import type { RaftRestored } from "../../src/raft/protocol.ts";

export class HostLog {
  start: LogPoint = LOG_START;
  /** In force at `start`. */
  membership: Membership;
  entries: Entry[] = [];

  constructor(membership: Membership) {
    this.membership = membership;
  }

  copy(): HostLog {
    const log = new HostLog(this.membership);
    log.start = this.start;
    log.entries = this.entries.slice();
    return log;
  }

  get lastIndex(): number {
    return this.start.index + this.entries.length;
  }

  entryAt(index: number): Entry | undefined {
    return this.entries[index - this.start.index - 1];
  }

  /** Undefined for what is not there, or not there any more. */
  termAt(index: number): number | undefined {
    return index === this.start.index ? this.start.term : this.entryAt(index)?.term;
  }

  /** The entries (after, last]. */
  between(after: number, last: number): Entry[] {
    return this.entries.slice(after - this.start.index, last - this.start.index);
  }

  /** Hard state aside. False: the write does not join on. */
  perform({ install, truncateFrom, entries }: LogWrite): boolean {
    if (install !== undefined) {
      this.start = install.at;
      this.membership = install.membership;
      this.entries = [];
    }
    if (truncateFrom !== null) this.entries.length = truncateFrom - this.start.index - 1;
    const joins = entries.length === 0 || entries[0]?.index === this.lastIndex + 1;
    this.entries.push(...entries);
    return joins;
  }

  /** The last membership at or before `index`, as the entries tell it. */
  membershipAt(index: number): Membership {
    let membership = this.membership;
    for (const { control, index: place } of this.entries) {
      if (place <= index && control?.kind === "membership") membership = control.membership;
    }
    return membership;
  }

  pointAt(index: number): LogPoint {
    const entry = this.entryAt(index);
    return entry === undefined ? this.start : pointAfter(entry);
  }

  snapshotAt(index: number): Snapshot {
    const at = this.pointAt(index);
    return { at, membership: this.membershipAt(at.index), state: EMPTY_BYTES };
  }

  /** Drops everything up to `index`. */
  trim(index: number): LogPoint {
    const { at, membership } = this.snapshotAt(index);
    this.entries.splice(0, at.index - this.start.index);
    this.start = at;
    this.membership = membership;
    return at;
  }

  /** What recovery would say, with everything up to `base` known to be committed. */
  restored(base: number): Omit<RaftRestored, "hardState"> {
    const runs: TermRun[] = [];
    for (const { term, index } of this.between(this.start.index, base)) {
      if (runs.at(-1)?.term !== term) runs.push({ term, firstIndex: index as LogIndex });
    }
    return {
      membership: this.membershipAt(base),
      base: this.pointAt(base),
      termRuns: runs,
      ...(this.start.index > 0 ? { start: this.start } : {}),
      tail: this.between(base, this.lastIndex),
    };
  }
}
