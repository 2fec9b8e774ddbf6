// Figures by size as a picture: a few lines over one logarithmic axis for each panel, as SVG text.
// Owns the layout; scales and paths are d3's, colours and letters chart.ts's.

import { scaleLinear, scaleLog } from "d3-scale";
import { line } from "d3-shape";

import {
  COLOURS,
  DASHES,
  documentOf,
  group,
  legendLine,
  MIDDLE,
  PLOT,
  round,
  rule,
  text,
} from "./chart.ts";
import { readable } from "./row.ts";

export interface Line {
  readonly name: string;
  /** Ascending in x; both above zero where the panel's axis is logarithmic. */
  readonly points: readonly (readonly [x: number, y: number])[];
}

export interface LinePanel {
  readonly title: string;
  /** What the upright axis counts. */
  readonly unit: string;
  /** Powers of ten from the bottom to the top; evenly from zero otherwise. */
  readonly isLogarithmic?: boolean;
  readonly lines: readonly Line[];
}

export interface LineChart {
  readonly title: string;
  /** What the level axis counts. */
  readonly unit: string;
  readonly panels: readonly LinePanel[];
}

const HEIGHT = 300;

/** One SVG document: the panels under one another, a mark at each measured place. */
export function lineChartOf({ title, unit, panels }: LineChart): string {
  const drawn = panels.map((panel, at) => group(34 + at * HEIGHT, panelOf(panel, unit)));
  return documentOf(title, 34 + HEIGHT * panels.length, drawn);
}

type Scale = (value: number) => number;

function panelOf(
  { title, unit, lines, isLogarithmic = false }: LinePanel,
  below: string,
): string[] {
  const places = [...new Set(lines.flatMap(({ points }) => points.map(([x]) => x)))];
  const values = lines.flatMap(({ points }) => points.map(([, y]) => y));
  const x = scaleLog()
    .domain([Math.min(...places), Math.max(...places)])
    .range([PLOT.left, PLOT.right]);
  const top = Math.max(...values) * 1.1;
  const upright = isLogarithmic
    ? scaleLog().domain([Math.min(1, ...values), top])
    : scaleLinear().domain([0, top]);
  const y = upright.range([PLOT.bottom, PLOT.top]);
  const isShown = (tick: number) => !isLogarithmic || Number.isInteger(Math.log10(tick));
  return [
    text(PLOT.left, PLOT.top - 14, `${title}, ${unit}`, 'font-weight="bold"'),
    ...places.map((place) => tickBelow(x(place), place)),
    ...y
      .ticks(5)
      .filter(isShown)
      .map((tick) => tickBeside(y(tick), tick)),
    ...lines.flatMap((one, at) => lineOf(one, at, x, y)),
    ...lines.map(({ name }, at) => legendLine(name, at)),
    text((PLOT.left + PLOT.right) / 2, PLOT.bottom + 36, below, MIDDLE),
  ];
}

function tickBelow(place: number, value: number): string {
  const at = round(place);
  const label = text(at, PLOT.bottom + 17, String(value), MIDDLE);
  return `${rule(at, PLOT.top, at, PLOT.bottom)}${label}`;
}

function tickBeside(place: number, value: number): string {
  const at = round(place);
  const label = text(PLOT.left - 8, at + 4, readable(value), 'text-anchor="end"');
  return `${rule(PLOT.left, at, PLOT.right, at)}${label}`;
}

function lineOf({ points }: Line, at: number, x: Scale, y: Scale): string[] {
  const placed = points.map(([across, up]): [number, number] => [round(x(across)), round(y(up))]);
  const colour = COLOURS[at % COLOURS.length];
  const stroke = `stroke="${colour}" stroke-width="1.6"`;
  const dash = `stroke-dasharray="${DASHES[at % DASHES.length]}"`;
  const path = `<path d="${line()(placed) ?? ""}" fill="none" ${stroke} ${dash}/>`;
  const marks = placed.map(([cx, cy]) => `<circle cx="${cx}" cy="${cy}" r="3" fill="${colour}"/>`);
  return [path, ...marks];
}
