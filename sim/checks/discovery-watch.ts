// Gossip and discovery, watched: one cluster is founded, by one node, with as many voters as were
// expected; and only its owner raises an incarnation. And what must be true after healing: whoever
// is up is known to be, and whoever is gone is known to be gone. Owns no time: how long that may
// take is said in sim/world.ts.

import type { NodeId } from "../../src/base/ids.ts";
import type { Notice } from "../../src/base/notice.ts";
import type { Computer, Observer, Stage } from "../observer.ts";

/** A probe and an answer a second, whatever the size; as many again for what chance adds. */
const PACKETS_A_SECOND = 4;
/** What was being told when all was well is told to its end. */
const LAST_NEWS = 40;

export class DiscoveryWatch implements Observer {
  #stage: Stage | null = null;
  #founder: NodeId | null = null;
  /** The highest that each member was seen to use of itself, over all its lives. */
  readonly #used = new Map<NodeId, number>();
  /** Datagrams that each has sent since all is well; null before that. */
  #sent: Map<NodeId, number> | null = null;
  #since = 0;

  attach(stage: Stage): void {
    this.#stage = stage;
  }

  /** A founder whose entry a crash took away may found again: nobody had it. */
  noticed({ name }: Computer, { what, facts }: Notice): void {
    if (what !== "cluster-founded") return;
    this.#founder ??= name;
    const expect = this.#stage?.plan.discovery?.expect ?? 0;
    const voters = String(facts["voters"]).split(", ").length;
    if (this.#founder !== name) {
      const first = `${this.#founder} founded a cluster`;
      this.#report("founded-once", name, first, `${name} founded one, too`);
    } else if (voters !== expect) {
      this.#report(
        "founded-once",
        name,
        `${expect} were expected`,
        `${name} founded with ${voters}`,
      );
    }
  }

  gossiped({ name, gossip }: Computer): void {
    if (gossip === null) return;
    this.#used.set(name, Math.max(this.#used.get(name) ?? 0, gossip.incarnation));
    for (const { node, incarnation } of gossip.members) {
      const used = this.#used.get(node) ?? 0;
      if (incarnation <= used) continue;
      const first = `${node} has used incarnations up to ${used}`;
      this.#report("incarnation-owned", name, first, `${name} knows it by ${incarnation}`);
    }
  }

  recovered(): void {
    this.#sent = new Map();
    this.#since = this.#stage?.now ?? 0;
  }

  gossipSent({ name }: Computer): void {
    this.#sent?.set(name, (this.#sent.get(name) ?? 0) + 1);
  }

  /** What a member sends at rest does not depend on how many there are. */
  atEnd(): void {
    const { nodes = [], now = 0 } = this.#stage ?? {};
    const seconds = (now - this.#since) / 1_000_000;
    const most = LAST_NEWS + PACKETS_A_SECOND * seconds;
    for (const { name, isLost, isOutside } of nodes) {
      const sent = this.#sent?.get(name) ?? 0;
      if (isLost || isOutside || sent <= most) continue;
      const first = `${name} sent ${sent} datagrams in ${seconds} s in which nothing happened`;
      this.#report("gossip-quiet-when-idle", name, first, `at rest no more than ${most}`);
    }
  }

  #report(property: string, node: NodeId, ...facts: string[]): void {
    this.#stage?.report({ property, facts, at: this.#stage.now, node });
  }
}

type Gossiping = Computer & { readonly isPaused: boolean };

/** Who is up takes somebody who is not for alive, in a sentence; null when nobody does. */
export function findGhost(computers: readonly Gossiping[]): string | null {
  // Whoever is only cut off is there, as it knows itself: no two must agree on that.
  const gone = computers.filter(({ host, isPaused }) => host === null || isPaused);
  for (const { name, gossip } of coreOf(computers)) {
    const ghost = gone.find((other) => statusIn(gossip, other.name) === "alive");
    if (ghost !== undefined) return `${name} takes ${ghost.name}, who is gone, for alive`;
  }
  return null;
}

/** Who is up does not take somebody else who is for alive; null when all know each other. */
export function findStranger(computers: readonly Gossiping[]): string | null {
  const core = coreOf(computers);
  for (const { name, gossip } of core) {
    if (gossip === null) return `${name} does not gossip`;
    const missed = core.find((other) => statusIn(gossip, other.name) !== "alive");
    if (missed === undefined) continue;
    const status = statusIn(gossip, missed.name) ?? "nobody";
    return `${name} takes ${missed.name}, who is up, for ${status}`;
  }
  return null;
}

function coreOf(computers: readonly Gossiping[]): Gossiping[] {
  return computers.filter(({ isLost, isOutside }) => !isLost && !isOutside);
}

function statusIn(gossip: Computer["gossip"], node: NodeId): string | undefined {
  return gossip?.members.find((each) => each.node === node)?.status;
}
