// A log that has lost its end, by rot or by a disk that forgot what it had confirmed: whether it
// may be cut there, so that its peers give it what it lacks, and what has to be durable before it
// is. Owns nothing of when it is whole again: that is consensus (src/raft/mending.ts).
//
// Nothing is changed before everything has been read twice with the same result, and a third time
// as if the cut were made. Then, in this order, each step durable before the next: the hard state
// names the loss and the cut as a truncation under way; checkpoints of what is lost and the mark of
// a clean stop are removed; opening goes on as after a truncation that a crash has interrupted.

import type { LogIndex } from "../base/ids.ts";
import { replaceFile } from "./aside.ts";
import { findCheckpoints } from "./checkpoint-files.ts";
import { indexOfCheckpoint, isLeftover, MANIFEST_FILE } from "./file-names.ts";
import { type Flow, type Operation, perform } from "./flow.ts";
import { type HardStateSlot, type SlotNumber, withLoss, writeSlots } from "./hard-state.ts";
import { encodeManifest, type Manifest } from "./manifest.ts";
import { type FileSizes, LostEnd, Refused } from "./refusal.ts";
import { type RecoveryFacts, readSegments } from "./store-recovery.ts";

/**
 * Whether the loss is there when it is looked for again, what is before it opens without it, and
 * the host wants that.
 */
export function* mayCut(facts: RecoveryFacts, lost: LostEnd): Flow<boolean> {
  const { mayMend } = facts.options;
  if (mayMend === undefined) return false;
  const again = yield* lossIn(facts);
  if (again === null || !isSame(again, lost)) return false;
  const sizes: FileSizes = new Map([...facts.sizes].filter(([file]) => !isCut(file, lost.from)));
  const checkpoints = yield* findCheckpoints(sizes);
  const state = withLoss(facts.state, lost.from);
  try {
    const { tail } = yield* readSegments({ ...facts, sizes, checkpoints, state });
    return mayMend({ identity: facts.identity, checkpoint: checkpoints.newest, tail });
  } catch (thrown) {
    if (thrown instanceof Refused) return false;
    throw thrown;
  }
}

function* lossIn(facts: RecoveryFacts): Flow<LostEnd | null> {
  try {
    yield* readSegments(facts);
  } catch (thrown) {
    if (thrown instanceof LostEnd) return thrown;
    if (!(thrown instanceof Refused)) throw thrown;
  }
  return null;
}

function isSame(one: LostEnd, other: LostEnd): boolean {
  const { file, position, what } = one.damage;
  const { damage, from } = other;
  const isThere = file === damage.file && position === damage.position;
  return isThere && what === damage.what && one.from === from;
}

/** A checkpoint of what is lost says nothing of what will take its place. */
function isCut(file: string, from: LogIndex): boolean {
  const index = indexOfCheckpoint(file);
  return index !== null && index >= from;
}

/** From here on the directory is one of a log that mends, whatever becomes of this opening. */
export function* beginMending(slot: SlotNumber, state: HardStateSlot): Flow<void> {
  // The slot that counts is written last: until then it counts, whatever becomes of the other.
  yield* perform(...writeSlots(state, [slot === 0 ? 1 : 0]));
  yield* perform(...writeSlots(state, [slot]));
}

/**
 * What of a cut is not the segments': the mark of a clean stop and the checkpoints of what is lost
 * go, before the cut is no longer noted and they would look like a loss again. `sizes` does not
 * have them afterwards. Returns the manifest as it is then.
 */
export function* goOnCutting(
  manifest: Manifest,
  { truncateFrom, hardState }: HardStateSlot,
  sizes: Map<string, number>,
): Flow<Manifest> {
  if (truncateFrom === null || hardState.loss === undefined) return manifest;
  const voided = [...sizes.keys()].filter((file) => isCut(file, truncateFrom) || isLeftover(file));
  if (voided.length > 0) {
    yield* perform(...voided.map((file): Operation => ({ kind: "unlink", file })));
    yield* perform({ kind: "sync-dir" });
  }
  for (const file of voided) sizes.delete(file);
  if (manifest.cleanStop === null) return manifest;
  const running: Manifest = { identity: manifest.identity, cleanStop: null };
  yield* replaceFile(MANIFEST_FILE, [encodeManifest(running)]);
  return running;
}
