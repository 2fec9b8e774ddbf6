// Bugs of consensus that random plans on the core alone must show: membership, transfers, trims and
// snapshots come there a hundred times as often as in the simulator. Owns the list; the plans and
// their judge are test/raft/plans.ts.

import type { Hunt, Mutant } from "./mutant.ts";

const SMALL: Hunt = { by: "core", setting: { voters: 3, joiners: 2 } };
const LARGE: Hunt = { by: "core", setting: { voters: 3, joiners: 4 } };

/** Who decides, what is installed, who reads. */
export const CORE_MUTANTS: readonly Mutant[] = [
  {
    name: "commits-by-the-new-half",
    breaks: "In a joint configuration only the new half's acknowledgements are counted.",
    properties: ["core-safety", "core-keeps-running"],
    file: "src/raft/quorum.ts",
    find: "if (outgoing.length === 0) return reached;",
    replace: "return reached;",
    hunt: LARGE,
    knownSeed: 1,
  },
  {
    name: "elected-by-the-new-half",
    breaks: "In a joint configuration only the new half's votes are counted.",
    properties: ["core-safety", "core-keeps-running"],
    file: "src/raft/quorum.ts",
    find: 'if (outgoing.length === 0 || outcome === "lost") return outcome;',
    replace: "return outcome;",
    hunt: LARGE,
    knownSeed: 2,
  },
  {
    name: "in-force-when-committed",
    breaks: "A membership is in force when it is committed, not when it is appended.",
    properties: ["core-recovers", "core-safety", "core-keeps-running"],
    file: "src/raft/configuration.ts",
    find: "this.#effective = this.#uncommitted.at(-1) ?? this.#committed;",
    replace: "this.#effective = this.#committed;",
    hunt: SMALL,
    knownSeed: 1,
  },
  {
    name: "change-before-own-commit",
    breaks: "A new leader changes the membership before it has committed in its own term.",
    properties: ["core-safety", "core-keeps-running"],
    file: "src/raft/leader.ts",
    find: 'else if (commitIndex < this.#firstIndex) refuse("not-ready");',
    replace: "",
    hunt: SMALL,
    knownSeed: 4,
  },
  {
    name: "two-changes-at-once",
    breaks: "A second change of membership begins while the first is not committed.",
    properties: ["core-safety", "core-keeps-running"],
    file: "src/raft/configuration.ts",
    find: "return this.#uncommitted.length > 0 || isJoint(this.effective);",
    replace: "return isJoint(this.effective);",
    hunt: SMALL,
    knownSeed: 1,
  },
  {
    name: "always-simple",
    breaks: "Every change is made in one step, however many voters differ.",
    properties: ["core-safety", "core-keeps-running"],
    file: "src/raft/membership-change.ts",
    find: "const membership = isSimple ? final : enterJoint(current, final);",
    replace: "const membership = final;",
    hunt: SMALL,
    knownSeed: 3,
  },
  {
    name: "removed-leader-counts-itself",
    breaks: "A leader that is no voter counts its own log.",
    properties: ["core-safety", "core-keeps-running"],
    file: "src/raft/peers.ts",
    find: "return reachedByQuorum(membership, (voter) => {",
    replace: `const { voters } = membership;
    const all = voters.includes(self) ? voters : [...voters, self];
    return reachedByQuorum({ ...membership, voters: all }, (voter) => {`,
    hunt: SMALL,
    knownSeed: 2,
  },
  {
    name: "learners-count",
    breaks: "A leader counts the acknowledgements of learners.",
    properties: ["core-safety", "core-keeps-running"],
    file: "src/raft/peers.ts",
    find: "return reachedByQuorum(membership, (voter) => {",
    replace: `const voters = [...membership.voters, ...membership.learners];
    return reachedByQuorum({ ...membership, voters }, (voter) => {`,
    hunt: SMALL,
    knownSeed: 1,
  },
  {
    name: "left-before-committed",
    breaks: "A joint configuration is left before it is committed.",
    properties: ["core-safety", "core-keeps-running"],
    file: "src/raft/leader.ts",
    find: "if (!configuration.isCommitted || commitIndex < this.#firstIndex) return;",
    replace: "if (commitIndex < this.#firstIndex) return;",
    hunt: SMALL,
    knownSeed: 3,
  },
  {
    name: "left-before-own-commit",
    breaks: "A new leader leaves a joint configuration before it has committed in its own term.",
    properties: ["core-safety", "core-keeps-running"],
    file: "src/raft/leader.ts",
    find: "if (!configuration.isCommitted || commitIndex < this.#firstIndex) return;",
    replace: "if (!configuration.isCommitted) return;",
    hunt: LARGE,
    knownSeed: 70,
  },
  {
    name: "never-rolled-back",
    breaks: "A membership stays in force when its entry is truncated.",
    properties: ["core-safety", "core-keeps-running"],
    file: "src/raft/configuration.ts",
    find: "if (this.#effective.index < from) return;",
    replace: "if (from > 0) return;",
    hunt: SMALL,
    knownSeed: 23,
  },
  {
    name: "restarts-with-the-old",
    breaks: "A restarted server does not look for memberships behind its checkpoint.",
    properties: ["core-recovers"],
    file: "src/raft/server.ts",
    find: "for (const head of restored.tail) this.configuration.appended(head);",
    replace: "",
    hunt: SMALL,
    knownSeed: 1,
  },
  {
    name: "installs-without-members",
    breaks: "A snapshot's membership does not replace the one in force.",
    properties: ["core-safety", "core-keeps-running"],
    file: "src/raft/server.ts",
    find: "this.configuration.installed(at.index, membership);",
    replace: "",
    hunt: SMALL,
    knownSeed: 203,
  },
  {
    name: "installs-over-the-same",
    breaks: "A snapshot replaces a log that agrees with it and goes on after it.",
    properties: ["core-safety", "core-keeps-running"],
    file: "src/raft/follower.ts",
    find: "} else if (here === at.term) {",
    replace: "} else if (here === null && at.index < 0) {",
    hunt: SMALL,
    knownSeed: 436,
  },
  {
    name: "keeps-the-conflicting",
    breaks: "What follows a snapshot's place is kept although the log has another entry there.",
    properties: ["core-safety", "core-keeps-running"],
    file: "src/raft/follower.ts",
    find: "} else if (here === at.term) {",
    replace: "} else if (here !== null) {",
    hunt: LARGE,
    knownSeed: 82,
  },
  {
    name: "confirmed-by-the-overtaken",
    breaks: "Writes that a snapshot has overtaken still confirm their indexes.",
    properties: ["core-safety", "core-keeps-running"],
    file: "src/raft/journal.ts",
    find: "this.#lowerDurable(commitIndex);",
    replace: "",
    hunt: LARGE,
    knownSeed: 82,
  },
  {
    name: "any-read-reply",
    breaks: "A reader takes the answer to an earlier request for its own.",
    properties: ["core-safety", "core-keeps-running"],
    file: "src/raft/read-queue.ts",
    find: "if (term !== this.#term || sequence !== this.#sequence || readIndex === null) return [];",
    replace: "if (readIndex === null) return [];",
    hunt: SMALL,
    knownSeed: 49,
  },
  {
    name: "commits-others-terms",
    breaks: "A leader commits entries of earlier terms by counting copies (paper, Figure 8).",
    properties: ["core-safety", "core-keeps-running"],
    file: "src/raft/leader.ts",
    find: "if (tail.termAt(held) !== this.#term || !this.#server.maybeCommit(held)) return;",
    replace: "if (!this.#server.maybeCommit(held)) return;",
    hunt: SMALL,
    knownSeed: 1,
  },
  {
    name: "removed-never-stands",
    breaks: "A server that an uncommitted entry removes does not stand any more (thesis 4.2.2).",
    properties: ["core-recovers", "core-safety", "core-keeps-running"],
    file: "src/raft/configuration.ts",
    find: "this.#mayStand = votesIn(this.#committed) || this.#uncommitted.some(votesIn);",
    replace: "this.#mayStand = votesIn(this.#effective);",
    hunt: SMALL,
    knownSeed: 25,
  },
  {
    name: "asks-what-is-trimmed",
    breaks: "A lost pipeline whose end is trimmed away is asked for ever.",
    properties: ["core-recovers"],
    file: "src/raft/progress.ts",
    find: 'if (!this.needsSnapshot(startIndex)) return "pipeline";',
    replace: 'if (this.#nextIndex > 0) return "pipeline";',
    hunt: LARGE,
    knownSeed: 4,
  },
  {
    name: "own-vote-before-fsync",
    breaks: "A candidate counts its own vote before it is durable.",
    source: "E04: etcd-io/raft e9e525d",
    properties: ["core-keeps-running", "core-safety"],
    hunt: SMALL,
    file: "src/raft/candidate.ts",
    find: "if (this.#server.journal.isHardStateDurable) this.#round.tally.granted(this.#server.self);",
    replace: "this.#round.tally.granted(this.#server.self);",
    knownSeed: 1,
  },
  {
    name: "snapshot-acknowledged-early",
    breaks: "A snapshot is acknowledged before it is durable.",
    source: "S-class: redisraft#43",
    properties: ["core-safety"],
    hunt: LARGE,
    file: "src/raft/follower.ts",
    find: `      server.install(snapshot);
      this.#verify(at.index);
    }
    if (this.#verifiedIndex <= server.journal.durableIndex) this.#ackIsDue = true;`,
    replace: `      server.install(snapshot);
      this.#verify(at.index);
      const round = this.#round;
      const message = { kind: "append-reply", term: server.term, round, matchIndex: at.index, conflict: null } as const;
      server.outbox.send({ kind: "message", to: from, message });
    }
    if (this.#verifiedIndex <= server.journal.durableIndex) this.#ackIsDue = true;`,
    knownSeed: 1,
  },
  {
    name: "transfer-never-over",
    breaks: "A transfer that came to nothing is never given up.",
    source: "V11: hashicorp/raft#493",
    properties: ["core-recovers"],
    hunt: SMALL,
    file: "src/raft/transfer.ts",
    find: "if (now < transfer.until) return false;",
    replace: "if (now > 0) return false;",
    knownSeed: 1,
  },
  {
    name: "probes-what-is-trimmed",
    breaks: "A peer that needs what is trimmed is probed for ever, and never sent a snapshot.",
    source: "R32: databendlabs/openraft#1828",
    properties: ["core-recovers", "core-safety"],
    hunt: LARGE,
    file: "src/raft/replication.ts",
    find: "if (peer.needsSnapshot(tail.startIndex)) {",
    replace: "if (peer.nextIndex < 0) {",
    knownSeed: 1,
  },
  {
    name: "snapshot-never-over",
    breaks: "A snapshot that the host gave up on is waited for for ever.",
    source: "S11: NuRaft#121",
    properties: ["core-recovers"],
    hunt: LARGE,
    file: "src/raft/progress.ts",
    find: `    if (this.#mode !== "snapshot") return;
    this.#becomeProbe();
    this.#probeIsOut = true;`,
    replace: `    if (this.#mode !== "probe") return;
    this.#becomeProbe();
    this.#probeIsOut = true;`,
    knownSeed: 1,
  },
  {
    name: "leader-adopts-a-later-term",
    breaks: "A leader that is answered from a later term adopts it and leads on in it.",
    source: "E15: hashicorp/raft#695",
    properties: ["core-safety"],
    hunt: SMALL,
    file: "src/raft/raft.ts",
    find: '      this.#becomeFollower(message.term, message.kind === "append-request" ? from : null);',
    replace: `      if (this.#role.kind === "leader" && message.kind === "append-reply") {
        this.#server.enterTerm(message.term, null);
      } else this.#becomeFollower(message.term, message.kind === "append-request" ? from : null);`,
    knownSeed: 2,
  },
  {
    name: "catch-up-acknowledged",
    breaks:
      "Appends of a former leader that match are confirmed to it, so that it commits with them.",
    source: "R02: nats-io/nats-server#6944",
    properties: ["core-safety"],
    hunt: SMALL,
    file: "src/raft/raft.ts",
    find: "    if (request.term < this.term) return this.#refuseFormerLeader(from);",
    replace: `    if (request.term < this.term) {
      const last = (request.prevIndex + request.entries.length) as LogIndex;
      const here = this.termAt(last);
      if (here === null || here !== (request.entries.at(-1)?.term ?? request.prevTerm))
        return this.#refuseFormerLeader(from);
      const matchIndex = Math.min(last, this.#server.journal.durableIndex) as LogIndex;
      const { term, round } = request;
      const message = { kind: "append-reply", term, round, matchIndex, conflict: null } as const;
      this.#server.outbox.send({ kind: "message", to: from, message });
      return null;
    }`,
    knownSeed: 250,
  },
  {
    name: "prev-term-unchecked",
    breaks: "Only the index of the entry before an append is compared, not its term.",
    source: "R08: paper, 5.3",
    properties: ["core-recovers"],
    hunt: SMALL,
    file: "src/raft/follower.ts",
    find: "return term === prevTerm;",
    replace: "return term >= 0 || prevTerm >= 0;",
    knownSeed: 262,
  },
  {
    name: "held-until-the-write-before",
    breaks: "What waits for a write leaves when the write before that is durable.",
    source: "E03: etcd-io/etcd#10166",
    properties: ["core-safety"],
    hunt: SMALL,
    file: "src/raft/outbox.ts",
    find: "const due = this.#held.filter(({ after }) => after <= confirmed);",
    replace: "const due = this.#held.filter(({ after }) => after <= confirmed + 1);",
    knownSeed: 1,
  },
  {
    name: "read-of-the-round-before",
    breaks: "A read is confirmed by answers to the round that began before it came.",
    source: "L05: etcd-io/etcd#20418",
    properties: ["core-safety"],
    hunt: SMALL,
    file: "src/raft/reads.ts",
    find: "this.#batches.push({ round, readIndex, askers: this.#fresh });",
    replace: "this.#batches.push({ round: round - 1, readIndex, askers: this.#fresh });",
    knownSeed: 350,
  },
  {
    name: "verdict-lost",
    breaks: "Of several appends that are committed at once the next one is never answered.",
    properties: ["core-recovers"],
    hunt: SMALL,
    file: "src/raft/leader.ts",
    find: "this.#pending.splice(0, answered);",
    replace: "this.#pending.splice(0, answered + 1);",
    knownSeed: 1,
  },
  {
    name: "later-term-in-refusal-ignored",
    breaks: "A pre-candidate that is refused from a later term does not enter it.",
    source: "E24: databendlabs/openraft#1796",
    properties: ["core-recovers"],
    hunt: SMALL,
    file: "src/raft/raft.ts",
    find: "return !(message.preVote && message.granted);",
    replace: "return !message.preVote;",
    knownSeed: 216,
  },
  {
    name: "proposals-during-transfer",
    breaks:
      "A leader that hands over goes on taking proposals, so that its successor never catches up.",
    source: "V12: hashicorp/raft#581",
    properties: [],
    hunt: { by: "tests", files: ["test/raft/transfer.test.ts"] },
    file: "src/raft/leader.ts",
    find: `    } else if (transfers.current !== null) {
      this.#refuse(proposalId, "transferring");
    } else {
      this.#answer`,
    replace: `    } else {
      this.#answer`,
  },
  {
    name: "learner-promoted-at-once",
    breaks: "A learner is made a voter however much it lacks.",
    source: "M12: thesis 4.2.1",
    properties: [],
    hunt: { by: "tests", files: ["test/raft/membership.test.ts"] },
    file: "src/raft/peers.ts",
    find: "if (peer === undefined || this.#isCaughtUp(now, peer)) continue;",
    replace: "if (peer === undefined || now >= 0) continue;",
  },
  {
    name: "commit-beyond-verified",
    breaks: "A follower commits up to its own last index, verified or not.",
    source: "R03: etcd-io/raft#138",
    properties: [],
    hunt: { by: "tests", files: ["test/raft/paper.test.ts"] },
    file: "src/raft/follower.ts",
    find: "server.maybeCommit(Math.min(commitIndex, verified) as LogIndex);",
    replace: "server.maybeCommit(Math.min(commitIndex, server.tail.lastIndex) as LogIndex);",
  },
];
