// Figures in the docs, written by the command that measured them, with commit and date. Owns the
// place between two marks in a page, and the form of the table there.

import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { arch, cpus, platform } from "node:os";
import path from "node:path";

import { type Measured, type Row, readable } from "./row.ts";

/** Run from the repository, as npm does. */
const DOCS = "docs";

/**
 * Replaces what `page` has between the marks of `bench`, and writes the plots beside it; `words` of
 * the command line have measured them.
 */
export function writeFigures(
  page: string,
  bench: string,
  { rows, plots }: Measured,
  words = bench,
): void {
  const file = path.join(DOCS, page);
  const before = readFileSync(file, "utf8");
  const [begin, end] = [`<!-- figures: ${bench} -->`, `<!-- end of figures: ${bench} -->`];
  const [from, to] = [before.indexOf(begin), before.indexOf(end)];
  if (from < 0 || to < from)
    throw new Error(`${file} has no place for figures: ${begin} .. ${end}`);
  const figures = [begin, tableOf(rows), "", `_${provenance(words)}_`, end].join("\n");
  writeFileSync(file, before.slice(0, from) + figures + before.slice(to + end.length));
  for (const plot of plots) writeFileSync(path.join(DOCS, plot.file), plot.svg);
}

function provenance(words: string): string {
  const git = (...args: string[]): string => execFileSync("git", args, { encoding: "utf8" }).trim();
  const commit = git("rev-parse", "--short", "HEAD");
  const isClean = git("status", "--porcelain", "--untracked-files=no") === "";
  const date = new Date().toISOString().slice(0, 10);
  const machine = `Node ${process.versions.node}, ${platform()} ${arch()}, ${cpus().length} CPUs`;
  const what = `\`npm run bench -- ${words} --docs\``;
  return `Written by ${what} at ${commit}${isClean ? "" : " with changes"}, ${date}; ${machine}.`;
}

/**
 * Cases of the form "setting: statistic" are one line a setting; settings with other statistics are
 * another table.
 */
function tableOf(rows: readonly Row[]): string {
  const isPivot = rows.filter((row) => row.case.includes(": ")).length > rows.length / 2;
  if (!isPivot) return listOf(rows);
  const settings = new Map<string, Row[]>();
  for (const row of rows) {
    const [setting = "", statistic] = row.case.split(": ");
    if (statistic !== undefined) settings.set(setting, [...(settings.get(setting) ?? []), row]);
  }
  const tables = new Map<string, Row[]>();
  for (const lines of settings.values()) {
    const statistics = lines.map((row) => row.case.split(": ")[1]).join();
    tables.set(statistics, [...(tables.get(statistics) ?? []), ...lines]);
  }
  return [...tables.values()].map(pivotOf).join("\n\n");
}

function listOf(rows: readonly Row[]): string {
  const lines = rows.map((row) => {
    const reference = row.reference === null ? "" : referenceOf(row);
    const ratio = row.ratio === null ? "" : `${row.ratio.toFixed(2)} x`;
    return `| ${row.case} | ${readable(row.value)} ${row.unit} | ${reference} | ${ratio} |`;
  });
  return ["| | measured | beside | ratio |", "|---|---|---|---|", ...lines].join("\n");
}

function pivotOf(rows: readonly Row[]): string {
  const settings = new Map<string, Map<string, Row>>();
  for (const row of rows) {
    const [setting = "", statistic = ""] = row.case.split(": ");
    if (statistic === "") continue;
    const line = settings.get(setting) ?? new Map<string, Row>();
    settings.set(setting, line.set(statistic, row));
  }
  const statistics = [...new Set([...settings.values()].flatMap((line) => [...line.keys()]))];
  const lines = [...settings].map(([setting, line]) => {
    const cells = statistics.map((statistic) => cellOf(line.get(statistic)));
    return `| ${[setting, ...cells].join(" | ")} |`;
  });
  const units = new Set(rows.map(({ unit }) => unit));
  const headed = statistics.map((statistic) => {
    const unit = rows.find((row) => row.case.endsWith(`: ${statistic}`))?.unit ?? "";
    return units.size === 1 ? statistic : `${statistic} (${unit})`;
  });
  return [
    `| ${[units.size === 1 ? `in ${[...units][0]}` : "", ...headed].join(" | ")} |`,
    `|${"---|".repeat(statistics.length + 1)}`,
    ...lines,
  ].join("\n");
}

function cellOf(row: Row | undefined): string {
  if (row === undefined) return "";
  return row.reference === null
    ? readable(row.value)
    : `${readable(row.value)} (${referenceOf(row)})`;
}

const referenceOf = ({ reference, referenceValue }: Row): string =>
  `${reference} ${readable(referenceValue ?? 0)}`;
