// The thesis's election experiment (section 9.3, and section 9.3 of the paper) in virtual time: how
// long five servers are without a leader after a crash, by the randomness of their timeouts and by
// their length. Owns the settings, the published figures and what is told of a distribution; a
// trial is election-trial.ts.

import { type Micros, millis } from "../src/base/ids.ts";
import { Prng } from "../src/base/prng.ts";
import { type Chart, chartOf, type Distribution, type Panel, type Published } from "./chart.ts";
import { broadcastTime, withoutLeader } from "./election-trial.ts";
import { type Measured, type Row, row } from "./row.ts";

const TRIALS = 1000;

interface Setting {
  readonly minMs: number;
  readonly maxMs: number;
  /** By statistic; null where the thesis gives no figure. */
  readonly published?: Readonly<Record<string, number>>;
}

/** The base timeout is 150 ms, with this much of randomness. */
const BY_RANDOMNESS: readonly Setting[] = [
  // It gives no figure but this: consistently longer.
  { minMs: 150, maxMs: 150, published: { median: 10_000 } },
  { minMs: 150, maxMs: 155, published: { median: 287 } },
  { minMs: 150, maxMs: 160 },
  { minMs: 150, maxMs: 165 },
  { minMs: 150, maxMs: 175 },
  { minMs: 150, maxMs: 200, published: { max: 513 } },
];

const BY_LENGTH: readonly Setting[] = [
  { minMs: 12, maxMs: 24, published: { mean: 35, max: 152 } },
  { minMs: 25, maxMs: 50 },
  { minMs: 50, maxMs: 100 },
  { minMs: 100, maxMs: 200 },
  { minMs: 150, maxMs: 300 },
];

const STATISTICS: readonly (readonly [string, (sorted: readonly number[]) => number])[] = [
  ["mean", (sorted) => sorted.reduce((sum, each) => sum + each, 0) / sorted.length],
  ["median", (sorted) => quantile(sorted, 0.5)],
  ["p90", (sorted) => quantile(sorted, 0.9)],
  ["p99", (sorted) => quantile(sorted, 0.99)],
  ["max", (sorted) => quantile(sorted, 1)],
];

/** The smallest value that this share of them is at or below. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? Number.NaN;
}

export async function runElectionsBench(quick: boolean): Promise<Measured> {
  const trials = quick ? TRIALS / 10 : TRIALS;
  const prng = new Prng("bench/elections");
  const broadcasts = sorted(trials, () => broadcastTime(prng));
  const panels = [
    panelOf("150 ms timeouts with more and more randomness", BY_RANDOMNESS, trials),
    panelOf("shorter and longer timeouts, as random as they are long", BY_LENGTH, trials),
  ];
  const broadcast = quantile(broadcasts, 0.5);
  const rows = [
    row("elections", "broadcast to four, median", broadcast, "ms", "thesis: about", 15),
    ...panels.flatMap(({ rows }) => rows),
  ];
  const chart: Chart = {
    title: `Without a leader after a crash: ${trials} trials each, virtual time`,
    unit: "ms from the crash to the next leader's first heartbeat",
    panels: panels.map(({ panel }) => panel),
  };
  return { rows, plots: [{ file: "elections.svg", svg: chartOf(chart) }] };
}

function panelOf(
  title: string,
  settings: readonly Setting[],
  trials: number,
): { readonly rows: Row[]; readonly panel: Panel } {
  const rows: Row[] = [];
  const distributions: Distribution[] = [];
  const published: Published[] = [];
  for (const setting of settings) {
    const name = `${setting.minMs} to ${setting.maxMs} ms`;
    const values = distributionOf(setting, trials);
    distributions.push({ name, values });
    for (const [statistic, of] of STATISTICS) {
      const known = setting.published?.[statistic] ?? null;
      const reference = known === null ? null : referenceOf(setting);
      rows.push(row("elections", `${name}: ${statistic}`, of(values), "ms", reference, known));
    }
    published.push(...ringsOf(setting));
  }
  return { rows, panel: { title, distributions, published } };
}

const referenceOf = ({ minMs, maxMs }: Setting): string =>
  minMs === maxMs ? "thesis: above" : "thesis";

/** A mean has no place on a curve of shares. */
function ringsOf({ minMs, maxMs, published = {} }: Setting): Published[] {
  const rings: Published[] = [];
  const { median, max } = published;
  if (median !== undefined && minMs < maxMs) {
    rings.push({ name: `thesis, ${minMs} to ${maxMs}: median`, value: median, share: 0.5 });
  }
  if (max !== undefined) {
    rings.push({ name: `thesis, ${minMs} to ${maxMs}: worst`, value: max, share: 1 });
  }
  return rings;
}

/** In milliseconds, ascending. */
function distributionOf({ minMs, maxMs }: Setting, trials: number): number[] {
  const electionTimeoutMin = millis(minMs);
  const electionTimeoutMax = Math.max(millis(maxMs), electionTimeoutMin + 1) as Micros;
  const timing = { electionTimeoutMin, electionTimeoutMax };
  const prng = new Prng(`bench/elections/${minMs}-${maxMs}`);
  let trial = 0;
  return sorted(trials, () => withoutLeader(timing, prng.fork(`${trial++}`)));
}

function sorted(count: number, draw: () => Micros): number[] {
  const drawn = Array.from({ length: count }, () => draw() / 1000);
  return drawn.sort((a, b) => a - b);
}
