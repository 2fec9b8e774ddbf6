// A voter whose disk was emptied comes back as a learner that is owed a vote. The claim is in the
// log: it is honoured although nobody who saw the swap is up any more.

import { expect, test } from "vitest";
import type { Computer, Observer, Stage } from "../../sim/observer.ts";
import { planOf } from "../../sim/plan.ts";
import { runPlan } from "../../sim/run.ts";

/** Whether all were down at once while a vote was owed, and who voted at last. */
class Claims implements Observer {
  #stage: Stage | null = null;
  #isOwed = false;
  isOwedInTheDark = false;
  voters = 0;

  attach(stage: Stage): void {
    this.#stage = stage;
  }

  afterTurn({ raft }: Computer): void {
    if (raft === null || raft.commitIndex < raft.lastIndex) return;
    const { members, voters } = raft.committedMembership;
    this.#isOwed = members.some(({ isOwedVote }) => isOwedVote);
    this.voters = voters.length;
  }

  nodeCrashed(): void {
    const isDark = this.#stage?.nodes.every(({ host }) => host === null);
    if (isDark && this.#isOwed) this.isOwedInTheDark = true;
  }
}

function run(darkAtMs: number) {
  const claims = new Claims();
  const crash = { kind: "crash", how: "power", atMs: darkAtMs, downMs: 300 } as const;
  const plan = planOf({
    format: 1,
    seed: "a claim outlives all who saw it",
    nodes: 3,
    operations: [{ kind: "append", client: 0, atMs: 600, times: 60, everyMs: 50 }],
    mishaps: [
      { kind: "wipe", node: 2, atMs: 900, downMs: 100, returns: true },
      ...[0, 1, 2].map((node) => ({ ...crash, node })),
    ],
    healAtMs: 4000,
  });
  const report = runPlan(plan, [claims]);
  return { violation: report.violation, ...claims, voters: claims.voters };
}

/** The swap is committed at 2.02 s, and the learner has its vote at 2.13 s if nothing happens. */
test.each([2030, 2050, 2070, 2090, 2110])(
  "a wiped voter gets its vote back although all lose their power at %i ms",
  (darkAtMs) => {
    expect(run(darkAtMs)).toEqual({ violation: null, isOwedInTheDark: true, voters: 3 });
  },
);
