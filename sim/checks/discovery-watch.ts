// Gossip and discovery, watched: one cluster is founded, by one node, with as many voters as were
// expected; and only its owner raises an incarnation. And what must be true after healing: whoever
// is up is known to be, and whoever is gone is known to be gone. Owns no time: how long that may
// take is the plan's.

import type { NodeId } from "../../src/base/ids.ts";
import type { Notice } from "../../src/base/notice.ts";
import type { Computer, Observer, Stage } from "../observer.ts";

export class DiscoveryWatch implements Observer {
  #stage: Stage | null = null;
  #founder: NodeId | null = null;
  /** The highest that each member was seen to use of itself, over all its lives. */
  readonly #used = new Map<NodeId, number>();

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

  #report(property: string, node: NodeId, ...facts: string[]): void {
    this.#stage?.report({ property, facts, at: this.#stage.now, node });
  }
}

/** What one node's gossip has wrong of another, in a sentence; null when nothing is. */
export function findDiscord(
  computers: readonly (Computer & { readonly isPaused: boolean })[],
): string | null {
  const core = computers.filter(({ isLost, isOutside }) => !isLost && !isOutside);
  // Whoever is only cut off is there, as it knows itself: no two must agree on that.
  const gone = computers.filter(({ host, isPaused }) => host === null || isPaused);
  for (const { name, gossip } of core) {
    if (gossip === null) return `${name} does not gossip`;
    const statusOf = (node: NodeId) => gossip.members.find((each) => each.node === node)?.status;
    const missed = core.find((other) => statusOf(other.name) !== "alive");
    if (missed !== undefined) {
      return `${name} takes ${missed.name}, who is up, for ${statusOf(missed.name) ?? "nobody"}`;
    }
    const ghost = gone.find((other) => statusOf(other.name) === "alive");
    if (ghost !== undefined) return `${name} takes ${ghost.name}, who is gone, for alive`;
  }
  return null;
}
