// What the committed log means, told from the heads of its entries alone: producers, cursors, the
// fence, the members and where the log starts, as of any index. Every checkpoint that comes to a
// disk, and every node in the end, must say the same as of its own index: replicas that have
// applied the same are equal, whether they came there by entries, by truncations or by a snapshot.
// Owns that comparison; what is committed is committed-log.ts.

import { EMPTY_BYTES, equalBytes, type FrozenBytes } from "../../src/base/bytes.ts";
import type { LogPoint } from "../../src/base/entry.ts";
import type { LogIndex, NodeId, Offset } from "../../src/base/ids.ts";
import type { Checkpoint } from "../../src/log/checkpoint.ts";
import { decodeCheckpoint, encodeCheckpoint } from "../../src/state/checkpoint.ts";
import { encodeStateAt, State } from "../../src/state/state.ts";
import type { CommittedLog } from "./committed-log.ts";
import type { Report } from "./violation.ts";

/** A start of the log, from the entry on that says so. */
interface Start {
  readonly index: LogIndex;
  readonly startOffset: Offset;
}

export class Meaning {
  readonly #committed: CommittedLog;
  readonly #report: Report;
  /** Nothing of it is ever released, truncated or restored: it is asked for any index. */
  readonly #state: State;
  readonly #starts: Start[] = [];

  constructor(committed: CommittedLog, producersMax: number, report: Report) {
    this.#committed = committed;
    this.#report = report;
    this.#state = State.empty(producersMax);
  }

  /** Where a log begins that has applied all up to `index`, a committed one. */
  startOffsetAt(index: LogIndex): Offset {
    this.#follow();
    return this.#starts.findLast((start) => start.index <= index)?.startOffset ?? (0 as Offset);
  }

  /** Where the log begins by all that is committed anywhere. */
  get startOffset(): Offset {
    return this.startOffsetAt(this.#committed.lastIndex);
  }

  /** A checkpoint is on a disk: it stands for the log up to its place. */
  checkpointed(node: NodeId, { at, state }: Checkpoint): void {
    this.#follow();
    const says = `${node} has a checkpoint of the log up to ${describe(at)}`;
    if (at.index > this.#committed.lastIndex) {
      const facts = [says, this.#committed.describe(at.index)] as const;
      this.#report({ property: "checkpoint-committed", facts, node });
      return;
    }
    const expected = this.#state.stateAt(at.index);
    if (describe(expected.at) !== describe(at)) {
      const second = `the committed log is at ${describe(expected.at)} there`;
      this.#report({ property: "checkpoint-committed", facts: [says, second], node });
      return;
    }
    this.#compare(node, at.index, state, says);
  }

  /** What a node has applied by now, all up to `index`. */
  applied(node: NodeId, index: LogIndex, state: FrozenBytes): void {
    this.#follow();
    if (index > this.#committed.lastIndex) return;
    this.#compare(node, index, state, `${node} has applied the log up to index ${index}`);
  }

  #compare(node: NodeId, index: LogIndex, bytes: FrozenBytes, says: string): void {
    const expected = encodeStateAt(this.#state.stateAt(index), EMPTY_BYTES);
    const decoded = decodeCheckpoint(bytes);
    // The user's own machine is the user's to compare.
    const own = decoded === null ? null : encodeCheckpoint({ ...decoded, machine: EMPTY_BYTES });
    if (own !== null && equalBytes(own, expected)) return;
    const facts = [says, `it means something else: ${difference(own, expected)}`] as const;
    this.#report({ property: "state-agrees", facts, node });
  }

  #follow(): void {
    while (this.#state.committed.index < this.#committed.lastIndex) {
      const index = (this.#state.committed.index + 1) as LogIndex;
      const head = this.#committed.at(index);
      if (head === null) return;
      this.#state.append(head);
      this.#state.commit(index, () => undefined);
      const { startOffset } = this.#state;
      if (startOffset > (this.#starts.at(-1)?.startOffset ?? 0))
        this.#starts.push({ index, startOffset });
    }
  }
}

function describe({ index, term, endOffset, timestamp }: LogPoint): string {
  return `${index}@${term}, offset ${endOffset}, time ${timestamp}`;
}

/** The first part of two states that is not the same, with both values. */
function difference(own: FrozenBytes | null, expected: FrozenBytes): string {
  const [is, should] = [own, expected].map((bytes) => bytes && decodeCheckpoint(bytes));
  if (!is || !should) return "it cannot be read";
  for (const part of ["startOffset", "fence", "membership", "producers", "cursors"] as const) {
    const [one, other] = [is[part], should[part]].map((value) => JSON.stringify(value));
    if (one !== other) return `${part} ${one}, and the entries say ${other}`;
  }
  return "in bytes that say nothing";
}
