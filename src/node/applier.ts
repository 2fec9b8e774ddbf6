// Feeds a user's machine: reads committed entries back from the log, one stretch at a time, and
// applies them in order. Owns how far it has come; what is committed is told by the node.

import { assert } from "../base/assert.ts";
import { bodyOf } from "../base/entry.ts";
import { type LogIndex, NO_INDEX } from "../base/ids.ts";
import type { LogEvent, LogRead } from "../log/protocol.ts";
import type { StateMachine } from "../state/state-machine.ts";

/** Fetches have positive ids and appends to peers negative ones: one that neither ever has. */
const READ_ID = 0;

/** Frame bytes applied in one turn: bounds how long a turn may take. */
const APPLY_BYTES_MAX = 256 * 1024;

export class Applier {
  readonly #machine: StateMachine;
  #appliedIndex: LogIndex = NO_INDEX;
  /** Stays true once a committed entry could not be read: the machine skips nothing. */
  #isReading = false;

  constructor(machine: StateMachine) {
    this.#machine = machine;
  }

  /** The last entry the machine has seen; control entries count as seen. */
  get appliedIndex(): LogIndex {
    return this.#appliedIndex;
  }

  /**
   * The read that brings what is committed and not applied yet; null while there is none to ask.
   */
  nextRead(commitIndex: LogIndex): LogEvent | null {
    if (this.#isReading || this.#appliedIndex >= commitIndex) return null;
    this.#isReading = true;
    return {
      kind: "read",
      readId: READ_ID,
      from: { kind: "index", index: (this.#appliedIndex + 1) as LogIndex },
      lastIndex: commitIndex,
      bytesMax: APPLY_BYTES_MAX,
    };
  }

  /** True when the read was asked for here; its entries are applied then. */
  maybeApply(read: LogRead): boolean {
    if (read.readId !== READ_ID) return false;
    if (read.kind === "failed") return true;
    this.#isReading = false;
    for (const entry of read.entries) {
      assert(entry.index === this.#appliedIndex + 1, "entries are applied in order", entry.index);
      this.#appliedIndex = entry.index;
      if (entry.kind === "records") this.#machine.apply(entry, bodyOf(entry));
    }
    return true;
  }
}
