// Bugs of storage: what src/log must not do. Owns the list.

import type { Mutant } from "./mutant.ts";

/** Storage: files, frames, recovery. */
export const LOG_MUTANTS: readonly Mutant[] = [
  {
    name: "stale-frames-after-truncation",
    breaks: "A truncation leaves the old frames on the disk behind the cut.",
    properties: ["truncation-final"],
    file: "src/log/writer.ts",
    find: "const stale = zeros(segment.end - cut);",
    replace: "const stale = zeros(0);",
    knownSeed: 2,
  },
  {
    name: "truncation-not-synced",
    breaks: "A truncation is said to be done before its zeros are synced.",
    properties: ["truncation-final"],
    file: "src/log/writer.ts",
    find: '  yield* perform({ kind: "write-at", file, position, parts }, { kind: "sync", file });\n}',
    replace: '  yield* perform({ kind: "write-at", file, position, parts });\n}',
    knownSeed: 2,
  },
  {
    name: "restart-trusts-unsynced",
    breaks: "A restart takes readable bytes for durable and does not write them again.",
    properties: ["promise-append", "commit-durable-quorum", "truncation-final"],
    file: "src/log/store-recovery.ts",
    find: '  yield* perform({ kind: "sync", file });\n  return facts',
    replace: "  return facts",
    knownSeed: 4,
  },
  {
    name: "directory-not-synced",
    breaks: "A new segment is used before its name is durable.",
    properties: ["promise-append", "commit-durable-quorum"],
    file: "src/log/writer.ts",
    find: '    yield* perform({ kind: "sync-dir" });\n    yield* mapIndex(segment);',
    replace: "    yield* mapIndex(segment);",
    knownSeed: 1,
  },
  {
    name: "failed-sync-believed",
    breaks: "A sync that fails is taken for one that succeeded.",
    properties: ["promise-append", "commit-durable-quorum", "poison-silent", "promise-vote"],
    file: "src/log/flow.ts",
    find: 'if (result?.kind !== "failed") continue;',
    replace: 'if (result?.kind !== "failed" || operations[n]?.kind === "sync") continue;',
    knownSeed: 15,
  },
  {
    name: "failed-sync-tried-again",
    breaks: "A sync that failed is tried again, and the second one, which does nothing, believed.",
    properties: ["promise-append", "commit-durable-quorum", "poison-silent", "promise-vote"],
    file: "src/log/flow.ts",
    find: "  const results = yield operations;",
    replace: `  const results = yield operations;
  const failed = operations.filter((o, n) => o.kind === "sync" && results[n]?.kind === "failed");
  if (failed.length > 0 && (yield failed).every(({ kind }) => kind === "done")) return results;`,
    knownSeed: 36,
  },
  {
    name: "read-does-not-verify",
    breaks: "Entries are read from the disk without a look at their checksums.",
    properties: ["records-unaltered", "keeps-running"],
    file: "src/log/frame.ts",
    find: 'if (!isBodyWhole(bytes, at, decoded.head)) return malformed("body checksum does not match");',
    replace: "",
    knownSeed: 48,
  },
  {
    name: "torn-tail-cut-at-first-sight",
    breaks: "What reads as a torn tail is cut, although a second look would find it whole.",
    properties: ["recovered-log", "commit-durable-quorum", "promise-append"],
    file: "src/log/recovery.ts",
    find: "if (this.#isSeenAgain(bytes)) this.#takeRest(bytes, ends);",
    replace: "if (bytes.length >= 0) this.#takeRest(bytes, ends);",
    knownSeed: 95,
  },
  {
    name: "sector-checksum-ignored",
    breaks: "The manifest, the hard state and segment headers are believed without a checksum.",
    properties: ["hard-state-monotonic", "keeps-running", "one-vote-a-term", "recovered-log"],
    file: "src/log/sector.ts",
    find: "if (view.getUint32(CRC_AT) !== crc32c(bytes, 0, at, at + CRC_AT)) {",
    replace: "if (view.getUint32(8) === 0) {",
    knownSeed: 57,
  },
];
