// Gossip in virtual time, with the timing of stock agents on a LAN: how soon a crash is known, how
// soon news is everywhere and what it costs, by the number of members (SWIM's claims), and whom
// members call failed while some are slow, with and without Lifeguard (its paper's experiment).
// Owns the sizes, the published figures and the tables; a trial is gossip-trials.ts.

import { millis } from "../src/base/ids.ts";
import { Progress } from "../src/cli/terminal.ts";
import { LAN_PROFILE } from "../src/gossip/profiles.ts";
import { chartOf } from "./chart.ts";
import {
  type Detection,
  type FalseWords,
  falseWords,
  measureSize,
  type SizeFigures,
  WITHOUT_LIFEGUARD,
} from "./gossip-trials.ts";
import { type LineChart, lineChartOf } from "./line-chart.ts";
import { type Measured, type Row, row } from "./row.ts";

/** Whole probe intervals until a crashed member is first probed: e/(e-1) (SWIM, section 3.1). */
const SWIM_FIRST_PROBE_S = 1.58;
/** By so much Lifeguard makes fewer false positives, at least (arXiv 1707.00788, version 1). */
const LIFEGUARD_FACTOR = 50;

const SIZES = [8, 16, 32, 64, 128, 256, 512];
const SLOW = [1, 2, 4, 8, 16, 32];

interface Effort {
  readonly sizes: readonly number[];
  readonly trials: (size: number) => number;
  readonly slowSize: number;
  readonly slow: readonly number[];
  readonly slowSpanMs: number;
}

/** Held up for longer than a suspicion among 128 takes without Lifeguard, three times. */
const HELD_MS = 16_384;
const FREE_MS = 4096;

const USUAL: Effort = {
  sizes: SIZES,
  trials: (size) => Math.max(6, Math.min(24, Math.floor(2048 / size))),
  slowSize: 128,
  slow: SLOW,
  slowSpanMs: 3 * (HELD_MS + FREE_MS),
};

const QUICK: Effort = {
  sizes: [8, 32],
  trials: () => 5,
  slowSize: 32,
  slow: [1, 4],
  slowSpanMs: HELD_MS + FREE_MS,
};

interface SlowFigures {
  readonly slow: number;
  readonly without: FalseWords;
  readonly lifeguard: FalseWords;
}

export async function runGossipBench(quick: boolean): Promise<Measured> {
  const effort = quick ? QUICK : USUAL;
  const work = workOf(effort);
  const progress = new Progress("gossip", work.total);
  const bySize: [number, SizeFigures][] = [];
  for (const size of effort.sizes) {
    const tick = () => {
      work.done += size;
      progress.update(work.done, `${size} members`);
    };
    bySize.push([size, measureSize(size, effort.trials(size), tick)]);
  }
  const slow: SlowFigures[] = [];
  for (const count of effort.slow) {
    slow.push(slowOf(effort, count));
    work.done += SLOW_WORK;
    progress.update(work.done, `${count} slow members of ${effort.slowSize}`);
  }
  progress.stop();
  const rows = [
    ...bySize.flatMap(([size, figures]) => rowsOfSize(size, figures)),
    ...slow.flatMap((figures) => rowsOfSlow(effort.slowSize, figures)),
  ];
  return { rows, plots: plotsOf(effort, bySize, slow) };
}

/** As many members as take as long, roughly. */
const SLOW_WORK = 2000;

function workOf({ sizes, trials, slow }: Effort): { done: number; readonly total: number } {
  const members = sizes.reduce((sum, size) => sum + size * trials(size), 0);
  return { done: 0, total: members + slow.length * SLOW_WORK };
}

function slowOf({ slowSize: size, slowSpanMs }: Effort, slow: number): SlowFigures {
  const [held, free, span] = [millis(HELD_MS), millis(FREE_MS), millis(slowSpanMs)];
  const setting = { size, slow, held, free, span };
  const seed = `bench/gossip/slow/${slow}`;
  return {
    slow,
    without: falseWords(seed, setting, WITHOUT_LIFEGUARD),
    lifeguard: falseWords(seed, setting, LAN_PROFILE),
  };
}

function rowsOfSize(size: number, figures: SizeFigures): Row[] {
  const { detections, spreadsMs, atRest, withNews } = figures;
  const seconds = (of: (one: Detection) => number) => detections.map((one) => of(one) / 1000);
  const suspected = meanOf(seconds(({ suspectedMs }) => suspectedMs));
  const claim = ["SWIM", SWIM_FIRST_PROBE_S] as const;
  const tell = (what: string, value: number, unit: string) =>
    row("gossip", `${size} members: ${what}`, value, unit);
  return [
    row("gossip", `${size} members: suspected, mean`, suspected, "s", ...claim),
    tell("known, mean", meanOf(seconds(({ knownMs }) => knownMs)), "s"),
    tell("by all, mean", meanOf(seconds(({ knownByAllMs }) => knownByAllMs)), "s"),
    tell("by all, most", Math.max(...seconds(({ knownByAllMs }) => knownByAllMs)), "s"),
    tell("news by all, median", medianOf(spreadsMs), "ms"),
    tell("at rest", atRest.packets, "packets/s"),
    tell("at rest, size", atRest.bytes, "bytes/s"),
    tell("with news", withNews.packets, "packets/s"),
  ];
}

function rowsOfSlow(size: number, { slow, without, lifeguard }: SlowFigures): Row[] {
  const tell = (what: string, value: number) =>
    row("gossip", `${slow} slow of ${size}: ${what}`, value, "false words");
  const fewer = factorOf(without.byAll, lifeguard.byAll);
  return [
    tell("without, by all", without.byAll),
    tell("with, by all", lifeguard.byAll),
    row(
      "gossip",
      `${slow} slow of ${size}: fewer`,
      fewer,
      "times",
      "paper: above",
      LIFEGUARD_FACTOR,
    ),
    tell("without, by healthy", without.byHealthy),
    tell("with, by healthy", lifeguard.byHealthy),
  ];
}

/** Where there are none left, at least as many times fewer as there were. */
const factorOf = (before: number, after: number): number => before / Math.max(1, after);

function plotsOf(
  { slowSize }: Effort,
  bySize: readonly (readonly [number, SizeFigures])[],
  slow: readonly SlowFigures[],
): Measured["plots"] {
  const detection = chartOf({
    title: "A member crashes: by when it is known (LAN timing, virtual time)",
    unit: "seconds since the crash",
    panels: [
      panelOf("The first suspects it", bySize, ({ suspectedMs }) => suspectedMs),
      panelOf("The first knows it", bySize, ({ knownMs }) => knownMs),
      panelOf("The last knows it", bySize, ({ knownByAllMs }) => knownByAllMs),
    ],
  });
  return [
    { file: "gossip-detection.svg", svg: detection },
    { file: "gossip-load.svg", svg: lineChartOf(loadChart(bySize)) },
    { file: "gossip-slow.svg", svg: lineChartOf(slowChart(slowSize, slow)) },
  ];
}

function panelOf(
  title: string,
  bySize: readonly (readonly [number, SizeFigures])[],
  of: (one: Detection) => number,
) {
  const distributions = bySize.map(([size, { detections }]) => {
    const values = detections.map((one) => of(one) / 1000).sort((a, b) => a - b);
    return { name: `${size} members`, values };
  });
  return { title, distributions, published: [] };
}

function loadChart(bySize: readonly (readonly [number, SizeFigures])[]): LineChart {
  const points = (of: (figures: SizeFigures) => number) =>
    bySize.map(([size, figures]) => [size, of(figures)] as const);
  return {
    title: "What gossip costs a member, and how fast news is (LAN timing, virtual time)",
    unit: "members",
    panels: [
      {
        title: "Sent by a member",
        unit: "packets a second",
        lines: [
          { name: "at rest", points: points(({ atRest }) => atRest.packets) },
          { name: "with news", points: points(({ withNews }) => withNews.packets) },
        ],
      },
      {
        title: "Sent by a member",
        unit: "bytes a second",
        lines: [
          { name: "at rest", points: points(({ atRest }) => atRest.bytes) },
          { name: "with news", points: points(({ withNews }) => withNews.bytes) },
        ],
      },
      {
        title: "Until the last member knows",
        unit: "ms",
        lines: [{ name: "median", points: points(({ spreadsMs }) => medianOf(spreadsMs)) }],
      },
    ],
  };
}

function slowChart(size: number, figures: readonly SlowFigures[]): LineChart {
  const points = (of: (one: SlowFigures) => number) =>
    figures.map((one) => [one.slow, Math.max(1, of(one))] as const);
  const panel = (title: string, of: (words: FalseWords) => number) => ({
    title,
    unit: "false words, 1 or more",
    isLogarithmic: true,
    lines: [
      { name: "without Lifeguard", points: points(({ without }) => of(without)) },
      { name: "with Lifeguard", points: points(({ lifeguard }) => of(lifeguard)) },
    ],
  });
  return {
    title: `Healthy members called failed while others of ${size} are slow`,
    unit: "slow members",
    panels: [
      panel("By all members", ({ byAll }) => byAll),
      panel("By healthy members", ({ byHealthy }) => byHealthy),
    ],
  };
}

const meanOf = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

function medianOf(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.ceil(sorted.length / 2) - 1] ?? Number.NaN;
}
