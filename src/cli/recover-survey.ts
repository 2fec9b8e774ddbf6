// What the directories of a cluster say that has lost its quorum: how far each log goes, who
// decided, which of them goes the furthest, and what may be missing from it. Looks and compares;
// changes nothing in any of them. What is made of it is recover.ts.

import { readFile } from "node:fs/promises";
import path from "node:path";

import { OverlayDisk } from "../adapters/overlay-disk.ts";
import type { LogPoint } from "../base/entry.ts";
import { type MemberId, NO_INDEX, type Term } from "../base/ids.ts";
import { type Membership, memberId, nameOf } from "../base/membership.ts";
import { MANIFEST_FILE } from "../log/file-names.ts";
import { decodeManifest } from "../log/manifest.ts";
import type { Identity } from "../log/protocol.ts";
import { jointOutcome } from "../raft/quorum.ts";
import { State } from "../state/state.ts";
import { describeError } from "./exit.ts";
import { OfflineLog, offlineOptions } from "./offline-log.ts";

/** As the node's: a checkpoint never holds more. */
const PRODUCERS_MAX = 10_000;

/** A directory whose log could be opened. */
export interface Survey {
  readonly directory: string;
  readonly identity: Identity;
  readonly member: MemberId;
  /** Of its hard state. */
  readonly term: Term;
  readonly end: LogPoint;
  /** The last in its log, committed or not. */
  readonly membership: Membership;
}

export interface Unusable {
  readonly directory: string;
  readonly why: string;
}

/** Opens the log over a layer that takes all changes, and says what it has. */
export async function survey(directory: string): Promise<Survey | Unusable> {
  try {
    return await lookInto(directory);
  } catch (error) {
    return { directory, why: describeError(error) };
  }
}

export const isUsable = (found: Survey | Unusable): found is Survey => "identity" in found;

async function lookInto(directory: string): Promise<Survey> {
  const identity = await identityOf(directory);
  const disk = new OverlayDisk(directory);
  try {
    const { opened } = await OfflineLog.open(disk, offlineOptions(identity));
    const { checkpoint, tail, end, hardState } = opened;
    const state =
      checkpoint === null
        ? State.empty(PRODUCERS_MAX)
        : State.restore(PRODUCERS_MAX, checkpoint.at, checkpoint.state);
    if (state === null)
      throw new Error("its checkpoint is of a version that this build cannot read");
    for (const head of tail) state.append(head);
    const { membership } = state;
    const member = memberId(identity.nodeName, identity.instanceId);
    return { directory, identity, member, term: hardState.term, end, membership };
  } finally {
    await disk.close();
  }
}

async function identityOf(directory: string): Promise<Identity> {
  const decoded = decodeManifest(await readFile(path.join(directory, MANIFEST_FILE)));
  if (decoded.kind === "newer") throw new Error(`format ${decoded.found}: run the newer build`);
  if (decoded.kind === "malformed") throw new Error(`${MANIFEST_FILE}: ${decoded.what}`);
  return decoded.manifest.identity;
}

/** The log that a candidate would win with among these (paper, section 5.4.1). */
export function greatest(found: readonly [Survey, ...Survey[]]): Survey {
  return found.reduce((a, b) => {
    if (a.end.term !== b.end.term) return a.end.term > b.end.term ? a : b;
    return a.end.index >= b.end.index ? a : b;
  });
}

/** Later than every term that one of these directories has seen. */
export function laterTerm(found: readonly Survey[]): Term {
  return (Math.max(...found.map(({ term, end }) => Math.max(term, end.term))) + 1) as Term;
}

/** Whether those of whom `has` holds could decide; in a joint membership, in both halves. */
export function areQuorum(membership: Membership, has: (id: MemberId) => boolean): boolean {
  return jointOutcome(membership, (id) => (has(id) ? "granted" : null)) === "won";
}

/**
 * What may be lost, for people; empty when nothing that was ever acknowledged can be. Every quorum
 * has a server among those at hand unless the others are one: then the greatest log at hand has all
 * that was committed (paper, 5.4.3).
 */
export function possibleLoss(chosen: Survey, found: readonly Survey[]): string[] {
  const { membership, end } = chosen;
  const isAtHand = (id: MemberId): boolean => found.some(({ member }) => member === id);
  if (!areQuorum(membership, (id) => !isAtHand(id))) return [];
  const gone = membership.members.filter(({ id }) => !isAtHand(id)).map(({ id }) => nameOf(id));
  return [
    `records from offset ${end.endOffset} on, if ${gone.join(" and ")} acknowledged any`,
    "changes of the membership that only they have",
  ];
}

/** True when there is anything to make a cluster of. */
export const hasLog = ({ end }: Survey): boolean => end.index > NO_INDEX;
