// A layer under the disk port that performs on a real disk and, as each operation completes, does
// the same on a fake one: so that what a crash could have left of the real calls can be told.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { assert } from "../../src/base/assert.ts";
import type { DiskOperation, DiskResult } from "../../src/base/disk.ts";
import type { OpId } from "../../src/base/ids.ts";
import type { Disk, DiskInbox } from "../../src/ports/disk.ts";
import { type DiskImage, FakeDisk } from "../log/fake-disk.ts";

export class RecordingDisk implements Disk, DiskInbox {
  readonly shadow: FakeDisk;
  readonly #disk: Disk;
  readonly #underWay = new Map<OpId, DiskOperation>();
  #inbox: DiskInbox | null = null;
  /** Called after each operation that changed something, before the log hears of it. */
  afterEach: () => void = () => {};

  constructor(disk: Disk) {
    this.shadow = new FakeDisk();
    this.#disk = disk;
    disk.attach(this);
  }

  attach(inbox: DiskInbox): void {
    this.#inbox = inbox;
  }

  submit(operation: DiskOperation): void {
    this.#underWay.set(operation.opId, operation);
    this.#disk.submit(operation);
  }

  diskDone(opId: OpId, result: DiskResult): void {
    const operation = this.#underWay.get(opId);
    assert(operation !== undefined, "an operation completes once", opId);
    this.#underWay.delete(opId);
    const { kind } = operation;
    if (kind !== "read-at" && kind !== "list") {
      this.shadow.submit(operation);
      for (const queue of this.shadow.waiting) {
        const mirrored = this.shadow.performNext(queue).result.kind;
        assert(mirrored === result.kind, "the two disks answer alike", mirrored, result.kind);
      }
      this.afterEach();
    }
    this.#inbox?.diskDone(opId, result);
  }
}

/**
 * What a kill would leave just now. Operations under way do not wait for one another, else they
 * would not be: so it does not matter that files are read one after another.
 */
export function directoryImage(directory: string): DiskImage {
  const image = new Map<string, Uint8Array>();
  for (const file of readdirSync(directory)) {
    const bytes = file.startsWith(".") ? null : contentOf(join(directory, file));
    if (bytes !== null) image.set(file, bytes);
  }
  return image;
}

/** Null when it was removed just now, after the directory was listed. */
function contentOf(path: string): Uint8Array | null {
  try {
    return readFileSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}
