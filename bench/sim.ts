// The simulator itself: how much virtual time and how many events a second of computing buys, for a
// cluster that idles, one that is loaded, and the seeds as they are drawn; what a seed takes, where
// that goes, and whether memory stays what it was. Checkers on, as always.
//
// A second is one of all threads of this process, the engine's own compiler and collector with
// them: on a machine that does nothing else a run is over a little earlier, on a busy one much
// later. How busy it was is told, too.

import { performance } from "node:perf_hooks";
import { setImmediate } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { type Plan, type PlanDraft, planOf } from "../sim/plan.ts";
import { runPlan } from "../sim/run.ts";
import { drawPlan } from "../sim/swarm.ts";
import type { Size } from "./main.ts";
import { type Row, row } from "./row.ts";
import { sharesOf } from "./shares.ts";

/**
 * What TigerBeetle says of its own simulator, in its documentation; other machine, other system.
 */
const VOPR_SPEEDUP = 700;
/** What we want. */
const WANTED = { idle: 1000, events: 300_000, medianMs: 300, mostMs: 2000 } as const;

const SEEDS: Readonly<Record<Size, number>> = { quick: 10, usual: 100, long: 10_000 };
const IDLE_MS: Readonly<Record<Size, number>> = { quick: 60_000, usual: 600_000, long: 600_000 };
const LOADED_MS: Readonly<Record<Size, number>> = { quick: 20_000, usual: 120_000, long: 120_000 };
/** Memory is looked at first after so many seeds in a hundred: by then all code is compiled. */
const SETTLED_PERCENT = 10;

/** Virtual time and events per second of each profile; more seeds when it is long. */
export async function runSimBench(size: Size): Promise<Row[]> {
  // Twice: the engine compiles what it has seen to be hot.
  for (const name of ["warm up", "warm up again"]) runPlan(drawPlan(name));
  const began = { wallMs: performance.now(), cpuMs: cpuMs() };
  const rows = [
    ...paceOf("idle, 3 nodes", measure([idle(IDLE_MS[size])]), "wanted", WANTED.idle),
    ...paceOf("loaded, 3 nodes", measure([loaded(LOADED_MS[size])])),
    ...(await seedRows(SEEDS[size])),
  ];
  const busy = (performance.now() - began.wallMs) / (cpuMs() - began.cpuMs);
  rows.push(row("sim", "all of it", busy, "s of wall a s"));
  const shares = sharesOf(() => {
    measure([idle(IDLE_MS.quick), loaded(LOADED_MS.quick), ...seeds(SEEDS.quick)]);
  });
  for (const [part, percent] of shares) rows.push(row("sim", part, percent, "% of the time"));
  return rows;
}

interface Pace {
  /** Of each run. */
  readonly cpuMs: readonly number[];
  readonly simulatedMs: number;
  readonly events: number;
}

function paceOf(
  what: string,
  { cpuMs, simulatedMs, events }: Pace,
  reference: string | null = null,
  referenceValue: number | null = null,
): Row[] {
  const total = cpuMs.reduce((sum, ms) => sum + ms, 0);
  return [
    row("sim", what, simulatedMs / total, "simulated s a s", reference, referenceValue),
    row("sim", what, (events * 1000) / total, "events a s", "wanted", WANTED.events),
  ];
}

/** Drawn seeds, one after another in one process. */
async function seedRows(count: number): Promise<Row[]> {
  const what = `swarm, ${count} seeds`;
  const settled = Math.max(1, Math.floor((count * SETTLED_PERCENT) / 100));
  const plans = seeds(count);
  const beginning = measure(take(plans, settled));
  const first = await memory();
  const pace = joined(beginning, measure(plans));
  const last = await memory();
  const sorted = [...pace.cpuMs].sort((a, b) => a - b);
  const medianMs = sorted[Math.floor(sorted.length / 2)] ?? 0;
  const mostMs = sorted.at(-1) ?? 0;
  const after = `after ${settled}`;
  return [
    ...paceOf(what, pace, "VOPR", VOPR_SPEEDUP),
    row("sim", what, medianMs, "ms, median", "wanted", WANTED.medianMs),
    row("sim", what, mostMs, "ms, most", "wanted", WANTED.mostMs),
    row("sim", what, last.heapMb, "MB of live heap", after, first.heapMb),
    row("sim", what, last.rssMb, "MB resident", after, first.rssMb),
  ];
}

function* seeds(count: number): Generator<Plan> {
  for (let seed = 1; seed <= count; seed++) yield drawPlan(String(seed));
}

/** The next few, and leaves the rest to whoever asks after. */
function* take(plans: Iterator<Plan>, count: number): Generator<Plan> {
  for (let taken = 0; taken < count; taken++) {
    const { done, value } = plans.next();
    if (done === true) return;
    yield value;
  }
}

function joined(one: Pace, other: Pace): Pace {
  return {
    cpuMs: [...one.cpuMs, ...other.cpuMs],
    simulatedMs: one.simulatedMs + other.simulatedMs,
    events: one.events + other.events,
  };
}

function measure(plans: Iterable<Plan>): Pace {
  const spentMs: number[] = [];
  let [simulatedMs, events] = [0, 0];
  for (const plan of plans) {
    const began = cpuMs();
    const report = runPlan(plan);
    spentMs.push(cpuMs() - began);
    if (report.violation !== null) throw new Error(`seed ${plan.seed} fails: nothing is measured`);
    simulatedMs += report.simulatedMs;
    events += report.events;
  }
  return { cpuMs: spentMs, simulatedMs, events };
}

/** Of all threads of this process. */
function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

const MEGABYTE = 1024 * 1024;

/**
 * What is left once all garbage is gone, and what the process holds of the machine. The memory of
 * buffers is given back by the event loop, once it comes round.
 */
async function memory(): Promise<{ readonly heapMb: number; readonly rssMb: number }> {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc") as () => void;
  for (let round = 0; round < 3; round++) {
    collect();
    await setImmediate();
  }
  const { heapUsed, external, rss } = process.memoryUsage();
  return { heapMb: (heapUsed + external) / MEGABYTE, rssMb: rss / MEGABYTE };
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
