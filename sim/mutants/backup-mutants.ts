// Bugs of backups: what src/node/backups.ts and the pin in src/log must not do. Owns the list.

import type { Mutant } from "./mutant.ts";

export const BACKUP_MUTANTS: readonly Mutant[] = [
  {
    name: "backup-beyond-commit",
    breaks: "A backup is cut at the end of the node's log, committed or not.",
    properties: ["precommitted-read", "backup-whole", "keeps-running"],
    file: "src/node/backups.ts",
    find: "const { committed: cut, startOffset } = this.#replica.state;",
    replace: "const { end: cut, startOffset } = this.#replica.state;",
    knownSeed: 6,
  },
  {
    name: "backup-without-read-index",
    breaks: "A backup is cut at what the node takes for committed, which may be long ago.",
    properties: ["stale-read", "backup-whole", "linearizability"],
    file: "src/node/requests.ts",
    find: "else this.#findReadIndex(now, request);\n  }",
    replace: "else this.#parts.backups.begin(now, request.requestId);\n  }",
    knownSeed: 6,
  },
  {
    name: "backup-pins-nothing",
    breaks: "A trim takes from the disk what a backup has not read yet.",
    properties: ["backup-whole"],
    file: "src/node/backups.ts",
    find: 'this.#events.push({ kind: "pin", from });',
    replace: "",
    knownSeed: 6,
  },
  {
    name: "backup-base-too-new",
    breaks: "A backup begins with the newest checkpoint, whatever entries come behind it.",
    properties: ["backup-whole", "trim-agreed", "trimmed-read", "recovered-log"],
    file: "src/log/upkeep.ts",
    find: "const point = start.index === 0 ? null : checkpoints.firstFrom(start.index);",
    replace: "const point = start.index === 0 ? null : checkpoints.newest;",
    knownSeed: 1,
  },
];
