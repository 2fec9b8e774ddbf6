// Mutants of the log's upkeep: seals, digests, scrubbing, retention, space, trims, installations.
// Their tests look at what the simulator's promises do not reach: a disk that says too little,
// or too late. Joined to the others in catalogue.ts.

import type { Mutant } from "./mutant.ts";

const DIGEST = "test/log/digest.test.ts";
const FULL = "test/log/full-disk.test.ts";
const RETENTION = "test/log/retention.test.ts";
const SAFEKEEPING = "test/sim/safekeeping.test.ts";
const SCRUB = "test/log/scrub.test.ts";
const UPKEEP = "test/log/upkeep.test.ts";
const INCOMING = "test/log/incoming.test.ts";

export const STORAGE_MUTANTS: readonly Mutant[] = [
  {
    name: "difference-forgotten",
    breaks:
      "A node that differs from the cluster refuses once, and starts again as if nothing were.",
    ...foundBy(DIGEST),
    file: "src/log/log.ts",
    find: "const marked = encodeManifest({ identity, cleanStop: null, differs });",
    replace: "const marked = encodeManifest({ identity, cleanStop: null });",
  },
  {
    name: "digests-not-compared",
    breaks: "The leader's digest of a segment is read and believed.",
    ...foundBy(SAFEKEEPING),
    file: "src/node/digests.ts",
    find: "if (own !== claim.digest) this.#found ??= claim;",
    replace: "if (own < 0) this.#found ??= claim;",
  },
  {
    name: "digest-of-the-unknown-skipped",
    breaks: "What a node knows no digest of any more, after a restart, is never compared.",
    ...foundBy(SAFEKEEPING),
    file: "src/node/digests.ts",
    find: "else if (firstIndex <= this.#replica.startsAfter) this.#unchecked++;",
    replace: "else if (firstIndex >= 0) this.#unchecked++;",
  },
  {
    name: "digest-joined-without-a-shift",
    breaks: "The digests of two stretches are joined as if the second one were empty.",
    ...foundBy(DIGEST),
    file: "src/log/digest.ts",
    find: "return crc32cJoined(before, behind, count * ENTRY_BYTES);",
    replace: "return crc32cJoined(before, behind, 0);",
  },
  {
    name: "scrub-only-looks-for-an-end",
    breaks: "Scrubbing does not ask whether the entries are those that were sealed.",
    ...foundBy(SCRUB),
    file: "src/log/scrub.ts",
    find: "} else if (digest !== segment.digest) {",
    replace: "} else if (digest < 0) {",
  },
  {
    name: "scrub-condemns-at-first-sight",
    breaks: "One wrong read of a healthy disk condemns a segment.",
    ...foundBy(SCRUB),
    file: "src/log/scrub.ts",
    find: "if (!this.#isSecondLook) {",
    replace: "if (segment === null) {",
  },
  {
    name: "retention-forgets-what-it-freed",
    breaks: "Retention by bytes goes on although what is left is within the limit.",
    ...foundBy(RETENTION),
    file: "src/log/retention.ts",
    find: "    bytes -= freed;\n",
    replace: "    bytes -= 0 * freed;\n",
  },
  {
    name: "retention-takes-the-active",
    breaks: "Retention counts the segment that is being written among those that may go.",
    ...foundBy(RETENTION),
    file: "src/log/retention.ts",
    find: "of segments.slice(0, -1)) {",
    replace: "of segments) {",
  },
  {
    name: "full-write-not-taken-back",
    breaks: "What a full disk took of a write stays there, behind the entries that take its place.",
    ...foundBy(FULL),
    file: "src/log/writer.ts",
    find: "if (stale.length > 0) yield* zeroOut(segment, start, stale);",
    replace: "if (stale.length < 0) yield* zeroOut(segment, start, stale);",
  },
  {
    name: "reserve-never-spent",
    breaks: "The reserve is kept, and a full disk can neither be trimmed nor stopped in order.",
    ...foundBy(FULL),
    file: "src/log/space.ts",
    find: "if (!isFull(thrown) || !this.#isReserved) throw thrown;",
    replace: "if (!isFull(thrown) || this.#reserveBytes >= 0) throw thrown;",
  },
  {
    name: "trim-waits-for-room",
    breaks: "The trim that would make room waits for it behind the entries that fill the disk.",
    ...foundBy(FULL),
    file: "src/log/writer.ts",
    find: 'return kind === "trim";',
    replace: 'return kind === "marker";',
  },
  {
    name: "reserve-not-made-anew",
    breaks: "The room that a trim gives back is never reserved again.",
    ...foundBy(SAFEKEEPING),
    file: "src/log/space.ts",
    find: "    this.#isScarce = false;\n    this.#isHopeful = true;\n",
    replace: "    this.#isScarce = false;\n",
  },
  {
    name: "full-leader-stays",
    breaks: "A leader without room keeps its place, and all that it leads waits.",
    ...foundBy(SAFEKEEPING),
    file: "src/node/handover.ts",
    find: "if (!this.#isDue || now < this.#notBefore) return false;",
    replace: "if (now >= 0) return false;",
  },
  {
    name: "leader-without-its-base-stays",
    breaks: "A leader whose base checkpoint rotted keeps its place, and nobody is brought up.",
    source: "D16, D17: hashicorp/raft#522",
    ...foundBy(SAFEKEEPING),
    file: "src/node/handover.ts",
    find: "    return this.#misreads >= MISREADS_MAX &&",
    replace: "    return this.#misreads < 0 &&",
  },
  {
    name: "trim-beyond-its-base",
    breaks: "A trim removes the segment that its checkpoint stands in.",
    ...foundBy(UPKEEP),
    file: "src/log/upkeep.ts",
    find: "      if (segments.first.lastIndex > base.index) break;\n",
    replace: "",
  },
  {
    name: "trim-rests-on-the-unread",
    breaks: "Segments go before the checkpoint that takes their place was read back.",
    ...foundBy(UPKEEP),
    file: "src/log/upkeep.ts",
    find: "    if (!isWhole) {\n",
    replace: "    if (this.#installing < 0) {\n",
  },
  {
    name: "received-installed-unsynced",
    breaks:
      "A checkpoint that was received is renamed into its place before its bytes are durable.",
    ...foundBy("test/log/crash.test.ts"),
    file: "src/log/incoming.ts",
    find: `    yield* perform({ kind: "sync", file });
    const checkpoint`,
    replace: "    const checkpoint",
  },
  {
    name: "received-written-far-beyond-a-sync",
    breaks: "All of a checkpoint is written before anything of it is synced.",
    ...foundBy(INCOMING),
    file: "src/log/incoming.ts",
    find: "if (start + length > this.#syncedBytes + this.#bytesMax) {",
    replace: "if (start < 0) {",
  },
  {
    name: "received-believed-after-restart",
    breaks: "After a restart all of a file that was being received counts as durable.",
    ...foundBy(INCOMING),
    file: "src/log/incoming.ts",
    find: "const durable = bytes - bytesMax - CHECKPOINT_HEADER_BYTES;",
    replace: "const durable = bytes - CHECKPOINT_HEADER_BYTES;",
  },
  {
    name: "received-gone-on-with-elsewhere",
    breaks: "After a restart the next part is asked for one byte too late.",
    ...foundBy(INCOMING),
    file: "src/log/incoming.ts",
    find: "return { base, position: Math.min(durable, base.stateBytes) };",
    replace: "return { base, position: Math.min(durable + 1, base.stateBytes) };",
  },
  {
    name: "received-taken-from-under-an-installation",
    breaks: "Another checkpoint takes the place of one that is being installed.",
    ...foundBy(INCOMING),
    file: "src/log/incoming.ts",
    find: "    if (this.#isClaimed) return;\n    if (event.kind",
    replace: "    if (event.kind",
  },
  {
    name: "received-never-forgotten",
    breaks: "What nobody will install stays on the disk.",
    ...foundBy(INCOMING),
    file: "src/log/incoming.ts",
    find: "    else this.#turnTo(null);\n",
    replace: "",
  },
  {
    name: "install-not-taken-up-again",
    breaks: "An installation that a crash cut short is left half done.",
    ...foundBy(UPKEEP),
    file: "src/log/opening.ts",
    find: "if (installing !== undefined) {",
    replace: "if (installing === MANIFEST_FILE) {",
  },
];

function foundBy(file: string): Pick<Mutant, "properties" | "hunt"> {
  return { properties: [file], hunt: { by: "tests", files: [file] } };
}
