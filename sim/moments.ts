// The moments at which a crash hurts most, recognised from outside: a vote that is durable and has
// not been sent, a first commit of a term, a segment being rolled, a tail being cut. Owns their
// recognition; who is struck then is sim/mishaps.ts.

import type { DiskOperation } from "../src/base/disk.ts";
import type { LogIndex, Term } from "../src/base/ids.ts";
import { nameOf } from "../src/base/membership.ts";
import type { Computer } from "./observer.ts";
import type { PlannedMishap } from "./plan.ts";

/** The names of files that tell what an operation is for (src/log/file-names.ts). */
const HARD_STATE_FILE = "hard-state";
const STORE_SUFFIX = ".store";

export type Moment = Extract<PlannedMishap, { kind: "crash-at-moment" }>["moment"];

/** A leadership that has not committed anything yet. */
interface Leadership {
  readonly life: number;
  readonly term: Term;
  readonly commitIndex: LogIndex;
  hasCommitted: boolean;
}

export class Moments {
  readonly #led = new Map<Computer, Leadership>();
  readonly #ends = new Map<Computer, { readonly life: number; readonly lastIndex: LogIndex }>();
  /** Nodes whose cut is on its way to the disk. */
  readonly #cutting = new Set<Computer>();

  /** What a node reached with the turn that it took. */
  afterTurn(node: Computer): Moment | null {
    this.#lookForCut(node);
    const { raft, life } = node;
    if (raft?.role !== "leader") return null;
    const { term, commitIndex } = raft;
    const led = this.#led.get(node);
    if (led?.life !== life || led.term !== term) {
      this.#led.set(node, { life, term, commitIndex, hasCommitted: false });
      return null;
    }
    // A leader commits nothing before an entry of its own term.
    if (led.hasCommitted || commitIndex === led.commitIndex) return null;
    led.hasCommitted = true;
    return "first-commit";
  }

  /** What a disk reached with an operation that took effect; its node has not heard of it. */
  applied(node: Computer, operation: DiskOperation): Moment | null {
    switch (operation.kind) {
      case "sync": {
        const votedFor = node.raft?.votedFor ?? null;
        const isVote = operation.file === HARD_STATE_FILE && votedFor !== null;
        return isVote && nameOf(votedFor) !== node.name ? "vote-durable" : null;
      }
      case "create":
        return operation.file.endsWith(STORE_SUFFIX) ? "segment-roll" : null;
      case "write-at":
        if (!operation.file.endsWith(STORE_SUFFIX)) return null;
        return this.#cutting.delete(node) ? "truncation" : null;
      default:
        return null;
    }
  }

  #lookForCut(node: Computer): void {
    const { raft, life } = node;
    if (raft === null) return;
    const end = this.#ends.get(node);
    if (end?.life !== life) this.#cutting.delete(node);
    else if (raft.lastIndex < end.lastIndex) this.#cutting.add(node);
    this.#ends.set(node, { life, lastIndex: raft.lastIndex });
  }
}
