// Sentences for people about what a node is and why it will not run.

import { unreachable } from "../base/assert.ts";
import type { Damage, Fault } from "../base/faults.ts";
import type { Identity, OpenRefusal } from "../log/protocol.ts";
import type { Stopped } from "./protocol.ts";

/** One line that says what is wrong with a data directory and what to do. */
export function describeRefusal(refusal: OpenRefusal): string {
  switch (refusal.kind) {
    case "another-directory": {
      const { found, expected } = refusal;
      const whose = `${describeIdentity(found)}, not to ${describeIdentity(expected)}`;
      return `the data directory belongs to ${whose}: give each node a directory of its own`;
    }
    case "newer-format": {
      const { found, known } = refusal;
      const formats = `format ${found}, and this build knows up to ${known}`;
      return `the data directory has ${formats}: run the newer build`;
    }
    case "damaged": {
      const { file, position, what } = refusal.damage;
      const where = `${file} at byte ${position}`;
      return `the log is damaged in ${where}: ${what}; keep the directory and restore this node from its peers`;
    }
    case "disk-failed":
      return `the disk failed while the log was opened: ${JSON.stringify(refusal.fault)}`;
    default:
      return unreachable(refusal);
  }
}

/** One line that says what became of the end of a log. */
export function describeLoss({ file, position, what, index }: Damage): string {
  const where = `${file} at byte ${position}`;
  return `the log is damaged in ${where}: ${what}; entries from ${index} on are cut and come from the peers`;
}

/** Of a node that is up, and counts for nothing. */
export const MENDING =
  "the log has lost entries that were acknowledged: until its peers have given them back, and the " +
  "leader says that nothing lacks, this node neither votes nor counts; keep the others up";

export function failedDisk(fault: Fault): Stopped {
  return { kind: "failed", why: `the disk failed: ${JSON.stringify(fault)}` };
}

function describeIdentity(identity: Identity): string {
  return `node ${identity.nodeName} of cluster ${identity.clusterId}`;
}

/** Why a node with a user's machine cannot go on. */
export const MACHINE_LOST =
  "the log was trimmed, and its checkpoint holds nothing of the user's machine: give the node the " +
  "directory of one that ran with the machine, or a new directory in a cluster that does";
