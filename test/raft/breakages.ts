// Ways to break consensus in one place, for the judge of random plans to notice. Each is a fault
// that some Raft has had (reference: the bug catalogue), or could have here. Owns the list.

import type { Mutant } from "../../sim/mutants/mutant.ts";
import type { Setting } from "./plans.ts";

/** A mutant of the core alone: `knownSeed` names a plan in `setting` that shows it. */
export type Breakage = Omit<Mutant, "properties"> & { readonly setting: Setting };

const SMALL: Setting = { voters: 3, joiners: 2 };
const LARGE: Setting = { voters: 3, joiners: 4 };

export const BREAKAGES: readonly Breakage[] = [
  {
    name: "commits-by-the-new-half",
    breaks: "In a joint configuration only the new half's acknowledgements are counted.",
    file: "src/raft/quorum.ts",
    find: "if (outgoing.length === 0) return reached;",
    replace: "return reached;",
    setting: LARGE,
    knownSeed: 1,
  },
  {
    name: "elected-by-the-new-half",
    breaks: "In a joint configuration only the new half's votes are counted.",
    file: "src/raft/quorum.ts",
    find: 'if (outgoing.length === 0 || outcome === "lost") return outcome;',
    replace: "return outcome;",
    setting: LARGE,
    knownSeed: 2,
  },
  {
    name: "in-force-when-committed",
    breaks: "A membership is in force when it is committed, not when it is appended.",
    file: "src/raft/configuration.ts",
    find: "this.#effective = this.#uncommitted.at(-1) ?? this.#committed;",
    replace: "this.#effective = this.#committed;",
    setting: SMALL,
    knownSeed: 1,
  },
  {
    name: "change-before-own-commit",
    breaks: "A new leader changes the membership before it has committed in its own term.",
    file: "src/raft/leader.ts",
    find: 'else if (commitIndex < this.#firstIndex) refuse("not-ready");',
    replace: "",
    setting: SMALL,
    knownSeed: 4,
  },
  {
    name: "two-changes-at-once",
    breaks: "A second change of membership begins while the first is not committed.",
    file: "src/raft/configuration.ts",
    find: "return this.#uncommitted.length > 0 || isJoint(this.effective);",
    replace: "return isJoint(this.effective);",
    setting: SMALL,
    knownSeed: 1,
  },
  {
    name: "always-simple",
    breaks: "Every change is made in one step, however many voters differ.",
    file: "src/raft/membership-change.ts",
    find: "const membership = isSimple ? final : enterJoint(current, final);",
    replace: "const membership = final;",
    setting: SMALL,
    knownSeed: 3,
  },
  {
    name: "removed-leader-counts-itself",
    breaks: "A leader that is no voter counts its own log.",
    file: "src/raft/peers.ts",
    find: "return reachedByQuorum(membership, (voter) => {",
    replace: `const { voters } = membership;
    const all = voters.includes(self) ? voters : [...voters, self];
    return reachedByQuorum({ ...membership, voters: all }, (voter) => {`,
    setting: SMALL,
    knownSeed: 2,
  },
  {
    name: "learners-count",
    breaks: "A leader counts the acknowledgements of learners.",
    file: "src/raft/peers.ts",
    find: "return reachedByQuorum(membership, (voter) => {",
    replace: `const voters = [...membership.voters, ...membership.learners];
    return reachedByQuorum({ ...membership, voters }, (voter) => {`,
    setting: SMALL,
    knownSeed: 1,
  },
  {
    name: "left-before-committed",
    breaks: "A joint configuration is left before it is committed.",
    file: "src/raft/leader.ts",
    find: "if (!configuration.isCommitted || commitIndex < this.#firstIndex) return;",
    replace: "if (commitIndex < this.#firstIndex) return;",
    setting: SMALL,
    knownSeed: 3,
  },
  {
    name: "left-before-own-commit",
    breaks: "A new leader leaves a joint configuration before it has committed in its own term.",
    file: "src/raft/leader.ts",
    find: "if (!configuration.isCommitted || commitIndex < this.#firstIndex) return;",
    replace: "if (!configuration.isCommitted) return;",
    setting: LARGE,
    knownSeed: 70,
  },
  {
    name: "never-rolled-back",
    breaks: "A membership stays in force when its entry is truncated.",
    file: "src/raft/configuration.ts",
    find: "if (this.#effective.index < from) return;",
    replace: "if (from > 0) return;",
    setting: SMALL,
    knownSeed: 23,
  },
  {
    name: "restarts-with-the-old",
    breaks: "A restarted server does not look for memberships behind its checkpoint.",
    file: "src/raft/server.ts",
    find: "for (const head of restored.tail) this.configuration.appended(head);",
    replace: "",
    setting: SMALL,
    knownSeed: 1,
  },
  {
    name: "installs-without-members",
    breaks: "A snapshot's membership does not replace the one in force.",
    file: "src/raft/server.ts",
    find: "this.configuration.installed(at.index, membership);",
    replace: "",
    setting: SMALL,
    knownSeed: 203,
  },
  {
    name: "installs-over-the-same",
    breaks: "A snapshot replaces a log that agrees with it and goes on after it.",
    file: "src/raft/follower.ts",
    find: "} else if (here === at.term) {",
    replace: "} else if (here === null && at.index < 0) {",
    setting: SMALL,
    knownSeed: 436,
  },
  {
    name: "keeps-the-conflicting",
    breaks: "What follows a snapshot's place is kept although the log has another entry there.",
    file: "src/raft/follower.ts",
    find: "} else if (here === at.term) {",
    replace: "} else if (here !== null) {",
    setting: LARGE,
    knownSeed: 82,
  },
  {
    name: "confirmed-by-the-overtaken",
    breaks: "Writes that a snapshot has overtaken still confirm their indexes.",
    file: "src/raft/journal.ts",
    find: "this.#lowerDurable(commitIndex);",
    replace: "",
    setting: LARGE,
    knownSeed: 82,
  },
  {
    name: "any-read-reply",
    breaks: "A reader takes the answer to an earlier request for its own.",
    file: "src/raft/read-queue.ts",
    find: "if (term !== this.#term || sequence !== this.#sequence || readIndex === null) return [];",
    replace: "if (readIndex === null) return [];",
    setting: SMALL,
    knownSeed: 49,
  },
  {
    name: "commits-others-terms",
    breaks: "A leader commits entries of earlier terms by counting copies (paper, Figure 8).",
    file: "src/raft/leader.ts",
    find: "if (tail.termAt(held) !== this.#term || !this.#server.maybeCommit(held)) return;",
    replace: "if (!this.#server.maybeCommit(held)) return;",
    setting: SMALL,
    knownSeed: 1,
  },
  {
    name: "removed-never-stands",
    breaks: "A server that an uncommitted entry removes does not stand any more (thesis 4.2.2).",
    file: "src/raft/configuration.ts",
    find: "this.#mayStand = votesIn(this.#committed) || this.#uncommitted.some(votesIn);",
    replace: "this.#mayStand = votesIn(this.#effective);",
    setting: SMALL,
    knownSeed: 25,
  },
  {
    name: "asks-what-is-trimmed",
    breaks: "A lost pipeline whose end is trimmed away is asked for ever.",
    file: "src/raft/progress.ts",
    find: 'if (!this.needsSnapshot(startIndex)) return "pipeline";',
    replace: 'if (this.#nextIndex > 0) return "pipeline";',
    setting: LARGE,
    knownSeed: 4,
  },
];

/** One of each kind, for every run of the tests; the others are for the deep ones. */
const EVERYDAY = [
  "commits-by-the-new-half",
  "elected-by-the-new-half",
  "in-force-when-committed",
  "change-before-own-commit",
  "two-changes-at-once",
  "removed-leader-counts-itself",
  "never-rolled-back",
  "keeps-the-conflicting",
  "any-read-reply",
  "removed-never-stands",
];
export const EVERYDAY_BREAKAGES = BREAKAGES.filter(({ name }) => EVERYDAY.includes(name));
