// A node whose disk failed says so and falls silent: no vote, no confirmation, no verdict, nothing
// at all to a peer; it only serves reads. Owns when the silence begins: with the turn after the one
// in which the node gave up, and it must give up soon after the disk refused a change.

import type { Answer } from "../../src/base/client.ts";
import type { DiskOperation, DiskResult } from "../../src/base/disk.ts";
import type { NodeId } from "../../src/base/ids.ts";
import type { RaftMessage } from "../../src/raft/protocol.ts";
import type { Computer } from "../observer.ts";
import type { Report } from "./violation.ts";

/** Turns in which the node may not have heard yet: what the disk says comes first of all mail. */
const TURNS_MAX = 64;

const NEED_ROOM: ReadonlySet<DiskOperation["kind"]> = new Set(["create", "write-at", "rename"]);

interface Failing {
  readonly life: number;
  /** What the disk refused. */
  readonly operation: DiskOperation["kind"];
  turnsLeft: number;
  isPoisoned: boolean;
}

export class Silence {
  readonly #report: Report;
  readonly #failing = new Map<NodeId, Failing>();

  constructor(report: Report) {
    this.#report = report;
  }

  completed(node: Computer, operation: DiskOperation, result: DiskResult): void {
    if (result.kind !== "failed" || !isChange(operation) || isNoRoom(operation, result)) return;
    if (this.#failing.get(node.name)?.life === node.life) return;
    const { life, name } = node;
    const failing = { life, operation: operation.kind, turnsLeft: TURNS_MAX, isPoisoned: false };
    this.#failing.set(name, failing);
  }

  afterTurn(node: Computer): void {
    const failing = this.#of(node);
    if (failing === null || failing.isPoisoned || node.host === null) return;
    const { state } = node.host.status();
    failing.isPoisoned = state === "poisoned";
    const mustKnow = state === "serving" && --failing.turnsLeft === 0;
    if (!mustKnow) return;
    const says = `${node.name} still serves ${TURNS_MAX} turns later`;
    this.#found(node, `its disk refused: ${failing.operation}`, says);
  }

  sent(node: Computer, to: NodeId, message: RaftMessage): void {
    this.#mustNot(node, `it sends ${to} an ${message.kind} of term ${message.term}`);
  }

  answered(node: Computer, answer: Answer): void {
    if (answer.kind === "appended") this.#mustNot(node, `it acknowledges offset ${answer.offset}`);
    if (answer.kind === "tail") this.#mustNot(node, `it says the log ends at ${answer.endOffset}`);
  }

  #mustNot(node: Computer, says: string): void {
    const failing = this.#of(node);
    if (failing?.isPoisoned !== true) return;
    this.#found(node, `${node.name} is poisoned: its disk refused ${failing.operation}`, says);
  }

  #found(node: Computer, first: string, second: string): void {
    this.#report({ property: "poison-silent", facts: [first, second], node: node.name });
  }

  #of(node: Computer): Failing | null {
    const failing = this.#failing.get(node.name);
    return failing?.life === node.life ? failing : null;
  }
}

/**
 * A full disk is waited for, unless it is something else that says so: a sync. A file that could
 * not be made for want of room cannot be written or synced either.
 */
function isNoRoom({ kind }: DiskOperation, { code }: Extract<DiskResult, { kind: "failed" }>) {
  return code === "ENOENT" || (code === "ENOSPC" && NEED_ROOM.has(kind));
}

/** A mapping that fails costs nothing but memory, and a reader hears of its own failure. */
function isChange({ kind }: DiskOperation): boolean {
  return kind !== "read-at" && kind !== "map" && kind !== "list";
}
