// Bugs of a server that mends its log, and of its leader (src/raft/mending.ts). Owns the list; the
// plans in which logs lose their ends, and their judge, are test/raft/plans.ts.

import type { Hunt, Mutant } from "./mutant.ts";

const LOSSES: Hunt = { by: "core", setting: { voters: 3, joiners: 0, losses: true } };
const TESTS: Hunt = { by: "tests", files: ["test/raft/mending.test.ts"] };
const FOUND = ["core-safety", "core-keeps-running"];

export const MENDING_MUTANTS: readonly Mutant[] = [
  {
    name: "mender-votes",
    breaks: "A server that has lost acknowledged entries votes as if it had them.",
    source: "D09: nats-io/nats-server#7587; Protocol-Aware Recovery, FAST 2018",
    properties: FOUND,
    file: "src/raft/server.ts",
    find: "if (term < this.term || this.loss !== 0) return false;",
    replace: "if (term < this.term) return false;",
    hunt: LOSSES,
    knownSeed: 1,
  },
  {
    name: "mender-stands",
    breaks: "A server that has lost acknowledged entries stands for election.",
    source: "D09: nats-io/nats-server#7587",
    properties: FOUND,
    file: "src/raft/server.ts",
    find: "return this.configuration.mayStand && this.loss === 0;",
    replace: "return this.configuration.mayStand;",
    hunt: LOSSES,
    knownSeed: 1,
  },
  {
    name: "loss-forgotten-in-the-next-term",
    breaks: "Entering a term writes the hard state without the loss.",
    properties: FOUND,
    file: "src/raft/journal.ts",
    find: "this.#write(loss === undefined ? hardState : { ...hardState, loss });",
    replace: "this.#write(loss === undefined ? hardState : { ...hardState });",
    hunt: LOSSES,
    knownSeed: 7,
  },
  {
    name: "late-acknowledgement-counted",
    breaks: "A leader believes an acknowledgement that was given before the loss it knows of.",
    properties: [],
    file: "src/raft/mending.ts",
    find: 'if (this.#heardInRound > 0 && echoed <= this.#heardInRound) return "late";',
    replace: "",
    hunt: TESTS,
  },
  {
    name: "lost-match-kept",
    breaks: "A leader goes on counting what a server had before it lost it.",
    properties: [],
    file: "src/raft/progress.ts",
    find: 'if (credit === "lost") this.#forgetMatch();',
    replace: "",
    hunt: TESTS,
  },
  {
    name: "whole-with-less",
    breaks: "A server is whole again as soon as it hears a leader, whatever it has of its log.",
    properties: FOUND,
    file: "src/raft/mending.ts",
    find: "this.#index = lastIndex;",
    replace: "this.#index = (lastIndex * 0) as LogIndex;",
    hunt: LOSSES,
    knownSeed: 9,
  },
  {
    name: "whole-of-another-loss",
    breaks: "A server takes news of an earlier loss for news of this one.",
    properties: [],
    file: "src/raft/follower.ts",
    find: "if (ours === 0 || loss !== ours || this.#matchIndex() < index) return;",
    replace: "if (ours === 0 || loss < 0 || this.#matchIndex() < index) return;",
    hunt: TESTS,
  },
  {
    name: "whole-before-it-is-durable",
    breaks: "A server is whole again when it has the entries, durable or not.",
    properties: [],
    file: "src/raft/follower.ts",
    find: "loss !== ours || this.#matchIndex() < index) return;",
    replace: "loss !== ours || this.#verifiedIndex < index) return;",
    hunt: TESTS,
  },
  {
    name: "mender-counted",
    breaks: "A leader commits, confirms reads and stays in office by a server that mends.",
    properties: [],
    file: "src/raft/peers.ts",
    find: "return peer.isMending ? 0 : reachedBy(peer);",
    replace: "return reachedBy(peer);",
    hunt: TESTS,
  },
  {
    name: "told-before-the-others-have-it",
    breaks: "A server is told that it is whole before a quorum of others has what it must have.",
    properties: [],
    file: "src/raft/peers.ts",
    find: "return this.heldByQuorum(this.#server.journal.durableIndex) >= peer.mend.index",
    replace: "return this.#server.journal.durableIndex >= peer.mend.index",
    hunt: TESTS,
  },
];
