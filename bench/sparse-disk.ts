// A disk that keeps of long writes only how they begin, and of zeros only where they end: large
// logs in little room, for measuring what opening and reading them costs. Syncs do nothing. Not for
// anything that must come back.

import type { FileDisk } from "../src/adapters/file-disk.ts";
import type { DiskOperation } from "../src/base/disk.ts";
import type { OpId, Position } from "../src/base/ids.ts";
import { FRAME_HEADER_BYTES } from "../src/log/frame.ts";
import type { Disk, DiskInbox } from "../src/ports/disk.ts";

/** A longer part is a frame whose body is zeros, or zeros. */
const WHOLE_BYTES = 4096;

type Write = Extract<DiskOperation, { kind: "write-at" }>;

export class SparseDisk implements Disk {
  readonly #disk: FileDisk;
  #inbox: DiskInbox | null = null;
  /** Pieces of writes that have more to come. */
  readonly #pieces = new Set<OpId>();
  #lastPiece = 0;

  constructor(disk: FileDisk) {
    this.#disk = disk;
    disk.attach({
      diskDone: (opId, result) => {
        if (!this.#pieces.delete(opId)) this.#inbox?.diskDone(opId, result);
        else if (result.kind === "failed") throw new Error(result.message);
      },
    });
  }

  attach(inbox: DiskInbox): void {
    this.#inbox = inbox;
  }

  submit(operation: DiskOperation): void {
    switch (operation.kind) {
      case "write-at":
        this.#write(operation);
        break;
      case "sync":
      case "sync-dir":
        setImmediate(() => this.#inbox?.diskDone(operation.opId, { kind: "done" }));
        break;
      default:
        this.#disk.submit(operation);
    }
  }

  #write(write: Write): void {
    let position = write.position as number;
    for (const part of write.parts) {
      const kept = part.length <= WHOLE_BYTES ? part : part.subarray(0, beginningOf(part));
      if (kept.length > 0) this.#submitPiece(write.file, position, kept);
      position += part.length;
    }
    // The file is as long as it would be; the byte is that of the last part.
    const last = write.parts.findLast((part) => part.length > 0);
    const parts = last === undefined ? [] : [last.subarray(last.length - 1)];
    const at = Math.max(0, position - 1) as Position;
    this.#disk.submit({ ...write, position: at, parts });
  }

  #submitPiece(file: string, position: number, part: Uint8Array): void {
    const opId = --this.#lastPiece as OpId;
    this.#pieces.add(opId);
    const at = position as Position;
    this.#disk.submit({ kind: "write-at", opId, file, position: at, parts: [part] });
  }

  close(): Promise<void> {
    return this.#disk.close();
  }
}

function beginningOf(part: Uint8Array): number {
  return part[0] === 0 ? 0 : FRAME_HEADER_BYTES;
}
