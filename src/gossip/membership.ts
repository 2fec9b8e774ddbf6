// Memberlist's rules of state: what a claim does to what we believe, whom we pass it on to, when a
// suspicion becomes a verdict, and that a claim about ourselves is refuted. Which claim wins is
// claims.ts; how claims come and go is the business of packets and push/pulls.

import { type Address, sameAddress } from "../base/address.ts";
import { equalBytes } from "../base/bytes.ts";
import { after, type Instant, type Micros, NEVER, type NodeId } from "../base/ids.ts";
import type { Awareness } from "./awareness.ts";
import {
  announcementOf,
  believe,
  type Claim,
  compareAnnouncements,
  compareStandings,
  isCredible,
  standingOf,
} from "./claims.ts";
import { confirmationsWanted, suspicionTimeoutMax, suspicionTimeoutMin } from "./formulas.ts";
import type { LocalMember } from "./local-member.ts";
import { type Alive, type Incarnation, OUR_VERSIONS, type Suspect } from "./messages.ts";
import type { DropReason, GossipProfile } from "./protocol.ts";
import type { Member, Roster } from "./roster.ts";
import type { Rumors } from "./rumors.ts";
import type { SerfMembers } from "./serf-members.ts";
import { Suspicion } from "./suspicion.ts";
import { speakWithEachOther } from "./versions.ts";

export class Membership {
  readonly #profile: GossipProfile;
  readonly #self: LocalMember;
  readonly #roster: Roster;
  readonly #rumors: Rumors;
  readonly #serf: SerfMembers;
  readonly #awareness: Awareness;
  #hasSaidGoodbye = false;
  #contested: (now: Instant, theirs: Address) => void = () => undefined;

  constructor(
    profile: GossipProfile,
    self: LocalMember,
    roster: Roster,
    rumors: Rumors,
    serf: SerfMembers,
    awareness: Awareness,
  ) {
    this.#profile = profile;
    this.#self = self;
    this.#roster = roster;
    this.#rumors = rumors;
    this.#serf = serf;
    this.#awareness = awareness;
  }

  /** Who is told that somebody has our name at another address. */
  whenContested(contested: (now: Instant, theirs: Address) => void): void {
    this.#contested = contested;
  }

  /** Tells everybody what we say of ourselves. */
  announce(): void {
    this.#rumors.tell(this.#self.alive);
  }

  /** Our last word: that we left. From now on claims about us are others' business. */
  sayGoodbye(): void {
    this.#hasSaidGoodbye = true;
    const { node, incarnation } = this.#self;
    this.#rumors.tell({ kind: "dead", node, incarnation, from: node });
  }

  /** Takes in one claim; says why, if a correct member would not have made it. */
  heard(now: Instant, claim: Claim): DropReason | null {
    if (claim.kind === "alive") {
      if (!speakWithEachOther(claim.versions, OUR_VERSIONS)) return "incompatible";
      // Nobody can be reached there.
      if (claim.address.port === 0) return "malformed";
    }
    if (claim.node === this.#self.node) return this.#heardOfSelf(now, claim);
    const member = this.#roster.get(claim.node);
    const known = member?.standing.incarnation ?? null;
    if (!isCredible(claim.incarnation, known)) return "incarnation-jump";
    if (member === null) return claim.kind === "alive" ? this.#meet(now, claim) : null;
    if (claim.kind === "alive" && !this.#mayBeAt(now, member, claim)) return "name-conflict";
    this.#apply(now, member, claim);
    return null;
  }

  /** We found out ourselves that `member` does not answer. */
  suspect(now: Instant, member: Member): void {
    this.heard(now, this.#suspicionOf(member));
  }

  /** What to tell `node`, or about it, where it seems not to know: null when all is well. */
  accusationOf(node: NodeId): Claim | null {
    const member = this.#roster.get(node);
    if (member === null || member.state === "alive") return null;
    if (member.state === "suspect") return this.#suspicionOf(member);
    const { incarnation } = member.standing;
    return { kind: "dead", node, incarnation, from: this.#self.node };
  }

  get deadline(): Instant {
    let deadline = NEVER;
    for (const { suspicion } of this.#roster.suspected) {
      if (suspicion !== null && suspicion.deadline < deadline) deadline = suspicion.deadline;
    }
    return deadline;
  }

  /** Suspicions that nobody has refuted become verdicts. */
  timePassed(now: Instant): void {
    for (const member of [...this.#roster.suspected]) {
      if (member.suspicion === null || now < member.suspicion.deadline) continue;
      const { incarnation } = member.standing;
      this.heard(now, { kind: "dead", node: member.node, incarnation, from: this.#self.node });
    }
  }

  #suspicionOf({ node, standing: { incarnation } }: Member): Suspect {
    return { kind: "suspect", node, incarnation, from: this.#self.node };
  }

  /** Whatever is not what we say of ourselves now is refuted, unless it is older. */
  #heardOfSelf(now: Instant, claim: Claim): DropReason | null {
    const { incarnation, address, announcement } = this.#self;
    if (!isCredible(claim.incarnation, incarnation)) return "incarnation-jump";
    if (claim.kind === "alive" && !sameAddress(claim.address, address)) {
      if (!this.#hasSaidGoodbye) this.#contested(now, claim.address);
      return "name-conflict";
    }
    if (this.#hasSaidGoodbye || claim.incarnation < incarnation) return null;
    const isOurWord =
      claim.kind === "alive" && compareAnnouncements(announcementOf(claim), announcement) === 0;
    if (!isOurWord) this.#refute(claim.incarnation);
    return null;
  }

  #refute(heard: Incarnation): void {
    this.#self.raiseAbove(heard);
    this.#awareness.refuted();
    this.announce();
  }

  #meet(now: Instant, alive: Alive): DropReason | null {
    const belief = { standing: standingOf(alive), announcement: announcementOf(alive) };
    const member = this.#roster.maybeAdd(alive.node, belief, now);
    if (member === null) return "table-full";
    this.#rumors.tell(alive);
    this.#serf.joined(member, true);
    return null;
  }

  /**
   * A name belongs to one address, until its owner has left, or has been dead for so long that it
   * will hardly come back to the same place.
   */
  #mayBeAt(now: Instant, member: Member, { address }: Alive): boolean {
    if (sameAddress(address, member.announcement.address)) return true;
    if (member.state === "left") return true;
    const reclaimedAt = after(member.changedAt, this.#profile.deadNodeReclaim);
    return member.state === "dead" && now >= reclaimedAt;
  }

  #apply(now: Instant, member: Member, claim: Claim): void {
    if (this.#maybeConfirm(member, claim)) return;
    const { belief: before, isPresent: wasPresent } = member;
    member.belief = believe(before, claim);
    const hasMoved = member.standing !== before.standing;
    if (hasMoved) {
      this.#rumors.tell(claim);
      this.#standingChanged(now, member, before.standing.state, claim);
    }
    if (member.announcement === before.announcement) return;
    if (!hasMoved) this.#rumors.tellAnnouncement(claim);
    const isOther = !equalBytes(member.announcement.meta, before.announcement.meta);
    if (isOther && wasPresent && member.isPresent) this.#serf.updated(member);
  }

  /** One more voice for the suspicion that already runs; each is passed on once. */
  #maybeConfirm({ standing, suspicion }: Member, claim: Claim): boolean {
    if (claim.kind !== "suspect" || suspicion === null) return false;
    if (compareStandings(standingOf(claim), standing) !== 0) return false;
    if (suspicion.maybeConfirm(claim.from)) this.#rumors.tell(claim);
    return true;
  }

  #standingChanged(now: Instant, member: Member, before: Member["state"], claim: Claim): void {
    const wasPresent = before === "alive" || before === "suspect";
    member.suspicion =
      claim.kind === "suspect" ? new Suspicion(this.#termsAt(now), claim.from) : null;
    if (member.state === before) return;
    this.#roster.stateChanged(member, before, now);
    if (member.isPresent && !wasPresent) this.#serf.joined(member, false);
    if (!member.isPresent) this.#serf.departed(member);
  }

  #termsAt(now: Instant): ConstructorParameters<typeof Suspicion>[0] {
    const { suspicionMult, suspicionMaxTimeoutMult, probeInterval } = this.#profile;
    const members = this.#roster.countedAt(now);
    const timeoutMin: Micros = suspicionTimeoutMin(suspicionMult, members, probeInterval);
    return {
      startedAt: now,
      wanted: confirmationsWanted(suspicionMult, members),
      timeoutMin,
      timeoutMax: suspicionTimeoutMax(timeoutMin, suspicionMaxTimeoutMult),
    };
  }
}
