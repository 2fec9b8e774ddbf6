// A data directory, as a node may use it; the contract of operations is in base/disk.ts. The
// adapters are src/adapters/file-disk.ts with a mapped or a plain-file index, the double is
// sim/sim-disk.ts.

import type { DiskOperation, DiskResult } from "../base/disk.ts";
import type { OpId } from "../base/ids.ts";

export interface Disk {
  /**
   * Never completes inside this call. Every operation completes exactly once, while the node lives.
   */
  submit(operation: DiskOperation): void;
  attach(inbox: DiskInbox): void;
}

export interface DiskInbox {
  diskDone(opId: OpId, result: DiskResult): void;
}
