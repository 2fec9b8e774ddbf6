// Feeds a user's machine: reads committed entries back from the log, one stretch at a time, and
// applies them in order. Owns how far it has come; what is committed is told by the node.

import { assert } from "../base/assert.ts";
import { concat, type FrozenBytes, freeze } from "../base/bytes.ts";
import { bodyOf } from "../base/entry.ts";
import { type LogIndex, NO_INDEX } from "../base/ids.ts";
import type { LogEvent, LogOpened, LogRead } from "../log/protocol.ts";
import type { StateMachine } from "../state/state-machine.ts";

/** Fetches have positive ids and appends to peers negative ones: one that neither ever has. */
const READ_ID = 0;

/** Frame bytes applied in one turn: bounds how long a turn may take. */
const APPLY_BYTES_MAX = 256 * 1024;

/** Before the machine's own bytes in a checkpoint; without a machine there is nothing at all. */
const SAVED_VERSION = 1;

export class Applier {
  readonly #machine: StateMachine;
  #appliedIndex: LogIndex = NO_INDEX;
  /** Stays true once a committed entry could not be read: the machine skips nothing. */
  #isReading = false;
  /** What is being read was asked for before the machine was replaced. */
  #skipping = false;

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
    this.#skipping = false;
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
    if (read.kind === "failed" && !this.#skipping) return true;
    this.#isReading = false;
    if (this.#skipping || read.kind === "failed") return true;
    for (const entry of read.entries) {
      assert(entry.index === this.#appliedIndex + 1, "entries are applied in order", entry.index);
      this.#appliedIndex = entry.index;
      if (entry.kind === "records") this.#machine.apply(entry, bodyOf(entry));
    }
    return true;
  }

  /**
   * The machine as a checkpoint of `at` has it. False: the checkpoint was made without one, and
   * what was before it is not to be had.
   */
  maybeRestore(at: LogIndex, saved: FrozenBytes): boolean {
    if (saved[0] !== SAVED_VERSION) return false;
    this.#machine.restore(saved.subarray(1) as FrozenBytes);
    this.#appliedIndex = at;
    this.#skipping = this.#isReading;
    return true;
  }

  /**
   * The machine as the log was opened. False: the log no longer has what it would have to hear from
   * the beginning, and no checkpoint has the machine.
   */
  maybeBegin({ checkpoint, base }: LogOpened, saved: FrozenBytes): boolean {
    if (checkpoint === null || this.maybeRestore(checkpoint.at.index, saved)) return true;
    return base.index === NO_INDEX;
  }

  /** Nothing is applied any more: the machine has missed what nobody has. */
  stop(): void {
    this.#isReading = true;
    this.#skipping = false;
  }

  /** The machine as it is, for a checkpoint of `appliedIndex`. */
  save(): FrozenBytes {
    return freeze(concat([Uint8Array.of(SAVED_VERSION), this.#machine.snapshot()]));
  }
}
