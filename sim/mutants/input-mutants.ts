// Bugs of the core's distrust: what no correct peer says is believed. Owns the list; the plans send
// such messages, and their judge sees that nothing comes of them (test/raft/bad-messages.ts).

import type { Hunt, Mutant } from "./mutant.ts";

const BAD_INPUT: Hunt = { by: "core", setting: { voters: 3, joiners: 2, badInput: true } };
const properties = ["core-safety", "core-keeps-running", "core-recovers"];

export const INPUT_MUTANTS: readonly Mutant[] = [
  {
    name: "absurd-terms-believed",
    breaks: "A term beyond all terms is adopted, and leaves none for later elections.",
    properties,
    file: "src/raft/message-check.ts",
    find: "if (!isCount(message.term) || message.term > TERM_MAX) return",
    replace: "if (!isCount(message.term)) return",
    hunt: BAD_INPUT,
    knownSeed: 1,
  },
  {
    name: "strangers-answers-counted",
    breaks: "An answer of who is no member is heard as a member's is.",
    properties,
    file: "src/raft/raft.ts",
    find: 'return isTold && message.term <= this.term ? null : "the sender is not a member";',
    replace: "return isTold || !isTold ? null : null;",
    hunt: BAD_INPUT,
    knownSeed: 1,
  },
  {
    name: "acknowledged-beyond-the-log",
    breaks: "An acknowledgement of entries that the leader does not have is counted.",
    properties,
    file: "src/raft/leader.ts",
    find: 'if (reply.conflict === null && reply.matchIndex > tail.lastIndex) return "beyond the log";',
    replace: "",
    hunt: BAD_INPUT,
    knownSeed: 1,
  },
  {
    name: "chain-of-entries-not-checked",
    breaks: "Entries of a message are taken although they do not follow one another.",
    properties,
    file: "src/raft/message-check.ts",
    find: "    if (broken !== null) return broken;\n    if (entry.term > term)",
    replace: "    if (entry.term > term)",
    hunt: BAD_INPUT,
  },
];
