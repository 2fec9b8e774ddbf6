// Flows: sequences of disk operations written as generators. A flow yields a batch of operations
// and is resumed with their results once all are done; a crash is never being resumed. Owns
// operation ids and who waits for what; knows nothing about files.
//
// A flow ends early by throwing a DiskTrouble, which `perform` does when the disk refuses; it is
// caught here and handed to the flow's owner. Anything else thrown is a bug and goes through.
// Besides the disk a flow may wait at a gate, which some other flow or event opens.

import { assert } from "../base/assert.ts";
import type { FrozenBytes } from "../base/bytes.ts";
import type { DiskOperation, DiskResult } from "../base/disk.ts";
import type { Fault } from "../base/faults.ts";
import { type Instant, NEVER, type OpId, type Position } from "../base/ids.ts";
import { takeAll } from "../base/taking.ts";

type Unnumbered<Kind> = Kind extends unknown ? Omit<Kind, "opId"> : never;
/** A disk operation before it has its id. */
export type Operation = Unnumbered<DiskOperation>;
type DiskFailure = Extract<DiskResult, { kind: "failed" }>;

export type Flow<Result> = Generator<readonly Operation[] | Gate, Result, readonly DiskResult[]>;

/** Where flows wait until somebody opens it; each then looks for itself whether it may go on. */
export class Gate {
  #waiting: (() => void)[] = [];

  open(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const goOn of waiting) goOn();
  }

  wait(goOn: () => void): void {
    this.#waiting.push(goOn);
  }
}

/** One flow at a time: between `enter` and `leave` no other gets in. */
export class Turnstile {
  readonly #gate = new Gate();
  #taken = false;

  *enter(): Flow<void> {
    while (this.#taken) yield this.#gate;
    this.#taken = true;
  }

  leave(): void {
    this.#taken = false;
    this.#gate.open();
  }
}

/** What the disk refused; ends the flow it is thrown in. */
export class DiskTrouble {
  readonly fault: Fault;
  /** There was no room, nothing rests on it, and it may be tried again. */
  readonly isFull: boolean;

  constructor(fault: Fault, isFull = false) {
    this.fault = fault;
    this.isFull = isFull;
  }
}

/** The fault that says which operation failed on which file, and why. */
export function diskFault(operation: Operation, failure: DiskFailure): Fault {
  if (failure.code === "ENOSPC") return { code: "disk-full" };
  const place = "file" in operation ? ` ${operation.file}` : "";
  return {
    code: "disk-failed",
    operation: `${operation.kind}${place}`,
    message: `${failure.code}: ${failure.message}`,
  };
}

/**
 * All of these at once; returns when all are done. The first failure ends the flow, without the
 * results of those that are not done yet; but for a full disk, which is only believed when nothing
 * else failed.
 */
export function* perform(...operations: readonly Operation[]): Flow<readonly DiskResult[]> {
  if (operations.length === 0) return [];
  const results = yield operations;
  let full: DiskTrouble | null = null;
  for (let n = 0; n < operations.length; n++) {
    const result = results[n];
    if (result?.kind !== "failed") continue;
    const operation = operations[n] as Operation;
    const trouble = new DiskTrouble(diskFault(operation, result), isNoRoom(operation, result));
    // A file that could not be made for want of room cannot be written to either.
    if (trouble.isFull || (full !== null && result.code === "ENOENT")) full ??= trouble;
    else throw trouble;
  }
  if (full !== null) throw full;
  return results;
}

/** A sync that fails has lost what it was asked for, whatever it says. */
function isNoRoom({ kind }: Operation, { code }: DiskFailure): boolean {
  return code === "ENOSPC" && (kind === "create" || kind === "write-at" || kind === "rename");
}

/** One operation whose failure the flow can live with. */
export function* attempt(operation: Operation): Flow<DiskResult> {
  const [result] = yield [operation];
  assert(result !== undefined, "a batch of one has one result");
  return result;
}

/** At most `length` bytes; fewer only at the end of the file. */
export function* readAt(file: string, position: number, length: number): Flow<FrozenBytes> {
  const [result] = yield* perform({
    kind: "read-at",
    file,
    position: position as Position,
    length,
  });
  assert(result?.kind === "read", "a read is answered with bytes", result?.kind ?? null);
  return result.bytes;
}

interface Batch {
  readonly flow: Flow<void>;
  readonly failed: (trouble: DiskTrouble) => void;
  readonly results: (DiskResult | undefined)[];
  missing: number;
  /** Some operation of it found no room. */
  isFull: boolean;
  /** Its flow has gone on, or ended: what is not done yet is nobody's business. */
  isOver: boolean;
}

export class FlowRunner {
  /** Told by the owner before anything else is asked. */
  now = 0 as Instant;
  /** When an operation was last done, or asked for while none was under way. */
  #progressAt = 0 as Instant;
  #lastOpId = 0;
  #operations: DiskOperation[] = [];
  readonly #waiting = new Map<OpId, { readonly batch: Batch; readonly place: number }>();

  /** True while some operation is not done yet. */
  get busy(): boolean {
    return this.#waiting.size > 0;
  }

  /** Since when the disk has done nothing of what it was asked; NEVER while it is asked nothing. */
  get waitingSince(): Instant {
    return this.busy ? this.#progressAt : NEVER;
  }

  /** Runs `flow` up to its first batch; `failed` is called when disk trouble ends it. */
  start(flow: Flow<void>, failed: (trouble: DiskTrouble) => void): void {
    this.#resume({ flow, failed, results: [], missing: 0, isFull: false, isOver: true }, []);
  }

  done(opId: OpId, result: DiskResult): void {
    const waiting = this.#waiting.get(opId);
    assert(waiting !== undefined, "an operation completes exactly once", opId);
    this.#waiting.delete(opId);
    this.#progressAt = this.now;
    const { batch, place } = waiting;
    if (batch.isOver) return;
    batch.results[place] = result;
    batch.missing--;
    // A failure ends the flow at once: another operation of the batch may never complete, and till
    // then a node whose disk fails would go on as if nothing were. A full disk is no failure yet:
    // what is still under way may be a sync that fails.
    if (result.kind === "failed") {
      batch.isFull ||= result.code === "ENOSPC";
      batch.isOver = !(batch.isFull && (result.code === "ENOSPC" || result.code === "ENOENT"));
    }
    batch.isOver ||= batch.missing === 0;
    if (batch.isOver) this.#resume(batch, batch.results as DiskResult[]);
  }

  /** The operations decided since the last call, in the order to submit them. */
  take(): readonly DiskOperation[] {
    return takeAll(this.#operations);
  }

  #resume(batch: Batch, results: readonly DiskResult[]): void {
    let next: IteratorResult<readonly Operation[] | Gate, void>;
    try {
      next = batch.flow.next(results);
    } catch (thrown) {
      if (!(thrown instanceof DiskTrouble)) throw thrown;
      batch.failed(thrown);
      return;
    }
    if (next.done === true) return;
    if (next.value instanceof Gate) next.value.wait(() => this.#resume(batch, []));
    else this.#submit(batch, next.value);
  }

  #submit(before: Batch, operations: readonly Operation[]): void {
    assert(operations.length > 0, "a flow never yields an empty batch");
    if (!this.busy) this.#progressAt = this.now;
    const missing = operations.length;
    const { flow, failed } = before;
    const results: (DiskResult | undefined)[] = new Array(missing);
    const batch: Batch = { flow, failed, results, missing, isFull: false, isOver: false };
    for (let place = 0; place < missing; place++) {
      this.#lastOpId++;
      const opId = this.#lastOpId as OpId;
      this.#operations.push(numbered(operations[place] as Operation, opId));
      this.#waiting.set(opId, { batch, place });
    }
  }
}

/** Spelled out for what every entry takes: spreading costs V8 most of a microsecond. */
function numbered(operation: Operation, opId: OpId): DiskOperation {
  switch (operation.kind) {
    case "write-at": {
      const { kind, file, position, parts } = operation;
      return { kind, opId, file, position, parts };
    }
    case "read-at": {
      const { kind, file, position, length } = operation;
      return { kind, opId, file, position, length };
    }
    case "sync":
      return { kind: "sync", opId, file: operation.file };
    default:
      return { ...operation, opId };
  }
}
