// Every mutant by name. Each is a known or textbook bug (Raft paper and thesis, bug reports of real
// systems); `npm test` checks that all of them still apply and kills some, `npm run mutants`
// measures all of them. Owns the order.

import { BACKUP_MUTANTS } from "./backup-mutants.ts";
import { CONSUMER_MUTANTS } from "./consumer-mutants.ts";
import { CORE_MUTANTS } from "./core-mutants.ts";
import { DISCOVERY_MUTANTS } from "./discovery-mutants.ts";
import { GOSSIP_MUTANTS } from "./gossip-mutants.ts";
import { INPUT_MUTANTS } from "./input-mutants.ts";
import { LOG_MUTANTS } from "./log-mutants.ts";
import { MENDING_MUTANTS } from "./mending-mutants.ts";
import type { Mutant } from "./mutant.ts";
import { NODE_MUTANTS } from "./node-mutants.ts";
import { RAFT_MUTANTS } from "./raft-mutants.ts";
import { STORAGE_MUTANTS } from "./storage-mutants.ts";
import { TALK_MUTANTS } from "./talk-mutants.ts";

export const MUTANTS: readonly Mutant[] = [
  ...RAFT_MUTANTS,
  ...CORE_MUTANTS,
  ...MENDING_MUTANTS,
  ...INPUT_MUTANTS,
  ...LOG_MUTANTS,
  ...NODE_MUTANTS,
  ...CONSUMER_MUTANTS,
  ...BACKUP_MUTANTS,
  ...GOSSIP_MUTANTS,
  ...TALK_MUTANTS,
  ...DISCOVERY_MUTANTS,
  ...STORAGE_MUTANTS,
];

/** One of each kind, all found within a few seeds: what every `npm test` hunts. */
export const EVERYDAY_MUTANTS = named(
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
);

/** The same of the core alone. */
export const EVERYDAY_CORE_MUTANTS = named(
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
  "whole-with-less",
);

function named(...names: readonly string[]): readonly Mutant[] {
  return names.map((name) => {
    const mutant = MUTANTS.find((each) => each.name === name);
    if (mutant === undefined) throw new Error(`no mutant ${name} in the catalogue`);
    return mutant;
  });
}
