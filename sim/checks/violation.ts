// The properties that runs are checked against: their names, and what each one says. A violation
// names one of them and two observed facts that cannot both be right. Owns the words; finds nothing
// itself.

import type { NodeId } from "../../src/base/ids.ts";

/** Each property in one sentence. Numbers in brackets are sections of the Raft paper. */
export const PROPERTIES = {
  // Watched after every event, with the eyes of somebody who sees all nodes and all disks.
  "election-safety": "A term has at most one leader [5.2].",
  "elected-by-quorum": "A leader holds the votes of a quorum, each on its voter's disk [5.2].",
  "one-vote-a-term": "A node votes at most once in a term, restarts included [5.2].",
  "vote-restriction": "A vote goes only to a log at least as up to date as the voter's [5.4.1].",
  "leader-append-only": "A leader never overwrites or drops an entry of its own log [5.3].",
  "log-matching": "One entry for each index and term, and one history before it [5.3].",
  "leader-completeness": "A new leader has everything that earlier terms committed [5.4].",
  "commit-own-term": "A leader commits by counting only entries of its own term [5.4.2].",
  "commit-durable-quorum": "A commit rests on a quorum of copies that a power loss would leave.",
  "committed-immutable": "What is committed is never overwritten, dropped or taken back.",
  "state-machine-safety": "All nodes hold the same entry at a committed index [5.4.3].",
  "commit-monotonic": "A running node's commitIndex never goes back.",
  "hard-state-monotonic": "Term and vote never go back, restarts included.",
  "truncation-final": "What a truncation has cut cannot come back once it is done.",
  "recovered-log": "A restarted node has every entry that was durable on its disk.",
  "loss-real": "A node gives up durable entries only where its disk has lost something.",
  "mender-silent": "Who has lost entries neither votes nor stands, and its answers say so.",
  "mended-whole": "Who says that nothing lacks has all that it had lost and that is committed.",
  "membership-in-force": "A node counts by the last membership of its log, committed or not [6].",
  "one-change": "One change of membership at a time, none before the leader's first commit [6].",
  "majorities-overlap": "Every two memberships in a row have overlapping majorities [6].",
  "leader-votes": "Only who votes in what is in force or committed becomes leader [6].",
  "removed-leader-leaves": "A leader that was removed steps down within an election timeout [6].",
  "transfer-ends": "A transfer of leadership completes or is given up within an election timeout.",
  "trim-agreed": "Nothing is removed from a disk but what a committed trim lets go of.",
  "trim-covered": "What leaves a disk is covered by a checkpoint that is durable there.",
  "checkpoint-committed": "A checkpoint is of a committed place of the log, as it is there.",
  "snapshot-forward": "A snapshot replaces no log that has its entry, and none that is later.",
  "state-agrees": "Nodes that have applied the same entries are in the same state.",
  "trimmed-read": "Nobody reads below the start of the log, and all from there on is read.",
  "log-time-monotonic": "The times in the committed log never go back, whatever clocks do.",
  "mail-before-time": "A node hears its peers' mail before it lets time pass.",
  "leader-loyalty": "Who has just heard a leader gives nobody a vote against it [6].",
  "leader-has-quorum": "A leader that no quorum answers any more soon gives up.",
  "term-adopted": "Whoever hears of a later term enters it [5.1].",
  "peers-make-sense": "No node gets a message that no correct peer sends.",
  "promise-vote": "A vote leaves a node only after it is durable there.",
  "promise-candidacy": "A node asks for votes only after its own vote is durable.",
  "promise-append": "An append is confirmed only after the confirmed entries are durable.",
  "poison-silent": "A node whose disk refused a change says nothing more to peers or appenders.",
  "promise-answer": "A client is told only what is committed on a quorum of disks.",
  // Judged at the end, by what clients asked and were told. Jepsen's names for Kafka, where they
  // fit.
  "lost-write": "An acknowledged append is in the log, at the offset that was acknowledged.",
  "inconsistent-offsets": "An offset holds one record, whoever reads it and whenever.",
  duplicate: "An append is in the log at most once.",
  "aborted-append": "An append that was definitely refused is not in the log.",
  phantom: "Every record in the log was appended by somebody.",
  "torn-batch": "The records of one append stand together in the log, in their order.",
  "aborted-read": "Nobody reads a record that is not in the log.",
  "precommitted-read": "Nobody reads a record before it is committed.",
  "poll-skip": "A reader sees every offset from where it began: no gap.",
  "nonmonotonic-poll": "A reader never sees an offset again, and a node's end never goes back.",
  "nonmonotonic-send": "A producer's appends are in the log in the order of their sequences.",
  "sequence-gap": "Before a producer's sequence the log has all that come before it.",
  "stale-read": "A linearizable read sees all that was acknowledged before it began.",
  "read-by-time": "A read by time begins with the first batch at or after it, and misses none.",
  "read-last": "A read of the last n records begins where so many are left, and not later.",
  "backup-whole":
    "A backup is the committed log up to a place behind all that was acknowledged before.",
  "cursor-lost": "An acknowledged commit of a cursor is in the log, where it was acknowledged.",
  "cursor-moved": "A cursor moves only as somebody asked, and from where its guard expected it.",
  "cursor-read": "A cursor is read as the log has it: as fresh as asked for, and only committed.",
  "fence-holds": "While the log is fenced with a token, no append that names another is in it.",
  "epoch-monotonic": "In the log a producer's epoch never goes back.",
  linearizability: "What ended before another operation began stands before it in the log.",
  // Of gossip and discovery, where a plan has them.
  "founded-once": "One node founds the cluster, with exactly as many voters as were expected.",
  "gossip-quiet-when-idle": "At rest a member sends as many datagrams a second, whatever the size.",
  "incarnation-owned": "Nobody knows a later incarnation of a member than the member itself used.",
  // Looked after by the run itself (sim/world.ts).
  "keeps-running": "A node neither throws nor stops by itself, unless its disk explains it.",
  "records-unaltered": "A reader gets the bytes that somebody appended.",
  "recovers-after-healing": "A healed cluster elects, takes an append, answers all, and agrees.",
  "crash-known-to-all": "Where nodes gossip, all know of a crash by the formula's time.",
  "gossip-agrees-after-healing": "Then whoever is up is known to be, and who is gone to be gone.",
  "readable-after-healing": "Then every node that is left gives its whole log to a reader.",
  "stable-when-healed": "Once all is well and nobody asks anything, the term stays.",
  "quiet-when-idle": "Then a node sends and does no more than heartbeats take.",
  // What a node holds at any time.
  bounded: "A node holds no more of anything than its options say.",
  divergence: "After the cluster has healed, all logs are equal.",
} as const;

export type Property = keyof typeof PROPERTIES;

/** A broken property; fits what a stage's `report` takes, but for the instant. */
export interface Finding {
  readonly property: Property;
  /** Two of them, with names and numbers, that cannot both be right. */
  readonly facts: readonly [string, string];
  /** The node that broke it, where one did. */
  readonly node: NodeId | null;
}

/** Called with the first violation of a run; later ones are mere consequences. */
export type Report = (finding: Finding) => void;

/** A finding in three lines for people. */
export function describeFinding(finding: Finding): string {
  const [first, second] = finding.facts;
  return `${finding.property}: ${PROPERTIES[finding.property]}\n  1. ${first}\n  2. ${second}`;
}
