// Which claim about a member wins. One pure decision, so that the order in which rumors come, how
// often, and by which way, makes no difference to what is believed in the end. A belief has two
// halves, each a largest-of-all-heard:
//
//   standing      alive, suspect, dead or left, and in which incarnation of the member; a later
//                 incarnation beats an earlier one, and in the same one the graver word stands
//   announcement  what the owner said about itself (address, meta, versions) in the latest
//                 incarnation heard from it
//
// Owns no table, no timers, and no opinion about ourselves (membership.ts refutes those).

import type { Address } from "../base/address.ts";
import type { FrozenBytes } from "../base/bytes.ts";
import type { NodeId } from "../base/ids.ts";
import type {
  Alive,
  Dead,
  Incarnation,
  MemberState,
  NodeRecord,
  Suspect,
  Versions,
} from "./messages.ts";

export interface Standing {
  readonly state: MemberState;
  readonly incarnation: Incarnation;
}

export interface Announcement {
  readonly incarnation: Incarnation;
  readonly address: Address;
  readonly meta: FrozenBytes;
  readonly versions: Versions;
}

export interface Belief {
  readonly standing: Standing;
  readonly announcement: Announcement;
}

/** A claim as memberlist words it. */
export type Claim = Alive | Suspect | Dead;

/**
 * How far above the incarnation we know a claim may be. Only the owner raises it, by one for each
 * refutation or change of tags: a jump beyond this is nobody's, and to believe one near 2^32 would
 * silence the owner, who could not refute it.
 */
export const INCARNATION_JUMP_MAX = 1 << 20;
/** The highest incarnation believed of somebody unknown: above it stays room to refute. */
export const INCARNATION_FIRST_MAX = 0x8000_0000;

const GRAVITY: Readonly<Record<MemberState, number>> = { alive: 0, suspect: 1, dead: 2, left: 3 };

/** Positive when `a` stands against `b`; 0 only when they are the same. */
export function compareStandings(a: Standing, b: Standing): number {
  return a.incarnation - b.incarnation || GRAVITY[a.state] - GRAVITY[b.state];
}

/**
 * Positive when `a` is believed rather than `b`. The owner says one thing in each incarnation; one
 * who forgot his over a restart may say two, and then everybody believes the same of them until he
 * notices and raises it: the order of the bytes decides.
 */
export function compareAnnouncements(a: Announcement, b: Announcement): number {
  return (
    a.incarnation - b.incarnation ||
    compareBytes(a.meta, b.meta) ||
    compareBytes(a.address.ip, b.address.ip) ||
    a.address.port - b.address.port ||
    compareVersions(a.versions, b.versions)
  );
}

/** What is believed of one member after both: commutative, associative, idempotent. */
export function mergeBeliefs(a: Belief, b: Belief): Belief {
  return {
    standing: compareStandings(a.standing, b.standing) >= 0 ? a.standing : b.standing,
    announcement:
      compareAnnouncements(a.announcement, b.announcement) >= 0 ? a.announcement : b.announcement,
  };
}

/** What is believed after one more claim; the same object when it says nothing new. */
export function believe(belief: Belief, claim: Claim): Belief {
  const standing = standingOf(claim);
  const { announcement } = belief;
  const heard: Belief = {
    standing,
    announcement: claim.kind === "alive" ? announcementOf(claim) : announcement,
  };
  const merged = mergeBeliefs(belief, heard);
  const isNew = merged.standing !== belief.standing || merged.announcement !== belief.announcement;
  return isNew ? merged : belief;
}

/** What a claim says of the member's standing: whoever says so of himself, left. */
export function standingOf(claim: Claim): Standing {
  const { incarnation } = claim;
  if (claim.kind !== "dead") return { state: claim.kind, incarnation };
  return { state: claim.from === claim.node ? "left" : "dead", incarnation };
}

export function announcementOf({ incarnation, address, meta, versions }: Alive): Announcement {
  return { incarnation, address, meta, versions };
}

/**
 * What a push/pull's record claims, told by `self`: a death heard of in this way is only a
 * suspicion of ours, which gives the member a chance to object; a departure is the member's word.
 */
export function claimOf(record: NodeRecord, self: NodeId): Claim {
  const { node, incarnation, address, meta, versions } = record;
  switch (record.state) {
    case "alive":
      return { kind: "alive", node, incarnation, address, meta, versions };
    case "left":
      return { kind: "dead", node, incarnation, from: node };
    case "dead":
    case "suspect":
      return { kind: "suspect", node, incarnation, from: self };
  }
}

/** False for an incarnation that no member can have reached; `known` is null for the unknown. */
export function isCredible(incarnation: Incarnation, known: Incarnation | null): boolean {
  if (known === null) return incarnation <= INCARNATION_FIRST_MAX;
  return incarnation <= known + INCARNATION_JUMP_MAX;
}

function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shorter = Math.min(a.length, b.length);
  for (let at = 0; at < shorter; at++) {
    const difference = (a[at] ?? 0) - (b[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

function compareVersions(a: Versions, b: Versions): number {
  return (
    a.protocolMin - b.protocolMin ||
    a.protocolMax - b.protocolMax ||
    a.protocolCurrent - b.protocolCurrent ||
    a.delegateMin - b.delegateMin ||
    a.delegateMax - b.delegateMax ||
    a.delegateCurrent - b.delegateCurrent
  );
}
