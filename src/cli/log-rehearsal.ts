// Opening a data directory without touching it: the log machine itself recovers, on a disk that
// keeps every change in memory. Owns that disk and the turning of the machine; so what `cairn log
// verify` says of an opening is what an opening does, by the same code.

import { assert } from "../base/assert.ts";
import { concat, freeze } from "../base/bytes.ts";
import type { DiskOperation, DiskResult } from "../base/disk.ts";
import type { Instant, OpId } from "../base/ids.ts";
import { Log } from "../log/log.ts";
import type { Identity, LogOpened, LogOptions, OpenRefusal } from "../log/protocol.ts";
import type { Disk, DiskInbox } from "../ports/disk.ts";
import type { LogFiles } from "./log-files.ts";

const MIB = 1024 * 1024;

/** What an opening needs to know; sizes as of an agent's defaults. */
export function optionsAtRest(identity: Identity): LogOptions {
  return {
    identity,
    segmentBytesMax: 64 * MIB,
    indexEntriesMax: 64 * 1024,
    preallocateBytes: 0,
    cacheBytesMax: 0,
  };
}

export interface Rehearsal {
  readonly opened: LogOpened | null;
  readonly refused: OpenRefusal | null;
  /** Files that an opening writes to, makes or removes; sorted. */
  readonly changed: readonly string[];
}

export async function rehearseOpening(files: LogFiles, identity: Identity): Promise<Rehearsal> {
  const disk = new RehearsalDisk(files);
  const { opened, refused } = await openLog(new Log(optionsAtRest(identity)), disk);
  return { opened, refused, changed: disk.changed };
}

export interface OpenEnd {
  readonly opened: LogOpened | null;
  readonly refused: OpenRefusal | null;
}

/** Opens a log on any disk, outside of a node; then `closeLog`, where it was opened. */
export function openLog(log: Log, disk: Disk): Promise<OpenEnd> {
  return new Promise((resolve) => {
    turnLog(log, disk, ({ opened, refused, poisoned }) => {
      const failed = poisoned === null ? null : ({ kind: "disk-failed", fault: poisoned } as const);
      const end = { opened, refused: refused ?? failed };
      if (end.opened !== null || end.refused !== null) resolve(end);
    })("open");
  });
}

/** Marks the directory as left in order; on a disk of its own, attached to nobody. */
export async function openAndClose(log: Log, disk: Disk): Promise<OpenEnd> {
  return await new Promise((resolve) => {
    let end: OpenEnd = { opened: null, refused: null };
    const turn = turnLog(log, disk, ({ opened, refused, poisoned, closed }) => {
      const failed = poisoned === null ? null : ({ kind: "disk-failed", fault: poisoned } as const);
      if (opened !== null) {
        end = { opened, refused: null };
        setImmediate(() => turn("close"));
      }
      if (refused !== null || failed !== null) resolve({ ...end, refused: refused ?? failed });
      else if (closed) resolve(end);
    });
    turn("open");
  });
}

type Told = Pick<
  NonNullable<ReturnType<Log["takeOutput"]>>,
  "opened" | "refused" | "poisoned" | "closed"
>;

function turnLog(
  log: Log,
  disk: Disk,
  told: (output: Told) => void,
): (event: "open" | "close") => void {
  const now = 0 as Instant;
  const take = () => {
    const output = log.takeOutput();
    if (output === null) return;
    for (const operation of output.operations) disk.submit(operation);
    told(output);
  };
  disk.attach({
    diskDone: (opId, result) => {
      log.step(now, { kind: "disk-done", opId, result });
      take();
    },
  });
  return (kind) => {
    log.step(now, { kind });
    take();
  };
}

const DONE: DiskResult = { kind: "done" };

/** Reads the directory; what is written stays in memory, file by file. */
class RehearsalDisk implements Disk {
  readonly #files: LogFiles;
  /** What a file was changed to; null for one that was removed. */
  readonly #changed = new Map<string, Uint8Array | null>();
  #inbox: DiskInbox | null = null;
  #last: Promise<void> = Promise.resolve();

  constructor(files: LogFiles) {
    this.#files = files;
  }

  get changed(): readonly string[] {
    return [...this.#changed.keys()].sort();
  }

  attach(inbox: DiskInbox): void {
    this.#inbox = inbox;
  }

  submit(operation: DiskOperation): void {
    this.#last = this.#last.then(async () => {
      const result = await this.#perform(operation);
      this.#done(operation.opId, result);
    });
  }

  #done(opId: OpId, result: DiskResult): void {
    assert(this.#inbox !== null, "a disk completes to its inbox: attach one first");
    this.#inbox.diskDone(opId, result);
  }

  async #perform(operation: DiskOperation): Promise<DiskResult> {
    switch (operation.kind) {
      case "create":
        if (this.#has(operation.file)) return failed("EEXIST", operation.file);
        this.#changed.set(operation.file, new Uint8Array(0));
        return DONE;
      case "write-at":
        return this.#write(operation.file, operation.position, concat(operation.parts));
      case "read-at":
        return this.#read(operation.file, operation.position, operation.length);
      case "rename": {
        const bytes = await this.#whole(operation.from);
        if (bytes === null) return failed("ENOENT", operation.from);
        this.#changed.set(operation.to, bytes);
        this.#changed.set(operation.from, null);
        return DONE;
      }
      case "unlink":
        if (!this.#has(operation.file)) return failed("ENOENT", operation.file);
        this.#changed.set(operation.file, null);
        return DONE;
      case "list":
        return { kind: "listed", files: this.#list() };
      case "map": {
        const view = await this.#whole(operation.file);
        return view === null
          ? failed("ENOENT", operation.file)
          : { kind: "mapped", view: Uint8Array.from(view) };
      }
      default:
        return DONE;
    }
  }

  #has(file: string): boolean {
    const changed = this.#changed.get(file);
    return changed === undefined ? this.#files.sizes.has(file) : changed !== null;
  }

  async #whole(file: string): Promise<Uint8Array | null> {
    if (!this.#has(file)) return null;
    return this.#changed.get(file) ?? (await this.#files.readWhole(file));
  }

  async #write(file: string, position: number, bytes: Uint8Array): Promise<DiskResult> {
    const before = await this.#whole(file);
    if (before === null) return failed("ENOENT", file);
    const after = new Uint8Array(Math.max(before.length, position + bytes.length));
    after.set(before);
    after.set(bytes, position);
    this.#changed.set(file, after);
    return DONE;
  }

  async #read(file: string, position: number, length: number): Promise<DiskResult> {
    const changed = this.#changed.get(file);
    if (!this.#has(file)) return failed("ENOENT", file);
    const bytes =
      changed == null
        ? await this.#files.read(file, position, length)
        : freeze(changed.slice(position, position + length));
    return { kind: "read", bytes };
  }

  #list(): { file: string; bytes: number }[] {
    const names = new Set([...this.#files.sizes.keys(), ...this.#changed.keys()]);
    const sizeOf = (file: string) =>
      this.#changed.get(file)?.length ?? this.#files.sizes.get(file) ?? 0;
    const files = [...names].filter((file) => this.#has(file)).sort();
    return files.map((file) => ({ file, bytes: sizeOf(file) }));
  }
}

function failed(code: "ENOENT" | "EEXIST", file: string): DiskResult {
  return { kind: "failed", code, message: file };
}
