// Whatever nodes crash, as processes or with their power, at whatever effect on their disks: all
// safety properties hold throughout, and the cluster answers everything once all are up again.

import fc from "fast-check";
import { describe } from "vitest";
import { checkProperty } from "./check-property.ts";
import { beginsAtMs, type MishapDraft, place, planWith } from "./plan-property.ts";

function crash(nodes: number): fc.Arbitrary<MishapDraft> {
  const node = fc.oneof(place(nodes), fc.constant("leader" as const));
  const down = { node, atMs: beginsAtMs, downMs: fc.integer({ min: 1, max: 1200 }) };
  const effect = fc.record({
    nth: fc.integer({ min: 1, max: 12 }),
    of: fc.constantFrom("any" as const, "write-at" as const, "sync" as const, "sync-dir" as const),
    edge: fc.constantFrom("before" as const, "after" as const),
  });
  return fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("crash" as const),
        how: fc.constantFrom("power" as const, "process" as const),
        effect: fc.option(effect, { nil: null }),
        ...down,
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("stop" as const), ...down }) },
    {
      weight: 1,
      arbitrary: fc.record({
        kind: fc.constant("slow-disk" as const),
        node,
        atMs: beginsAtMs,
        forMs: fc.integer({ min: 50, max: 1500 }),
        times: fc.constantFrom(10, 200),
      }),
    },
  );
}

describe("while nodes crash and restart", () => checkProperty("crashes", planWith(crash)));
