// What a user's own machine on the log looks like. The node feeds it every committed entry that
// holds records, in the log's order, each exactly once in its life. It is made anew at every start,
// given what it was at the newest checkpoint, and hears the rest. Owns the shape only; src/node
// feeds it.

import type { FrozenBytes } from "../base/bytes.ts";
import type { EntryHead } from "../base/entry.ts";

/**
 * Equal logs must give equal machines on every node: no clock, no chance, no I/O, nothing that was
 * not in the entries. A machine that throws stops its node.
 */
export interface StateMachine {
  /**
   * Takes a committed entry. `body` is the encoded batch (src/base/record-batch.ts decodes it): a
   * view that may be kept and must not be written to. Time is `head.timestamp`, log time.
   */
  apply(head: EntryHead, body: FrozenBytes): void;
  /** All that the machine is, between two entries. The bytes are the node's from then on. */
  snapshot(): Uint8Array;
  /** Becomes what `snapshot` said of an equal machine; what it was is forgotten. */
  restore(snapshot: FrozenBytes): void;
}
