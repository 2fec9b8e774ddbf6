// Whatever paths between nodes are cut, both ways or one way, and whatever the network does
// besides: all safety properties hold throughout, and the healed cluster answers everything.

import fc from "fast-check";
import { describe } from "vitest";
import type { Target } from "../../sim/plan.ts";
import { checkProperty } from "./check-property.ts";
import { beginsAtMs, type MishapDraft, planWith, side } from "./plan-property.ts";

function cut(nodes: number): fc.Arbitrary<MishapDraft> {
  const span = { atMs: beginsAtMs, forMs: fc.integer({ min: 50, max: 1500 }) };
  const someOrLeader = fc.oneof(side(nodes), fc.constant<Target[]>(["leader"]));
  return fc.oneof(
    fc.record({ kind: fc.constant("partition" as const), side: someOrLeader, ...span }),
    fc.record({
      kind: fc.constant("one-way" as const),
      from: someOrLeader,
      to: side(nodes),
      ...span,
    }),
    fc.record({
      kind: fc.constant("storm" as const),
      dropPerMille: fc.constantFrom(100, 400),
      delayTimes: fc.constantFrom(1, 20),
      ...span,
    }),
  );
}

describe("while paths between nodes are cut", () => checkProperty("partitions", planWith(cut)));
