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
const ASIDE_SUFFIX = ".tmp";
const INCOMING_SUFFIX = ".incoming";
const INSTALL_SUFFIX = ".install";
const CHECKPOINT_SUFFIX = ".checkpoint";

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
  /** The life in which a computer's snapshot is being installed; its last effect is to come. */
  readonly #installing = new Map<Computer, { readonly life: number; isNamed: boolean }>();

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
    if (this.#isInstalling(node, operation)) return "install";
    const file = "file" in operation ? operation.file : "";
    switch (operation.kind) {
      case "sync": {
        const votedFor = node.raft?.votedFor ?? null;
        const isVote = file === HARD_STATE_FILE && votedFor !== null;
        if (isVote && nameOf(votedFor) !== node.name) return "vote-durable";
        return isCheckpoint(file) ? "checkpoint" : null;
      }
      case "create":
        if (isCheckpoint(file)) return "checkpoint";
        return file.endsWith(STORE_SUFFIX) ? "segment-roll" : null;
      case "write-at":
        if (isCheckpoint(file)) return "checkpoint";
        if (!file.endsWith(STORE_SUFFIX)) return null;
        return this.#cutting.delete(node) ? "truncation" : null;
      case "rename":
        return isCheckpoint(operation.from) ? "checkpoint" : null;
      case "unlink":
        return file.endsWith(STORE_SUFFIX) ? "trim" : null;
      default:
        return null;
    }
  }

  /**
   * What is done to the file that a checkpoint is received in, and all from the name that it is
   * installed under to the sync that makes its plain name durable.
   */
  #isInstalling(node: Computer, operation: DiskOperation): boolean {
    const { life } = node;
    const begins = operation.kind === "rename" && isIncoming(operation.from);
    // A life that follows on a crash takes it up again: it reads what is to be installed.
    const goesOn = operation.kind === "read-at" && operation.file.endsWith(INSTALL_SUFFIX);
    if (begins || goesOn) this.#installing.set(node, { life, isNamed: false });
    if ("file" in operation && isIncoming(operation.file)) return operation.kind !== "read-at";
    const installing = this.#installing.get(node);
    if (installing === undefined || installing.life !== life || goesOn) return false;
    if (operation.kind === "rename" && operation.from.endsWith(INSTALL_SUFFIX))
      installing.isNamed = true;
    if (operation.kind === "sync-dir" && installing.isNamed) this.#installing.delete(node);
    return operation.kind !== "read-at" && operation.kind !== "list";
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

function isIncoming(file: string): boolean {
  return file.endsWith(INCOMING_SUFFIX);
}

/** A checkpoint on its way to its name. */
function isCheckpoint(file: string): boolean {
  return file.endsWith(CHECKPOINT_SUFFIX + ASIDE_SUFFIX);
}
