// Bugs of membership by gossip: what src/gossip, and discovery on it, must not do. The simulated
// cluster does not gossip, so test files must notice them. Owns the list.

import type { Mutant } from "./mutant.ts";

/** SWIM, Serf and discovery. */
export const GOSSIP_MUTANTS: readonly Mutant[] = [
  {
    name: "refutes-without-raising",
    breaks: "A member that is thought gone says again that it is there, in the same incarnation.",
    source: "SWIM 4.2: no incarnation bump on refute",
    properties: [],
    hunt: {
      by: "tests",
      files: [
        "test/gossip/fleet.test.ts",
        "test/gossip/swarm.test.ts",
        "test/gossip/transcripts.test.ts",
      ],
    },
    file: "src/gossip/membership.ts",
    find: "this.#self.raiseAbove(heard);",
    replace: "",
  },
  {
    name: "never-refutes",
    breaks: "A member that hears that it is dead does not object.",
    source: "SWIM 4.2",
    properties: [],
    hunt: { by: "tests", files: ["test/gossip/gossip.test.ts"] },
    file: "src/gossip/membership.ts",
    find: "if (!isOurWord) this.#refute(claim.incarnation);",
    replace: "",
  },
  {
    name: "older-death-stands",
    breaks: "A death of an earlier incarnation beats life in a later one.",
    source: "older dead beats newer alive",
    properties: [],
    hunt: { by: "tests", files: ["test/gossip/claims.test.ts"] },
    file: "src/gossip/claims.ts",
    find: "return a.incarnation - b.incarnation || GRAVITY[a.state] - GRAVITY[b.state];",
    replace: "return GRAVITY[a.state] - GRAVITY[b.state] || a.incarnation - b.incarnation;",
  },
  {
    name: "life-beats-suspicion",
    breaks: "In the same incarnation whoever says alive is believed rather than who suspects.",
    source: "SWIM 4.2",
    properties: [],
    hunt: { by: "tests", files: ["test/gossip/claims.test.ts"] },
    file: "src/gossip/claims.ts",
    find: "{ alive: 0, suspect: 1, dead: 2, left: 3 };",
    replace: "{ alive: 3, suspect: 0, dead: 1, left: 2 };",
  },
  {
    name: "hearsay-death-believed",
    breaks: "A death that a push/pull tells of is believed at once, rather than suspected.",
    source: "memberlist mergeState",
    properties: [],
    hunt: {
      by: "tests",
      files: [
        "test/gossip/claims.test.ts",
        "test/gossip/exchanges.test.ts",
        "test/gossip/transcripts.test.ts",
      ],
    },
    file: "src/gossip/claims.ts",
    find: `    case "dead":
    case "suspect":
      return { kind: "suspect", node, incarnation, from: self };`,
    replace: `    case "dead":
      return { kind: "dead", node, incarnation, from: self };
    case "suspect":
      return { kind: "suspect", node, incarnation, from: self };`,
  },
  {
    name: "any-incarnation-believed",
    breaks:
      "A claim in an incarnation that no member can have reached is believed, and silences its owner.",
    source: "bounded incarnation jumps",
    properties: [],
    hunt: {
      by: "tests",
      files: [
        "test/gossip/spoofed.test.ts",
        "test/gossip/bad-input.test.ts",
        "test/gossip/claims.test.ts",
      ],
    },
    file: "src/gossip/claims.ts",
    find: "return incarnation <= known + INCARNATION_JUMP_MAX;",
    replace: "return incarnation >= 0;",
  },
  {
    name: "any-ack-counts",
    breaks: "An answer to an earlier probe counts for the one that runs.",
    source: "ack matched by member, not by sequence",
    properties: [],
    hunt: {
      by: "tests",
      files: [
        "test/gossip/gossip.test.ts",
        "test/gossip/fleet.test.ts",
        "test/gossip/transcripts.test.ts",
        "test/gossip/parts.test.ts",
      ],
    },
    file: "src/gossip/prober.ts",
    find: `    if (probe === null || probe.sequence !== sequence) return null;
    this.#probe = null;`,
    replace: `    if (probe === null) return null;
    this.#probe = null;`,
  },
  {
    name: "asks-through-the-suspect",
    breaks: "Whoever does not answer is among those that are asked to try it.",
    source: "indirect probe through the suspect itself",
    properties: [],
    hunt: {
      by: "tests",
      files: [
        "test/gossip/gossip.test.ts",
        "test/gossip/fleet.test.ts",
        "test/gossip/transcripts.test.ts",
        "test/gossip/parts.test.ts",
      ],
    },
    file: "src/gossip/prober.ts",
    find: 'member.state === "alive" && member !== target;',
    replace: 'member.state === "alive";',
  },
  {
    name: "no-indirect-probe",
    breaks: "Whoever does not answer at once is suspected without asking others.",
    source: "SWIM 4.1",
    properties: [],
    hunt: {
      by: "tests",
      files: [
        "test/gossip/gossip.test.ts",
        "test/gossip/transcripts.test.ts",
        "test/gossip/fleet.test.ts",
      ],
    },
    file: "src/gossip/prober.ts",
    find: "for (const peer of this.#roster.pick(this.#profile.indirectChecks, isWanted)) {",
    replace: "for (const peer of this.#roster.pick(0, isWanted)) {",
  },
  {
    name: "rumors-never-retire",
    breaks: "A rumor is told for ever.",
    source: "gossip queue never retires",
    properties: [],
    hunt: {
      by: "tests",
      files: [
        "test/gossip/parts.test.ts",
        "test/gossip/gossip.test.ts",
        "test/gossip/fleet.test.ts",
      ],
    },
    file: "src/gossip/broadcasts.ts",
    find: "sent === 0 || sent < limit);",
    replace: "sent >= 0 || sent < limit);",
  },
  {
    name: "one-accuser-counts-twice",
    breaks: "One accuser who says it again confirms the suspicion.",
    source: "Lifeguard IV-B",
    properties: [],
    hunt: { by: "tests", files: ["test/gossip/parts.test.ts", "test/gossip/formulas.test.ts"] },
    file: "src/gossip/suspicion.ts",
    find: `if (this.confirmations >= this.#terms.wanted || this.#accusers.has(accuser)) return false;
    this.#accusers.add(accuser);`,
    replace: `if (this.confirmations >= this.#terms.wanted) return false;
    this.#accusers.add(\`\${accuser} \${this.#accusers.size}\`);`,
  },
  {
    name: "suspicions-never-end",
    breaks: "A suspicion that nobody refutes stays a suspicion.",
    source: "SWIM 4.2",
    properties: [],
    hunt: { by: "tests", files: ["test/gossip/gossip.test.ts"] },
    file: "src/gossip/membership.ts",
    find: "if (member.suspicion === null || now < member.suspicion.deadline) continue;",
    replace: "if (member.suspicion === null || now >= 0) continue;",
  },
  {
    name: "failed-never-tried-again",
    breaks: "Members that failed are never tried again, so that a partition does not heal.",
    source: "Serf's reconnect",
    properties: [],
    hunt: {
      by: "tests",
      files: [
        "test/gossip/fleet.test.ts",
        "test/gossip/swarm.test.ts",
        "test/gossip/convergence.test.ts",
      ],
    },
    file: "src/gossip/anti-entropy.ts",
    find: "this.#exchanges.rejoin(now, this.#chance.pick(failed));",
    replace: "",
  },
  {
    name: "clock-not-witnessed",
    breaks: "The Lamport clock does not move past times that others have used.",
    source: "Serf's Lamport clocks",
    properties: [],
    hunt: { by: "tests", files: ["test/gossip/parts.test.ts", "test/gossip/serf-members.test.ts"] },
    file: "src/gossip/lamport.ts",
    find: "if (time >= this.#time) this.#time = time + 1;",
    replace: "",
  },
  {
    name: "older-intent-stands",
    breaks: "An older intent undoes a later one.",
    source: "Serf: a leave comes round again after a join",
    properties: [],
    hunt: { by: "tests", files: ["test/gossip/serf-members.test.ts", "test/gossip/fleet.test.ts"] },
    file: "src/gossip/serf-members.ts",
    find: "if (compareMarks(intent, member.mark) <= 0) return;",
    replace: "",
  },
  {
    name: "founds-although-a-cluster-is-there",
    breaks: "A node that hears of a cluster founds another one.",
    source: "split by bootstrap",
    properties: [],
    hunt: { by: "tests", files: ["test/node/nomination.test.ts"] },
    file: "src/node/nomination.ts",
    find: 'if (candidates.some(({ stage }) => stage === "member")) return null;',
    replace: "",
  },
  {
    name: "founds-with-some",
    breaks: "Founders do not wait until as many are there as were expected.",
    properties: [],
    hunt: { by: "tests", files: ["test/node/nomination.test.ts"] },
    file: "src/node/nomination.ts",
    find: "if (waiting.length !== self.expect) return null;",
    replace: "",
  },
  {
    name: "cleanup-of-the-last-voters",
    breaks: "Voters that are gone are removed until too few remain for one to fail.",
    properties: [],
    hunt: { by: "tests", files: ["test/node/nomination.test.ts"] },
    file: "src/node/nomination.ts",
    find: "if (upCount * 2 <= voters.length || voters.length <= VOTERS_KEPT) return null;",
    replace: "if (upCount * 2 <= voters.length) return null;",
  },
  {
    name: "majority-gives-its-name-up",
    breaks:
      "A member whose name somebody else claims gives it up although most know it as its own.",
    source: "Serf resolveNodeConflict",
    properties: [],
    hunt: { by: "tests", files: ["test/gossip/fleet.test.ts"] },
    file: "src/gossip/name-conflicts.ts",
    find: "if (vote.answers === 0 || vote.forUs >= majority) {",
    replace: "if (vote.answers === 0 || vote.forUs > vote.answers + majority) {",
  },
  {
    name: "measures-relayed-answers",
    breaks: "The way through others counts as the round trip to a member.",
    source: "Vivaldi; memberlist NotifyPingComplete",
    properties: [],
    hunt: { by: "tests", files: ["test/gossip/coordinates.test.ts"] },
    file: "src/gossip/prober.ts",
    find: "const isDirect = probe.indirectAt !== null;",
    replace: "const isDirect = true;",
  },
];
