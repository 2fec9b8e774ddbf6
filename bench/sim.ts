// The simulator itself: how much virtual time and how many events a second of wall time buys, for a
// cluster that idles, one that is loaded, and the seeds as they are drawn. Checkers on, as always.

import { performance } from "node:perf_hooks";

import { type Plan, type PlanDraft, planOf } from "../sim/plan.ts";
import { runPlan } from "../sim/run.ts";
import { drawPlan } from "../sim/swarm.ts";
import { type Row, row } from "./row.ts";

/**
 * What TigerBeetle says of its own simulator, in its documentation; other machine, other system.
 */
const VOPR_SPEEDUP = 700;

/** Simulated per wall second and events per second of each profile; `quick` runs fewer seeds. */
export async function runSimBench(quick: boolean): Promise<Row[]> {
  const seeds = quick ? 10 : 100;
  const drawn = Array.from({ length: seeds }, (_, at) => drawPlan(String(at + 1)));
  measure([drawPlan("warm up")]);
  return [
    ...rowsOf("3 nodes, idle", measure([idle(quick ? 60_000 : 600_000)])),
    ...rowsOf("3 nodes, 100 appends/s", measure([loaded(quick ? 20_000 : 120_000)])),
    ...rowsOf(`${seeds} drawn seeds`, measure(drawn)),
  ];
}

interface Pace {
  readonly runs: number;
  readonly wallMs: number;
  readonly simulatedMs: number;
  readonly events: number;
  readonly medianMs: number;
}

function rowsOf(what: string, pace: Pace): Row[] {
  const { runs, wallMs, simulatedMs, events, medianMs } = pace;
  const rows = [
    row("sim", what, simulatedMs / wallMs, "simulated:wall", "VOPR, as published", VOPR_SPEEDUP),
    row("sim", what, (events * 1000) / wallMs, "events/s"),
  ];
  if (runs > 1) rows.push(row("sim", what, medianMs, "ms a seed (median)"));
  return rows;
}

function measure(plans: readonly Plan[]): Pace {
  const wallMs: number[] = [];
  let [simulatedMs, events] = [0, 0];
  for (const plan of plans) {
    const began = performance.now();
    const report = runPlan(plan);
    wallMs.push(performance.now() - began);
    if (report.violation !== null) throw new Error(`seed ${plan.seed} fails: nothing is measured`);
    simulatedMs += report.simulatedMs;
    events += report.events;
  }
  const sum = wallMs.reduce((total, ms) => total + ms, 0);
  const median = wallMs.sort((a, b) => a - b)[Math.floor(plans.length / 2)] ?? 0;
  return { runs: plans.length, wallMs: sum, simulatedMs, events, medianMs: median };
}

function idle(forMs: number): Plan {
  return calm(forMs, [{ kind: "append", client: 0, atMs: 1000 }]);
}

function loaded(forMs: number): Plan {
  const clients = [0, 1, 2, 3];
  return calm(
    forMs,
    clients.map((client) => ({
      kind: "append",
      client,
      atMs: 500,
      times: Math.floor(forMs / 50),
      everyMs: 40,
    })),
  );
}

function calm(healAtMs: number, operations: PlanDraft["operations"]): Plan {
  return planOf({ format: 1, seed: "bench", nodes: 3, operations, mishaps: [], healAtMs });
}
