// Mutants of what the log says of consumers and writers, and of reads by place: src/state, src/node
// and src/log. Their order in the catalogue is catalogue.ts.

import type { Mutant } from "./mutant.ts";

export const CONSUMER_MUTANTS: readonly Mutant[] = [
  {
    name: "cursor-guard-ignored",
    breaks: "A cursor moves on the word of a consumer that has not seen its last move.",
    properties: ["cursor-moved"],
    file: "src/state/cursors.ts",
    find: "if (expected !== undefined && expected !== (live?.offset ?? null)) {",
    replace: "if (expected === -1) {",
    knownSeed: 2,
  },
  {
    name: "truncated-cursor-kept",
    breaks: "A cursor stays where an entry moved it that was truncated since.",
    properties: ["cursor-moved", "cursor-read", "keeps-running"],
    file: "src/state/state.ts",
    find: "if (dropped.cursorUndo !== null) this.#cursors.undo(dropped.cursorUndo);",
    replace: "",
    knownSeed: 38,
  },
  {
    name: "uncommitted-cursor-told",
    breaks: "A reader of cursors is told of moves that are not committed.",
    properties: ["cursor-read"],
    file: "src/state/state.ts",
    find: "const cursors = this.#cursorsAt(this.#committed.index);",
    replace: "const cursors = this.#cursors;",
    knownSeed: 10,
  },
  {
    name: "expired-cursor-told",
    breaks: "A reader is told of cursors that are forgotten.",
    properties: ["cursor-read"],
    file: "src/state/state.ts",
    find: "cursor !== null && !isExpired(cursor, now)) as Cursor[];",
    replace: "cursor !== null && now >= 0) as Cursor[];",
    knownSeed: 2,
  },
  {
    name: "fence-ignored",
    breaks: "An append is taken whatever fencing token it names.",
    properties: ["fence-holds"],
    file: "src/state/state.ts",
    find: "if (fencingToken !== undefined && fencingToken !== token) {",
    replace: "if (fencingToken !== undefined && token === null) {",
    knownSeed: 3,
  },
  {
    name: "fence-known-when-committed",
    breaks: "A leader admits appends by the fence that is committed, not by the one in its tail.",
    properties: ["fence-holds"],
    file: "src/state/state.ts",
    find: "const { token, index } = this.#fences.latest;",
    replace: "const { token, index } = this.#fences.at(this.#committed.index);",
    knownSeed: 44,
  },
  {
    name: "read-before-applied",
    breaks: "A follower answers a linearizable read before it has what the leader named.",
    properties: ["stale-read", "linearizability", "cursor-read"],
    file: "src/node/reads.ts",
    find: "if (readIndex === null || readIndex > index) continue;",
    replace: "if (readIndex === null) continue;",
    knownSeed: 1,
  },
  {
    name: "time-search-one-late",
    breaks: "A read by time leaves out the entries of exactly that time.",
    properties: ["read-by-time"],
    file: "src/log/lookup.ts",
    find: "if ((yield* this.#timestampOf(middle)) < time) low = middle + 1;",
    replace: "if ((yield* this.#timestampOf(middle)) <= time) low = middle + 1;",
    knownSeed: 22,
  },
];
