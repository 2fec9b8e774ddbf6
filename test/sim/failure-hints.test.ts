// Gossip's word that a member has failed is a hint to Raft: a leader sends it no more in advance,
// and whoever is there after all goes on with its next answer. It is never a vote.

import { expect, test } from "vitest";

import type { Computer, Observer } from "../../sim/observer.ts";
import { planOf } from "../../sim/plan.ts";
import { World } from "../../sim/world.ts";
import type { NodeId } from "../../src/base/ids.ts";
import { nameOf } from "../../src/base/membership.ts";

/** Tells the first leader that each of its peers has failed, and everybody else, too. */
class Alarmist implements Observer {
  readonly seen: string[] = [];
  readonly terms = new Set<number>();
  #told: NodeId | null = null;

  afterTurn({ host, raft }: Computer): void {
    if (raft === null || host === null) return;
    if (raft.role === "leader") this.terms.add(raft.term);
    const peer = raft.peers[0];
    if (this.#told === null) {
      const isPiping = raft.commitIndex > 20 && peer?.mode === "replicate";
      if (!isPiping) return;
      this.#told = nameOf(peer.peer);
      host.hear({ kind: "peer-failed", name: this.#told });
      // Of oneself, and of a stranger: nothing comes of it.
      host.hear({ kind: "peer-failed", name: nameOf(raft.self) });
      host.hear({ kind: "peer-failed", name: "stranger" as NodeId });
      return;
    }
    const mode = raft.peers.find((each) => nameOf(each.peer) === this.#told)?.mode;
    if (mode !== undefined && mode !== this.seen.at(-1)) this.seen.push(mode);
  }
}

test("a leader that hears of a failed peer probes it, and goes on when it answers", () => {
  const alarmist = new Alarmist();
  const plan = planOf({
    format: 1,
    seed: "hint",
    nodes: 3,
    mishaps: [],
    operations: [
      { kind: "append", client: 0, atMs: 600, times: 150, everyMs: 10, records: 3, bytes: 200 },
    ],
    healAtMs: 3000,
  });
  expect(new World(plan, [alarmist]).run()).toEqual({ kind: "pass" });
  expect(alarmist.seen.slice(0, 2)).toEqual(["probe", "replicate"]);
  expect(alarmist.terms.size).toBe(1);
});
