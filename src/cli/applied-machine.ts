// A user's machine that can be asked how far it has come. Owns that one offset, in a snapshot, too;
// when it hears what is the node's.

import { concat, type FrozenBytes, getU64, putU64, viewOf } from "../base/bytes.ts";
import type { EntryHead } from "../base/entry.ts";
import type { StateMachine } from "../state/state-machine.ts";

const OFFSET_BYTES = 8;

export class AppliedMachine implements StateMachine {
  readonly #machine: StateMachine;
  #endOffset = 0;

  constructor(machine: StateMachine) {
    this.#machine = machine;
  }

  /** After the last record that the machine has applied. */
  get endOffset(): number {
    return this.#endOffset;
  }

  apply(head: EntryHead, body: FrozenBytes): void {
    this.#machine.apply(head, body);
    this.#endOffset = head.offset + head.count;
  }

  /** The offset, big-endian, before the machine's own bytes. */
  snapshot(): Uint8Array {
    const offset = new Uint8Array(OFFSET_BYTES);
    putU64(viewOf(offset), 0, this.#endOffset);
    return concat([offset, this.#machine.snapshot()]);
  }

  restore(snapshot: FrozenBytes): void {
    this.#machine.restore(snapshot.subarray(OFFSET_BYTES) as FrozenBytes);
    this.#endOffset = getU64(viewOf(snapshot), 0);
  }
}
