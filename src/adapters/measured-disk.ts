// A disk that is watched: each operation's time, bytes and failures go into the metrics. Owns no
// order and no files: what is behind it is the disk, what is in front of it notices nothing.

import type { DiskOperation, DiskResult } from "../base/disk.ts";
import type { OpId } from "../base/ids.ts";
import type { Disk, DiskInbox } from "../ports/disk.ts";
import { bytesWrittenBy, type Metrics } from "./metrics.ts";

export class MeasuredDisk implements Disk, DiskInbox {
  readonly #disk: Disk;
  readonly #metrics: Metrics;
  readonly #begun = new Map<OpId, { readonly ms: number; readonly operation: DiskOperation }>();
  #inbox: DiskInbox | null = null;

  constructor(disk: Disk, metrics: Metrics) {
    this.#disk = disk;
    this.#metrics = metrics;
    disk.attach(this);
  }

  attach(inbox: DiskInbox): void {
    this.#inbox = inbox;
  }

  submit(operation: DiskOperation): void {
    this.#begun.set(operation.opId, { ms: performance.now(), operation });
    this.#metrics.diskInFlight.set(this.#begun.size);
    this.#disk.submit(operation);
  }

  diskDone(opId: OpId, result: DiskResult): void {
    const begun = this.#begun.get(opId);
    if (begun !== undefined) this.#ended(begun.operation, result, performance.now() - begun.ms);
    this.#begun.delete(opId);
    this.#metrics.diskInFlight.set(this.#begun.size);
    this.#inbox?.diskDone(opId, result);
  }

  #ended(operation: DiskOperation, result: DiskResult, ms: number): void {
    const { diskSeconds, diskFailures, diskBytes } = this.#metrics;
    diskSeconds.observe({ operation: operation.kind }, ms / 1000);
    if (result.kind === "failed") {
      diskFailures.inc({ operation: operation.kind, code: result.code });
      return;
    }
    const written = bytesWrittenBy(operation);
    if (written > 0) diskBytes.inc({ direction: "written" }, written);
    if (result.kind === "read") diskBytes.inc({ direction: "read" }, result.bytes.length);
  }
}
