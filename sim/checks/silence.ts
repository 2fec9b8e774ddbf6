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

/** What one life of a node met on its disk. */
interface Unmade {
  readonly life: number;
  /** Files that could not be made for want of room: nothing that is done with them can succeed. */
  readonly files: Set<string>;
}

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
  readonly #unmade = new Map<NodeId, Unmade>();

  constructor(report: Report) {
    this.#report = report;
  }

  completed(node: Computer, operation: DiskOperation, result: DiskResult): void {
    if (result.kind !== "failed") {
      if (operation.kind === "create") this.#unmadeBy(node)?.files.delete(operation.file);
      return;
    }
    if (!isChange(operation) || this.#isNoRoom(node, operation, result)) return;
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
    if (this.#mustBeSilent(node))
      this.#speaks(node, `it sends ${to} an ${message.kind} of term ${message.term}`);
  }

  answered(node: Computer, answer: Answer): void {
    if (!this.#mustBeSilent(node)) return;
    if (answer.kind === "appended") this.#speaks(node, `it acknowledges offset ${answer.offset}`);
    if (answer.kind === "tail") this.#speaks(node, `it says the log ends at ${answer.endOffset}`);
  }

  /**
   * A full disk is waited for, unless it is something else that says so: a sync. A file that could
   * not be made for want of room cannot be written, synced, renamed or removed either.
   */
  #isNoRoom(
    node: Computer,
    operation: DiskOperation,
    { code }: Extract<DiskResult, { kind: "failed" }>,
  ): boolean {
    if (code === "ENOENT") return this.#unmadeBy(node)?.files.has(fileOf(operation)) === true;
    if (code !== "ENOSPC" || !NEED_ROOM.has(operation.kind)) return false;
    if (operation.kind === "create") this.#noteUnmade(node, operation.file);
    return true;
  }

  #noteUnmade(node: Computer, file: string): void {
    const unmade = this.#unmadeBy(node) ?? { life: node.life, files: new Set() };
    this.#unmade.set(node.name, unmade);
    unmade.files.add(file);
  }

  #unmadeBy(node: Computer): Unmade | null {
    const unmade = this.#unmade.get(node.name);
    return unmade?.life === node.life ? unmade : null;
  }

  #mustBeSilent(node: Computer): boolean {
    return this.#failing.size > 0 && this.#of(node)?.isPoisoned === true;
  }

  #speaks(node: Computer, says: string): void {
    const refused = this.#of(node)?.operation;
    this.#found(node, `${node.name} is poisoned: its disk refused ${refused}`, says);
  }

  #found(node: Computer, first: string, second: string): void {
    this.#report({ property: "poison-silent", facts: [first, second], node: node.name });
  }

  #of(node: Computer): Failing | null {
    const failing = this.#failing.get(node.name);
    return failing?.life === node.life ? failing : null;
  }
}

/** The file that an operation needs to be there; "" for one that needs none. */
function fileOf(operation: DiskOperation): string {
  if ("file" in operation) return operation.file;
  return "from" in operation ? operation.from : "";
}

/** A mapping that fails costs nothing but memory, and a reader hears of its own failure. */
function isChange({ kind }: DiskOperation): boolean {
  return kind !== "read-at" && kind !== "map" && kind !== "list";
}
