// Bugs of discovery and of founding, and of gossip where whole nodes notice: what src/gossip and
// src/node/{discovery,nomination,founding}.ts must not do. Owns the list.

import type { Hunt, Mutant } from "./mutant.ts";

const BY_DISCOVERY: Hunt = { by: "simulator", profile: "discovery" };
/** Each of these files must fail. */
function byTests(...files: string[]): Pick<Mutant, "properties" | "hunt"> {
  return { properties: files, hunt: { by: "tests", files } };
}

/** Whole nodes that find each other notice. */
const IN_THE_SIMULATOR: readonly Mutant[] = [
  {
    name: "founds-with-whoever-is-there",
    breaks: "A cluster is founded before all whom an operator expected have met.",
    source: "consul's -bootstrap used on several servers: two clusters",
    properties: ["founded-once"],
    file: "src/node/nomination.ts",
    find: "if (waiting.length !== self.expect) return null;",
    replace: "if (waiting.length < 2) return null;",
    hunt: BY_DISCOVERY,
    knownSeed: 5,
  },
  {
    name: "nobody-refutes",
    breaks: "A member that is suspected says nothing, although it is there.",
    source: "SWIM 4.2",
    properties: ["gossip-agrees-after-healing"],
    file: "src/gossip/membership.ts",
    find: "if (!isOurWord) this.#refute(claim.incarnation);",
    replace: "",
    hunt: BY_DISCOVERY,
    knownSeed: 1,
  },
  {
    name: "news-without-end",
    breaks: "What was told often enough is told for ever, so that a member at rest never is.",
    source: "gossip queue never retires",
    properties: ["gossip-quiet-when-idle"],
    file: "src/gossip/broadcasts.ts",
    find: "sent === 0 || sent < limit);",
    replace: "sent >= 0 || sent < limit);",
    hunt: BY_DISCOVERY,
    knownSeed: 1,
  },
  {
    name: "accuser-raises-the-incarnation",
    breaks: "Whoever suspects a member counts its incarnation on.",
    source: "SWIM 4.2: only the owner does",
    properties: ["incarnation-owned"],
    file: "src/gossip/membership.ts",
    find: 'return { kind: "suspect", node, incarnation, from: this.#self.node };',
    replace:
      'return { kind: "suspect", node, incarnation: (incarnation + 1) as Incarnation, from: this.#self.node };',
    hunt: BY_DISCOVERY,
    knownSeed: 1,
  },
  {
    name: "silence-suspects-nobody",
    breaks: "A probe that nobody answers has no consequence.",
    properties: ["gossip-agrees-after-healing"],
    file: "src/gossip/prober.ts",
    find: "this.#membership.suspect(now, probe.target);",
    replace: "",
    hunt: BY_DISCOVERY,
    knownSeed: 5,
  },
  {
    name: "founders-never-told",
    breaks: "A node never hears who founds with it.",
    properties: ["recovers-after-healing"],
    file: "src/node/discovery.ts",
    find: 'if (founders !== null) news.push({ kind: "founders", members: founders });',
    replace: "",
    hunt: BY_DISCOVERY,
    knownSeed: 1,
  },
];

/** Tests notice: the plans of the simulator do not come there, or need not. */
const BY_TESTS: readonly Mutant[] = [
  {
    name: "each-founds-for-itself",
    breaks: "Every founder writes the first entry, not the one with the lowest name alone.",
    file: "src/node/founding.ts",
    find: "if (founderOf(founders) !== nameOf(self)) return null;",
    replace: "if (founders.length === 0) return null;",
    ...byTests("test/node/founding.test.ts"),
  },
  {
    name: "founds-unasked",
    breaks: "A founder does not wait until its contacts were heard.",
    file: "src/node/nomination.ts",
    find: 'if (self.stage !== "empty" || !hasAsked) return null;',
    replace: 'if (self.stage !== "empty") return null;',
    ...byTests("test/node/nomination.test.ts", "test/node/discovery.test.ts"),
  },
  {
    name: "founds-unawaited",
    breaks: "A founder takes in whoever does not wait for it.",
    file: "src/node/founding.ts",
    find: "if (!heard.every(({ awaits }) => awaits)) return null;",
    replace: "",
    ...byTests("test/node/founding.test.ts"),
  },
  {
    name: "admits-another-cluster",
    breaks: "A member of another cluster is a candidate for this one.",
    source: "consul #843: two clusters merge by an address that was used again",
    file: "src/node/nomination.ts",
    find: 'if (member.status !== "alive" || cluster !== clusterId) return null;',
    replace: 'if (member.status !== "alive") return null;',
    ...byTests("test/node/nomination.test.ts"),
  },
  {
    name: "undoes-a-removal",
    breaks: "A member that an operator removed is admitted again at once.",
    file: "src/node/nomination.ts",
    find: "if (view.dismissed.has(name)) return null;",
    replace: "",
    ...byTests("test/node/nomination.test.ts"),
  },
  {
    name: "two-changes-of-discovery",
    breaks: "A leader asks for the next change before the last has ended.",
    file: "src/node/discovery.ts",
    find: 'if (status.role !== "leader" || this.#change !== null) return null;',
    replace: 'if (status.role !== "leader") return null;',
    ...byTests("test/node/discovery.test.ts"),
  },
  {
    name: "never-looks-elsewhere",
    breaks: "Members that all moved are looked for at their old addresses only.",
    file: "src/node/discovery.ts",
    find: "if (known !== undefined && known !== address) hints.push({ id, address });",
    replace: "",
    ...byTests("test/node/discovery.test.ts"),
  },
  {
    name: "begins-anew-each-time",
    breaks: "A restarted member begins at the first incarnation, below what was said of it.",
    source: "memberlist #311",
    file: "src/service/membership.ts",
    find: "incarnation: ((ports.memory?.remembered?.incarnation ?? 0) + 1) as Incarnation,",
    replace: "incarnation: 1 as Incarnation,",
    ...byTests("test/service/gossip-memory.test.ts"),
  },
  {
    name: "amplifies",
    breaks: "A packet makes a member send ten times its bytes at once.",
    file: "src/gossip/reply-budget.ts",
    find: "this.#left = AMPLIFICATION_MAX * packetBytes;",
    replace: "this.#left = 10 * packetBytes;",
    ...byTests("test/gossip/spoofed.test.ts"),
  },
];

export const DISCOVERY_MUTANTS: readonly Mutant[] = [...IN_THE_SIMULATOR, ...BY_TESTS];
