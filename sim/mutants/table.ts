// The table of docs/mutants.md: what was measured of each mutant, in Markdown, and its place in the
// page. Owns columns and sums; the figures are made in measure.ts.

import { plural } from "../words.ts";
import type { Ledger, MutantRow, StreamRow } from "./ledger.ts";
import { nameOfHunt, STREAM_SEEDS, STREAMS } from "./measure.ts";
import { huntOf, type Mutant } from "./mutant.ts";

export interface TableEntry {
  readonly mutant: Mutant;
  readonly row: MutantRow;
}

const SEED_COLUMNS = [
  "mutant",
  "what it breaks",
  "hunted in",
  "expected",
  "seen",
  "streams",
  "seeds",
  "seconds",
  "reached / triggered / detected of runs",
  "plan events",
  "CPU min",
];

const SEEDS_IN_ALL = STREAMS * STREAM_SEEDS;

const BEGIN = "<!-- written by `npm run mutants` -->";
const END = "<!-- end -->";

/** The value that `share` of all are at or below; a stream that nothing killed is infinite. */
export function quantile(values: readonly number[], share: number): number {
  const ascending = values.slice().sort((a, b) => a - b);
  return ascending[Math.max(0, Math.ceil(share * ascending.length) - 1)] ?? Number.NaN;
}

export function isKilled({ streams, tests }: MutantRow): boolean {
  return (tests !== null && tests.file !== null) || streams.some(({ kill }) => kill !== null);
}

/** Survived all that was asked of it, and nobody says why. */
export function isUnexplained({ mutant, row }: TableEntry): boolean {
  const isHunted = row.tests !== null || row.streams.length > 0;
  return isHunted && !isKilled(row) && mutant.equivalent === undefined;
}

/** Whether a survivor has had all the seeds there are. */
function hasHadAll({ tests, streams }: MutantRow): boolean {
  return tests !== null || streams.reduce((sum, { runs }) => sum + runs, 0) >= SEEDS_IN_ALL;
}

/** Seeds that fail on the sources as they are. */
export function falseAlarms({ outcomes }: Ledger): string[] {
  return Object.entries(outcomes).flatMap(([hunt, seeds]) =>
    Object.entries(seeds).flatMap(([seed, { property }]) =>
      property === null ? [] : [`${hunt}, ${seed}: ${property}`],
    ),
  );
}

/** Markdown; `when` names the machine and the day. */
export function describeTable(
  entries: readonly TableEntry[],
  ledger: Ledger,
  when: string,
): string[] {
  const bySeeds = entries.filter(({ mutant }) => huntOf(mutant).by !== "tests");
  const byTests = entries.filter(({ mutant }) => huntOf(mutant).by === "tests");
  return [
    `Measured ${when}.`,
    "",
    ...describeSums(entries),
    ...describeBaseline(ledger),
    "",
    `| ${SEED_COLUMNS.join(" | ")} |`,
    `|${SEED_COLUMNS.map(() => "---|").join("")}`,
    ...bySeeds.map(describeSeedRow),
    "",
    "Those that test files must notice:",
    "",
    "| mutant | what it breaks | expected | seen | tests failed | seconds |",
    "|---|---|---|---|---:|---:|",
    ...byTests.map(describeTestRow),
  ];
}

/** A sentence each for kills, sizes and what is still to do. */
export function describeSums(entries: readonly TableEntry[]): string[] {
  const killed = entries.filter(({ row }) => isKilled(row));
  const equal = entries.filter(({ mutant, row }) => !isKilled(row) && mutant.equivalent);
  const open = entries.filter(({ row }) => row.tests === null && row.streams.length === 0);
  const unkilled = entries.filter(isUnexplained);
  const survived = unkilled.filter(({ row }) => hasHadAll(row));
  const sizes = entries.flatMap(({ row }) => row.shrunk ?? []);
  const lines = [
    `- ${killed.length} of ${plural(entries.length, "mutant")} killed, ${equal.length} argued ` +
      `equivalent, ${survived.length} survived, ${unkilled.length - survived.length} not killed ` +
      `so far, ${open.length} not measured yet.`,
  ];
  if (sizes.length > 0) {
    const events = sizes.map(({ after }) => after);
    const walls = sizes.map(({ wallMs }) => wallMs);
    lines.push(
      `- One failure of each of ${sizes.length} shrunk: plan events median ` +
        `${quantile(events, 0.5)}, p90 ${quantile(events, 0.9)}; seconds median ` +
        `${seconds(quantile(walls, 0.5))}, most ${seconds(quantile(walls, 1))}.`,
    );
  }
  for (const { mutant } of survived) lines.push(`- Survived: ${mutant.name}.`);
  return lines;
}

function describeBaseline(ledger: Ledger): string[] {
  const runs = Object.entries(ledger.outcomes).map(
    ([hunt, seeds]) => `${Object.keys(seeds).length} (${hunt})`,
  );
  const alarms = falseAlarms(ledger);
  const said = alarms.length === 0 ? "no alarm" : `FALSE ALARMS: ${alarms.join("; ")}`;
  return [
    `- The sources as they are, on the seeds and files that mutants met since these last changed, ${said}: ${runs.join(", ")}.`,
  ];
}

function describeSeedRow({ mutant, row }: TableEntry): string {
  const { streams, shrunk } = row;
  const kills = streams.filter(({ kill }) => kill !== null);
  const sum = (of: (stream: StreamRow) => number) =>
    streams.reduce((all, each) => all + of(each), 0);
  const runs = sum((each) => each.runs);
  const share = [sum((each) => each.reached), sum((each) => each.triggered), kills.length];
  const cpuMs = sum((each) => each.cpuMs) + (shrunk?.cpuMs ?? 0);
  const cells = [
    mutant.name,
    whatItBreaks(mutant),
    nameOfHunt(huntOf(mutant)),
    mutant.properties.join(", "),
    seen(mutant, row),
    `${kills.length} of ${streams.length}`,
    middleAndTail(streams, (each) => each.runs, String),
    middleAndTail(streams, (each) => each.wallMs, seconds),
    streams.length === 0 ? "" : `${share.join(" / ")} of ${runs}`,
    shrunk === null ? "" : `${shrunk.before}→${shrunk.after}${shrunk.isMinimal ? "" : "+"}`,
    (cpuMs / 60_000).toFixed(1),
  ];
  return `| ${cells.join(" | ")} |`;
}

/** Which properties failed, the most frequent first; one that was not expected is marked. */
function seen({ properties, equivalent }: Mutant, row: MutantRow): string {
  const { streams } = row;
  const counts = new Map<string, number>();
  for (const { kill } of streams)
    if (kill !== null) counts.set(kill.property, (counts.get(kill.property) ?? 0) + 1);
  if (counts.size === 0) {
    if (streams.length === 0) return "not measured yet";
    if (equivalent !== undefined) return `equivalent: ${equivalent}`;
    return hasHadAll(row) ? "SURVIVED" : "not killed so far";
  }
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  return sorted
    .map(
      ([property, count]) => `${property} ${count}${properties.includes(property) ? "" : " (!)"}`,
    )
    .join(", ");
}

function middleAndTail(
  streams: readonly StreamRow[],
  of: (stream: StreamRow) => number,
  say: (value: number) => string,
): string {
  if (streams.length === 0) return "";
  const values = streams.map((each) => (each.kill === null ? Number.POSITIVE_INFINITY : of(each)));
  const most = Math.max(...streams.map(of));
  const tell = (value: number) => (Number.isFinite(value) ? say(value) : `>${say(most)}`);
  return `${tell(quantile(values, 0.5))} / ${tell(quantile(values, 0.9))}`;
}

function describeTestRow({ mutant, row: { tests } }: TableEntry): string {
  const hunt = huntOf(mutant);
  const short = (file: string) => file.replace(/^test\/|\.test\.ts$/g, "");
  const wanted = hunt.by === "tests" ? hunt.files.map(short).join(", ") : "";
  const told = tests?.file === null || tests === null ? null : short(tests.file);
  const cells = [
    mutant.name,
    whatItBreaks(mutant),
    wanted,
    tests === null ? "not measured yet" : (told ?? mutant.equivalent ?? "SURVIVED"),
    tests === null ? "" : `${tests.failed} of ${tests.tests}`,
    tests === null ? "" : seconds(tests.wallMs),
  ];
  return `| ${cells.join(" | ")} |`;
}

function whatItBreaks({ breaks, source }: Mutant): string {
  return source === undefined ? breaks : `${breaks} (${source})`;
}

function seconds(ms: number): string {
  return (ms / 1000).toFixed(1);
}

/** The page with the table between its two marks replaced; throws when they are not there. */
export function putTable(page: string, table: readonly string[]): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END, begin);
  if (begin < 0 || end < 0) throw new Error(`no table: write ${BEGIN} and ${END} where it goes`);
  const lines = [BEGIN, "", ...table, "", END];
  return page.slice(0, begin) + lines.join("\n") + page.slice(end + END.length);
}
