// Properties over plans: draws plans, runs each in the simulator, and when one fails shrinks it and
// saves the smallest as a plan file that `npm run sim -- --plan` replays. Owns the drawing of small
// clusters and their work; what goes wrong in them is each property's own.

import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";
import fc from "fast-check";
import { encodePlan, type Plan, type PlanDraft, planOf } from "../../sim/plan.ts";
import type { RunReport } from "../../sim/run.ts";

export type OperationDraft = PlanDraft["operations"][number];
export type MishapDraft = PlanDraft["mishaps"][number];
export type RunPlan = (plan: Plan) => RunReport;

/** Mishaps begin while work goes on, and end with the healing at the latest. */
const HEAL_AT_MS = 4000;
export const beginsAtMs = fc.integer({ min: 200, max: HEAL_AT_MS - 500 });

export function place(nodes: number): fc.Arbitrary<number> {
  return fc.integer({ min: 0, max: nodes - 1 });
}

/** Some nodes, but neither none nor all. */
export function side(nodes: number): fc.Arbitrary<number[]> {
  const places = Array.from({ length: nodes }, (_, at) => at);
  return fc.subarray(places, { minLength: 1, maxLength: nodes - 1 });
}

/** Plans of a few seconds for 3 or 5 nodes, in which `mishap` happens a few times. */
export function planWith(mishap: (nodes: number) => fc.Arbitrary<MishapDraft>): fc.Arbitrary<Plan> {
  return fc.constantFrom(3, 5).chain((nodes) =>
    fc
      .record({
        seed: fc.integer({ min: 1, max: 1_000_000 }).map(String),
        operations: fc.array(operation(nodes), { minLength: 1, maxLength: 4 }),
        mishaps: fc.array(mishap(nodes), { minLength: 0, maxLength: 5 }),
        network: fc.record({
          dropPerMille: fc.constantFrom(0, 0, 20, 100),
          duplicatePerMille: fc.constantFrom(0, 0, 30, 150),
          reorderPerMille: fc.constantFrom(0, 0, 100),
        }),
        options: fc.record({
          segmentBytesMax: fc.constantFrom(65_536, 4096),
          appendBytesMax: fc.constantFrom(65_536, 1024),
          turnEventsMax: fc.constantFrom(64, 1),
        }),
      })
      .map(({ operations, ...drawn }) => {
        // A client does one thing after another, so each line of work gets a client of its own.
        const own = operations.map((planned, client) => ({ ...planned, client }));
        return planOf({ format: 1, nodes, healAtMs: HEAL_AT_MS, ...drawn, operations: own });
      }),
  );
}

function operation(nodes: number): fc.Arbitrary<OperationDraft> {
  const line = {
    client: fc.constant(0),
    atMs: fc.constant(300),
    times: fc.integer({ min: 1, max: 30 }),
    everyMs: fc.constantFrom(20, 60),
  };
  return fc.oneof(
    {
      weight: 4,
      arbitrary: fc.record({
        kind: fc.constant("append" as const),
        ...line,
        records: fc.constantFrom(1, 3),
        bytes: fc.constantFrom(16, 200),
        producer: fc.boolean(),
        guarded: fc.constantFrom(false, false, true),
      }),
    },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("check-tail" as const), ...line }) },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant("read" as const), ...line, node: place(nodes) }),
    },
  );
}

/** What came of a property. */
export type PropertyOutcome =
  | { readonly kind: "held"; readonly runs: number; readonly vacuous: number }
  | {
      readonly kind: "broken";
      readonly plan: Plan;
      readonly report: RunReport;
      /** Where the shrunk plan was saved. */
      readonly file: string;
      readonly shrinks: number;
      /** All that a reader needs, the replay line included. */
      readonly message: string;
    };

/** Runs `runs` plans; the first that does not pass is shrunk and saved in `folder`. */
export function tryPlans(
  name: string,
  plans: fc.Arbitrary<Plan>,
  runPlan: RunPlan,
  { runs, folder }: { readonly runs: number; readonly folder: string },
): PropertyOutcome {
  let vacuous = 0;
  const property = fc.property(plans, (plan) => {
    const { verdict } = runPlan(plan);
    if (verdict === "unknown") vacuous++;
    return verdict === "pass" || verdict === "unknown";
  });
  const details = fc.check(property, { numRuns: runs });
  const plan = details.counterexample?.[0];
  if (!details.failed || plan === undefined)
    return { kind: "held", runs: details.numRuns, vacuous };
  const report = runPlan(plan);
  const file = path.join(folder, `${name}-${details.seed}.json`);
  mkdirSync(folder, { recursive: true });
  const why = [report.violation?.property ?? report.verdict, ...(report.violation?.facts ?? [])];
  writeFileSync(file, encodePlan({ ...plan, why }));
  const message = [
    `${name}: ${why.join("\n  ")}`,
    `the smallest plan that shows it, after ${details.numShrinks} steps, is ${file}`,
    `replay: npm run sim -- --plan ${file}`,
  ].join("\n");
  return { kind: "broken", plan, report, file, shrinks: details.numShrinks, message };
}
