// Distributions as a picture: for each panel the share of trials that were over by a time, as SVG
// text. Owns the layout; scales and paths are d3's.

import { scaleLinear, scaleLog } from "d3-scale";
import { curveStepAfter, line } from "d3-shape";

export interface Distribution {
  readonly name: string;
  /** Ascending, above zero, in the unit of the axis. */
  readonly values: readonly number[];
}

/** A figure of somebody else's, drawn as a ring where its curve must have passed. */
export interface Published {
  readonly name: string;
  readonly value: number;
  /** The share of trials that were over by then, from 0 to 1. */
  readonly share: number;
}

export interface Panel {
  readonly title: string;
  readonly distributions: readonly Distribution[];
  readonly published: readonly Published[];
}

export interface Chart {
  readonly title: string;
  readonly unit: string;
  readonly panels: readonly Panel[];
}

type Scale = (value: number) => number;

const WIDTH = 760;
const PANEL_HEIGHT = 300;
export const PLOT = { left: 64, right: 556, top: 44, bottom: 250 };
const LEGEND_LEFT = 578;
// Okabe and Ito's colours, told apart by all eyes; dashes tell them apart in print.
export const COLOURS = [
  ...["#000000", "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"],
  "#56b4e9",
];
export const DASHES = ["none", "7 3", "2 3", "9 3 2 3", "4 2", "12 3", "1 2"];

/** One SVG document: the panels under one another, over one logarithmic axis. */
export function chartOf({ title, unit, panels }: Chart): string {
  const values = panels.flatMap(({ distributions, published }) => [
    ...distributions.flatMap((each) => each.values),
    ...published.map(({ value }) => value),
  ]);
  const domain = [Math.min(...values) * 0.9, Math.max(...values) * 1.1];
  const x = scaleLog().domain(domain).range([PLOT.left, PLOT.right]);
  const ticks = x.ticks(5).filter((tick) => /^[125]0*$/.test(String(tick)));
  const y = scaleLinear().domain([0, 1]).range([PLOT.bottom, PLOT.top]);
  const height = 34 + PANEL_HEIGHT * panels.length;
  const drawn = panels.map((panel, at) => {
    const inside = [...gridOf(x, ticks, y), ...curvesOf(panel, x, y), ...legendOf(panel)];
    const name = text(PLOT.left, PLOT.top - 14, panel.title, 'font-weight="bold"');
    const axis = text((PLOT.left + PLOT.right) / 2, PLOT.bottom + 36, unit, MIDDLE);
    return group(34 + at * PANEL_HEIGHT, [name, ...inside, axis]);
  });
  return documentOf(title, height, drawn);
}

/** The title above what is drawn. */
export function documentOf(title: string, height: number, drawn: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" ` +
      `height="${height}" font-family="sans-serif" font-size="12" role="img">`,
    `<title>${escaped(title)}</title>`,
    `<rect width="${WIDTH}" height="${height}" fill="#ffffff"/>`,
    text(PLOT.left, 24, title, 'font-size="15" font-weight="bold"'),
    ...drawn,
    "</svg>",
    "",
  ].join("\n");
}

export const MIDDLE = 'text-anchor="middle"';

function gridOf(x: Scale, ticks: readonly number[], y: Scale): string[] {
  const upright = ticks.map((tick) => {
    const at = round(x(tick));
    const label = text(at, PLOT.bottom + 17, tick.toLocaleString("en-US"), MIDDLE);
    return `${rule(at, PLOT.top, at, PLOT.bottom)}${label}`;
  });
  const level = [0, 0.25, 0.5, 0.75, 1].map((share) => {
    const at = round(y(share));
    const label = text(PLOT.left - 8, at + 4, `${share * 100} %`, 'text-anchor="end"');
    return `${rule(PLOT.left, at, PLOT.right, at)}${label}`;
  });
  return [...upright, ...level];
}

function curvesOf({ distributions, published }: Panel, x: Scale, y: Scale): string[] {
  const path = line<[number, number]>(
    ([value]) => round(x(value)),
    ([, share]) => round(y(share)),
  ).curve(curveStepAfter);
  const curves = distributions.map(({ values }, at) => {
    const points = shares(values);
    const stroke = `stroke="${COLOURS[at % COLOURS.length]}" stroke-width="1.6"`;
    const dash = `stroke-dasharray="${DASHES[at % DASHES.length]}"`;
    return `<path d="${path(points) ?? ""}" fill="none" ${stroke} ${dash}/>`;
  });
  const rings = published.map(({ value, share }) => {
    const place = `cx="${round(x(value))}" cy="${round(y(share))}"`;
    return `<circle ${place} r="5" fill="#ffffff" fill-opacity="0.6" stroke="#000000"/>`;
  });
  const letters = published.map(({ value, share }, at) => {
    return text(round(x(value)) + 8, round(y(share)) - 5, letterOf(at));
  });
  return [...curves, ...rings, ...letters];
}

/** The corners of the step that rises by one value at each; no more than can be seen. */
function shares(values: readonly number[]): [number, number][] {
  const first = values[0] ?? 1;
  const points: [number, number][] = [[first, 0]];
  const step = Math.max(1, Math.floor(values.length / 150));
  for (let at = 0; at < values.length; at += step) {
    points.push([values[at] ?? first, (at + 1) / values.length]);
  }
  points.push([values.at(-1) ?? first, 1]);
  return points;
}

function legendOf({ distributions, published }: Panel): string[] {
  const lines = distributions.map(({ name }, at) => legendLine(name, at));
  const below = PLOT.top + 20 + distributions.length * 19;
  const rings = published.map(({ name }, at) => {
    return text(LEGEND_LEFT, below + at * 17, `${letterOf(at)}  ${name}`);
  });
  return [...lines, ...rings];
}

/** The line of the `at`-th colour, and what it stands for. */
export function legendLine(name: string, at: number): string {
  const y = PLOT.top + 8 + at * 19;
  const stroke = `stroke="${COLOURS[at % COLOURS.length]}" stroke-width="2"`;
  const dash = `stroke-dasharray="${DASHES[at % DASHES.length]}"`;
  const sample = `<path d="M${LEGEND_LEFT} ${y}h28" fill="none" ${stroke} ${dash}/>`;
  return `${sample}${text(LEGEND_LEFT + 36, y + 4, name)}`;
}

const letterOf = (at: number): string => String.fromCharCode("A".charCodeAt(0) + at);

export const round = (value: number): number => Math.round(value * 10) / 10;

export function rule(x1: number, y1: number, x2: number, y2: number): string {
  return `<path d="M${x1} ${y1}L${x2} ${y2}" stroke="#dddddd" fill="none"/>`;
}

export function text(x: number, y: number, words: string, attributes = ""): string {
  return `<text x="${x}" y="${y}" ${attributes}>${escaped(words)}</text>`;
}

export function group(top: number, inside: readonly string[]): string {
  return `<g transform="translate(0 ${top})">\n${inside.join("\n")}\n</g>`;
}

function escaped(words: string): string {
  return words.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}
