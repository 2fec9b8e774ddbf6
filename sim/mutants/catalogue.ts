// Every mutant by name. Each is a known or textbook bug of consensus or of storage (Raft paper and
// thesis, bug reports of real systems); `npm test` kills all of them, and checks that each still
// applies.

import type { Mutant } from "./mutant.ts";

/** Consensus: what src/raft must not do. */
export const RAFT_MUTANTS: readonly Mutant[] = [
  {
    name: "ack-before-fsync",
    breaks: "A follower confirms entries before its disk has synced them.",
    properties: ["promise-append"],
    file: "src/raft/follower.ts",
    find: "return Math.min(this.#verifiedIndex, this.#server.journal.durableIndex) as LogIndex;",
    replace: "return this.#verifiedIndex;",
    knownSeed: 1,
  },
  {
    name: "leader-counts-unsynced-self",
    breaks: "A leader counts its own copy of an entry before its disk has synced it.",
    properties: ["commit-durable-quorum"],
    file: "src/raft/leader.ts",
    find: "this.#peers.reachedByQuorum(journal.durableIndex, ",
    replace: "this.#peers.reachedByQuorum(tail.lastIndex, ",
    knownSeed: 1,
  },
  {
    name: "votes-not-persisted",
    breaks: "The term reaches the disk, the vote given in it does not.",
    properties: ["promise-vote", "promise-candidacy"],
    file: "src/raft/journal.ts",
    find: "const hardState = this.#hardStateIsTaken ? null : this.#hardState;",
    replace:
      "const hardState = this.#hardStateIsTaken ? null : { ...this.#hardState, votedFor: null };",
    knownSeed: 1,
  },
  {
    name: "vote-before-fsync",
    breaks: "A vote leaves before the disk has synced it.",
    properties: ["promise-vote"],
    file: "src/raft/raft.ts",
    find: 'this.#server.sendWhenDurable(from, { kind: "vote-reply", term, granted, preVote });',
    replace:
      'this.#server.outbox.send({ kind: "message", to: from, message: { kind: "vote-reply", term, granted, preVote } });',
    knownSeed: 1,
  },
  {
    name: "vote-for-anyone",
    breaks: "A voter does not ask whether the candidate's log is as up to date as its own.",
    properties: ["vote-restriction"],
    file: "src/raft/raft.ts",
    find: "return lastIndex >= tail.lastIndex;",
    replace: "return true;",
    knownSeed: 2,
  },
  {
    name: "stale-vote-reply-counted",
    breaks: "A candidate counts votes that were given to it in earlier terms.",
    properties: ["elected-by-quorum"],
    file: "src/raft/candidate.ts",
    find: "if (granted && term === this.#askedTerm) {",
    replace: "if (granted) {",
    knownSeed: 14,
  },
  {
    name: "quorum-half",
    breaks: "A quorum is n/2 nodes, rounded down, rather than more than half.",
    properties: ["elected-by-quorum", "election-safety", "commit-durable-quorum"],
    file: "src/raft/quorum.ts",
    find: "return Math.floor(voters / 2) + 1;",
    replace: "return Math.floor(voters / 2);",
    knownSeed: 1,
  },
  {
    name: "old-term-commit",
    breaks: "A leader commits entries of earlier terms by counting copies (paper, Figure 8).",
    properties: ["commit-own-term"],
    file: "src/raft/leader.ts",
    find: "if (tail.termAt(held) !== this.#term || !this.#server.maybeCommit(held)) return;",
    replace: "if (!this.#server.maybeCommit(held)) return;",
    knownSeed: 2,
  },
  {
    name: "truncate-matching-entries",
    breaks: "A late append makes a follower drop the entries behind it, although they match.",
    properties: ["commit-durable-quorum", "promise-append", "keeps-running"],
    file: "src/raft/follower.ts",
    find: "this.#verify(verified);",
    replace: `if (entries.length > 0 && verified < server.tail.lastIndex) {
      server.truncate((verified + 1) as LogIndex);
    }
    this.#verify(verified);`,
    knownSeed: 1,
  },
  {
    name: "commit-one-short",
    breaks: "An entry is taken for committed when one copy less than a quorum is durable.",
    properties: ["commit-durable-quorum"],
    file: "src/raft/quorum.ts",
    find: "return descending[majorityOf(values.length) - 1] as number;",
    replace: "return descending[majorityOf(values.length) - 2] as number;",
    knownSeed: 1,
  },
  {
    name: "restart-commits-its-log",
    breaks: "A restarted node takes its whole log for committed.",
    properties: ["committed-immutable", "state-machine-safety"],
    file: "src/raft/server.ts",
    find: "this.#commitIndex = restored.base.index;",
    replace: "this.#commitIndex = this.tail.lastIndex;",
    knownSeed: 2,
  },
  {
    name: "old-confirmation-counted",
    breaks: "A leader counts confirmations that were given to it in an earlier term.",
    properties: ["commit-durable-quorum", "peers-make-sense"],
    file: "src/raft/raft.ts",
    find: 'if (this.#role.kind !== "leader" || reply.term !== this.term) return null;',
    replace: 'if (this.#role.kind !== "leader") return null;',
    knownSeed: 31,
  },
  {
    name: "ack-own-last-index",
    breaks: "A follower confirms its whole log, not only what the append has verified.",
    properties: ["promise-append"],
    file: "src/raft/follower.ts",
    find: "const verified = (prevIndex + entries.length) as LogIndex;",
    replace: "const verified = server.tail.lastIndex;",
    knownSeed: 2,
  },
  {
    name: "overtaken-write-confirms",
    breaks: "A write that a truncation has overtaken still confirms its indexes (the ABA race).",
    properties: ["promise-append", "commit-durable-quorum"],
    file: "src/raft/journal.ts",
    find: "for (const write of this.#pending) if (write.lastIndex > lastKept) write.lastIndex = lastKept;",
    replace: "",
    knownSeed: 4,
  },
  {
    name: "read-before-quorum-round",
    breaks: "A linearizable read is answered before a quorum has confirmed the leader.",
    properties: ["stale-read"],
    file: "src/raft/reads.ts",
    find: "if (round > confirmedRound || readIndex > commitIndex) break;",
    replace: "if (readIndex > commitIndex) break;",
    knownSeed: 36,
  },
  {
    name: "read-before-own-commit",
    breaks: "A new leader answers linearizable reads before it has committed in its own term.",
    properties: ["stale-read"],
    file: "src/raft/leader.ts",
    find: "const readIndex = Math.max(commitIndex, this.#firstIndex) as LogIndex;",
    replace: "const readIndex = commitIndex;",
    knownSeed: 3,
  },
  {
    name: "unknown-told-as-refused",
    breaks:
      "A deposed leader tells its clients that their appends failed, although they may commit.",
    properties: ["aborted-append"],
    file: "src/raft/leader.ts",
    find: 'outbox.verdict({ kind: "unknown", proposalId });',
    replace:
      'outbox.verdict({ kind: "refused", proposalId, why: "not-leader", leader: successor });',
    knownSeed: 2,
  },
  {
    name: "time-goes-back-with-the-wall",
    breaks: "A leader stamps entries with its wall clock as it is, without regard to its log.",
    properties: ["log-time-monotonic", "keeps-running"],
    file: "src/raft/leader.ts",
    find: "timestamp: Math.max(tail.timestamp, draft.timestamp) as WallMs,",
    replace: "timestamp: draft.timestamp,",
    knownSeed: 1,
  },
  {
    name: "former-leader-heard",
    breaks: "Appends of an earlier term are heard like those of the present one.",
    properties: ["peers-make-sense", "promise-append", "keeps-running", "commit-durable-quorum"],
    file: "src/raft/raft.ts",
    find: "if (request.term < this.term) return this.#refuseFormerLeader(from);",
    replace: "",
    knownSeed: 3,
  },
  {
    name: "candidate-waits-for-ever",
    breaks: "A candidate whose questions were lost waits for answers for ever.",
    properties: ["recovers-after-healing"],
    file: "src/raft/candidate.ts",
    find: "this.deadline = after(now, server.drawElectionTimeout());",
    replace: "this.deadline = after(now, (2 ** 50) as typeof server.options.electionTimeoutMin);",
    knownSeed: 1,
  },
  {
    name: "lost-append-not-asked-for",
    breaks: "A leader whose append was lost waits for its answer and never asks.",
    properties: ["recovers-after-healing"],
    file: "src/raft/leader.ts",
    find: 'if (peer.takeStuck(now, options.heartbeatInterval) === "pipeline")',
    replace: "if (this.#round < 0)",
    knownSeed: 1,
  },
  {
    name: "former-leaders-round-echoed",
    breaks: "The refusal of a former leader echoes its round, which its next leadership may count.",
    properties: ["stale-read", "commit-durable-quorum", "peers-make-sense"],
    file: "src/raft/raft.ts",
    find: "if (request.term < this.term) return this.#refuseFormerLeader(from);",
    replace: `if (request.term < this.term) {
      const { term, server } = { term: this.term, server: this.#server };
      const [round, matchIndex] = [request.round, NO_INDEX];
      server.sendWhenDurable(from, { kind: "append-reply", term, round, matchIndex, conflict: null });
      return null;
    }`,
    knownSeed: 31,
  },
];

/** Storage, state and answers: what src/log, src/state and src/node must not do. */
export const STORAGE_MUTANTS: readonly Mutant[] = [
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
    find: `{ kind: "write-at", file: segment.store, position: cut, parts: stale },
      { kind: "sync", file: segment.store },`,
    replace: '{ kind: "write-at", file: segment.store, position: cut, parts: stale },',
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
    name: "duplicate-sequence-accepted",
    breaks: "A repeated sequence of a producer is appended once more.",
    properties: ["duplicate"],
    file: "src/state/producers.ts",
    find: "return judgeRepeated(known, append);",
    replace: 'return { kind: "new" };',
    knownSeed: 1,
  },
  {
    name: "truncation-keeps-producers",
    breaks: "A truncated entry stays in the table of producers, so that its retry is no new one.",
    properties: ["keeps-running", "promise-answer", "lost-write"],
    file: "src/state/state.ts",
    find: "if (dropped.undo !== null) this.#producers.undo(dropped.undo);",
    replace: "",
    knownSeed: 2,
  },
  {
    name: "duplicate-acknowledged-early",
    breaks: "A repeated append is acknowledged although the original is not committed yet.",
    properties: ["promise-answer"],
    file: "src/node/appends.ts",
    find: "if (index <= commitIndex) {",
    replace: "if (index >= commitIndex) {",
    knownSeed: 2,
  },
  {
    name: "uncommitted-read",
    breaks: "Readers are given entries that are not committed.",
    properties: ["precommitted-read"],
    file: "src/node/node.ts",
    find: "const { index: commitIndex, endOffset } = this.#state.committed;",
    replace: "const { index: commitIndex, endOffset } = this.#state.end;",
    knownSeed: 1,
  },
  {
    name: "head-checksum-ignored",
    breaks: "A message whose head does not match its checksum is heard all the same.",
    properties: ["peers-make-sense", "keeps-running", "commit-durable-quorum", "stale-read"],
    file: "src/node/wire.ts",
    find: 'if (view.getUint32(4) !== headCrc(frame, headLength)) return malformed("head checksum");',
    replace: "",
    knownSeed: 36,
  },
  {
    name: "alarm-beats-the-mail",
    breaks: "After a pause a node lets time pass before it hears what its peers said meanwhile.",
    properties: ["mail-before-time"],
    file: "src/node/create-node.ts",
    find: "for (const event of events) this.#node.step(now, event);",
    replace: `if (this.#node.deadline <= now) this.#node.step(now, { kind: "deadline" });
    for (const event of events) this.#node.step(now, event);`,
    knownSeed: 3,
  },
  {
    name: "failed-sync-believed",
    breaks: "A sync that fails is taken for one that succeeded.",
    properties: ["promise-append", "commit-durable-quorum", "poison-silent", "promise-vote"],
    file: "src/log/flow.ts",
    find: '    if (result?.kind === "failed")\n      throw',
    replace: '    if (result?.kind === "failed" && operations[n]?.kind !== "sync")\n      throw',
    knownSeed: 4,
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
    knownSeed: 4,
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
  {
    name: "poisoned-but-talking",
    breaks: "A node whose disk failed goes on leading and voting as far as it needs no disk.",
    properties: ["poison-silent"],
    file: "src/node/node.ts",
    find: '"disk-poisoned", { fault: JSON.stringify(fault) });\n    this.#quit(fault);',
    replace: '"disk-poisoned", { fault: JSON.stringify(fault) });\n    this.#phase = "serving";',
    knownSeed: 4,
  },
];

/** Connections between peers: what src/node must not do when one of them goes wrong. */
export const LINK_MUTANTS: readonly Mutant[] = [
  {
    name: "hello-waited-for-for-ever",
    breaks: "A connection on which nobody says hello is waited for, and never made anew.",
    properties: ["recovers-after-healing"],
    file: "src/node/links.ts",
    find: "outgoing.due = after(now, GREETING_TIME);\n    const parts",
    replace: "outgoing.due = Number.MAX_SAFE_INTEGER as Instant;\n    const parts",
    knownSeed: 65,
  },
  {
    name: "dial-waited-for-for-ever",
    breaks: "A dial that is neither answered nor refused is waited for, and never tried again.",
    properties: ["recovers-after-healing"],
    file: "src/node/links.ts",
    find: "outgoing.due = after(now, GREETING_TIME);\n    this.#byLink",
    replace: "outgoing.due = Number.MAX_SAFE_INTEGER as Instant;\n    this.#byLink",
    knownSeed: 1,
  },
  {
    name: "lost-link-not-redialed",
    breaks: "A connection that was lost is taken for up, and all that is sent on it is lost.",
    properties: ["recovers-after-healing"],
    file: "src/node/links.ts",
    find: 'if (wasUp) this.#tell("info", "peer-link-lost", outgoing, { why });',
    replace: "if (wasUp) return outgoing.peer;",
    knownSeed: 1,
  },
];

export const MUTANTS: readonly Mutant[] = [...RAFT_MUTANTS, ...STORAGE_MUTANTS, ...LINK_MUTANTS];

/** One of each kind, all found within a few seeds: what every `npm test` hunts. */
const EVERY_DAY = [
  "ack-before-fsync",
  "leader-counts-unsynced-self",
  "votes-not-persisted",
  "quorum-half",
  "old-term-commit",
  "truncate-matching-entries",
  "ack-own-last-index",
  "restart-commits-its-log",
  "time-goes-back-with-the-wall",
  "directory-not-synced",
  "truncation-not-synced",
  "duplicate-sequence-accepted",
  "uncommitted-read",
  "poisoned-but-talking",
] as const;

/** The mutants of every day; the others are hunted by `npm run test:deep`. */
export const EVERYDAY_MUTANTS: readonly Mutant[] = EVERY_DAY.map((name) => {
  const mutant = MUTANTS.find((each) => each.name === name);
  if (mutant === undefined) throw new Error(`no mutant ${name} in the catalogue`);
  return mutant;
});
