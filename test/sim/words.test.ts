// What operators do, in words, as the head of a run prints it.

import { expect, test } from "vitest";
import { planOf } from "../../sim/plan.ts";
import { describePlan } from "../../sim/report.ts";

test("a plan says what its operators will ask for", () => {
  const plan = planOf({
    format: 1,
    seed: "words",
    nodes: 4,
    founders: 3,
    operations: [
      { kind: "append", client: 0, atMs: 100 },
      { kind: "trim", client: 1, atMs: 1000, times: 12, everyMs: 100, keep: 1 },
      { kind: "transfer", client: 1, atMs: 1500 },
      { kind: "transfer", client: 1, atMs: 1600, to: 2 },
      { kind: "add-member", client: 1, atMs: 2000, node: 3 },
      { kind: "remove-member", client: 1, atMs: 2100, node: "leader" },
      { kind: "promote-member", client: 1, atMs: 2200, node: 1 },
      { kind: "demote-member", client: 1, atMs: 2300, node: 0 },
      { kind: "replace-member", client: 1, atMs: 2400, node: 0, withNode: 3 },
      { kind: "set-members", client: 1, atMs: 2500, voters: [0, 1], learners: [2] },
      { kind: "set-members", client: 1, atMs: 2600, voters: [] },
    ],
    mishaps: [],
    healAtMs: 3000,
  });
  const lines = describePlan(plan);
  expect(lines.find((line) => line.startsWith("cluster"))).toContain(
    "4 nodes, of which 3 found it",
  );
  expect(lines.find((line) => line.startsWith("operator"))?.slice(9)).toBe(
    [
      "keep the last 1 record at 1 s, 12 times",
      "let another lead at 1.5 s",
      "let n2 lead at 1.6 s",
      "add n3 as a voter at 2 s",
      "remove the leader at 2.1 s",
      "promote n1 at 2.2 s",
      "demote n0 at 2.3 s",
      "replace n0 by n3 at 2.4 s",
      "let n0 n1 vote, n2 to learn at 2.5 s",
      "let nobody vote at 2.6 s",
    ].join("; "),
  );
});
