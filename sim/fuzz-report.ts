// A fuzzing run in words: the line of its progress, its summary, and the same as JUnit's XML for
// whoever collects test results. Owns words and columns; the figures are sim/fuzz-tally.ts.

import { describeMissedMarks } from "./checks/non-vacuity.ts";
import type { FailureGroup, FuzzTally } from "./fuzz-tally.ts";
import type { Profile } from "./profiles.ts";
import { describeMarkTable } from "./report.ts";
import { EXIT_CODES } from "./run.ts";
import { plural } from "./words.ts";

/** Ctrl-C before the time was over (128 + SIGINT). */
const EXIT_INTERRUPTED = 130;
const YEAR_MS = 365.25 * 24 * 3600 * 1000;
/** Of one group of failures, as many seeds are named. */
const SEEDS_NAMED_MAX = 5;
const FACTS_NAMED_MAX = 4;
const COLUMNS = 80;

/** `214 seeds, 2.6 seeds/s, 121000 events/s, 0.00026 simulated years, 22 of 23 marks, 1 failure` */
export function describePace(tally: FuzzTally, wallMs: number): string {
  const seconds = Math.max(wallMs, 1) / 1000;
  const distinct = tally.groups.size;
  const facts = [
    plural(tally.rows.length, "seed"),
    `${(tally.rows.length / seconds).toFixed(1)} seeds/s`,
    `${Math.round(tally.events / seconds)} events/s`,
    `${(tally.simulatedMs / YEAR_MS).toFixed(6)} simulated years`,
    `${tally.marksReached} of ${tally.marks.size} marks`,
    tally.failures === 0
      ? "no failure"
      : `${plural(tally.failures, "failure")} of ${plural(distinct, "kind")}`,
  ];
  return facts.join(", ");
}

/** `1:23/10:00  214 seeds, 1 failed, 2.6/s, 121 k events/s, 0.000260 years, 22/23 marks` */
export function describeProgress(tally: FuzzTally, wallMs: number, budgetMs: number): string {
  const seconds = Math.max(wallMs, 1) / 1000;
  const facts = [
    plural(tally.rows.length, "seed"),
    `${tally.failures} failed`,
    `${(tally.rows.length / seconds).toFixed(1)}/s`,
    `${Math.round(tally.events / seconds / 1000)} k events/s`,
    `${(tally.simulatedMs / YEAR_MS).toFixed(6)} years`,
    `${tally.marksReached}/${tally.marks.size} marks`,
  ];
  return `${clock(wallMs)}/${clock(budgetMs)}  ${facts.join(", ")}`;
}

function clock(ms: number): string {
  const seconds = Math.floor(ms / 1000);
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")}`;
}

export function describeFuzz(tally: FuzzTally, wallMs: number, profile: Profile): string[] {
  const lines = [`${describePace(tally, wallMs)}, in ${clock(wallMs)}`];
  lines.push("runs that came to:", ...describeMarkTable([...tally.marks]));
  for (const group of tally.groups.values()) lines.push(...describeGroup(group, profile));
  return lines;
}

/** The exit code and the last line; `canaryWhy` says why the run could say nothing, if so. */
export function judgeFuzz(
  tally: FuzzTally,
  canaryWhy: string | null,
  isInterrupted: boolean,
): { readonly code: number; readonly words: string } {
  const seeds = plural(tally.rows.length, "seed");
  if (tally.failures > 0) {
    const kinds = [...tally.groups.values()].map(({ property }) => property).join(", ");
    const words = `FAIL ${seeds}: ${tally.failures} failed, by ${kinds}`;
    return { code: EXIT_CODES.safety, words };
  }
  if (isInterrupted) return { code: EXIT_INTERRUPTED, words: `INTERRUPTED ${seeds}, none failed` };
  if (canaryWhy !== null) return { code: EXIT_CODES.unknown, words: `FAIL ${seeds}: ${canaryWhy}` };
  const code = EXIT_CODES.unknown;
  if (tally.rows.length === 0) return { code, words: "UNKNOWN: there was no time for one seed" };
  const missed = describeMissedMarks(tally.rows.length, [...tally.marks]);
  if (missed !== null) return { code, words: `UNKNOWN ${seeds}: ${missed}` };
  return { code: 0, words: `PASS ${seeds}, no failing seed` };
}

function describeGroup(group: FailureGroup, profile: Profile): string[] {
  const { verdict, property, facts, seeds } = group;
  const named = seeds.slice(0, SEEDS_NAMED_MAX).join(", ");
  const more = seeds.length > SEEDS_NAMED_MAX ? ", ..." : "";
  const flag = profile === "swarm" ? "" : ` --profile ${profile}`;
  return [
    `${seeds.length} x ${verdict}: ${property}, seeds ${named}${more}`,
    ...facts.slice(0, FACTS_NAMED_MAX).map((fact, at) => `  ${at + 1}. ${fact}`),
    `  replay: npm run sim -- --seed ${seeds[0]}${flag}`,
    ...(profile === "swarm" ? [`  shrink: npm run sim -- shrink --seed ${seeds[0]}`] : []),
  ];
}

/** One test for each seed, and one for the canary. */
export function encodeJunit(
  tally: FuzzTally,
  canary: { readonly name: string; readonly why: string | null; readonly wallMs: number },
  profile: Profile,
  wallMs: number,
): string {
  const cases = tally.rows.map(({ seed, wallMs: seedMs, failure }) => {
    const isError = failure?.verdict === "crash";
    const told = failure === null ? "" : element(isError ? "error" : "failure", failure);
    return testcase(`sim.${profile}`, `seed ${seed}`, seedMs, told);
  });
  const missed = { property: "canary-fails", verdict: "unknown", facts: [canary.why ?? ""] };
  const told = canary.why === null ? "" : element("failure", missed);
  cases.unshift(testcase("sim.canary", canary.name, canary.wallMs, told));
  const errors = tally.rows.filter(({ failure }) => failure?.verdict === "crash").length;
  const failures = tally.failures - errors + (canary.why === null ? 0 : 1);
  const counts = `tests="${cases.length}" failures="${failures}" errors="${errors}"`;
  const time = `time="${(wallMs / 1000).toFixed(3)}"`;
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites name="cairn fuzz" ${counts} ${time}>`,
    `<testsuite name="sim.${profile}" ${counts} ${time}>`,
    ...cases,
    "</testsuite>",
    "</testsuites>",
    "",
  ].join("\n");
}

function testcase(classname: string, name: string, wallMs: number, told: string): string {
  const head = `<testcase classname="${escapeXml(classname)}" name="${escapeXml(name)}"`;
  const time = `time="${(wallMs / 1000).toFixed(3)}"`;
  return told === "" ? `${head} ${time}/>` : `${head} ${time}>${told}</testcase>`;
}

function element(
  name: "failure" | "error",
  { verdict, property, facts }: Pick<FailureGroup, "verdict" | "property" | "facts">,
): string {
  const what = `type="${escapeXml(verdict)}" message="${escapeXml(property)}"`;
  return `<${name} ${what}>${escapeXml(facts.join("\n"))}</${name}>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
};

/** Without the control characters that XML cannot hold at all. */
function escapeXml(text: string): string {
  const printable = [...text].filter((char) => char >= " " || char === "\n" || char === "\t");
  return printable.join("").replace(/[&<>"]/g, (char) => ENTITIES[char] ?? char);
}

/** The line that overwrites itself fits a terminal. */
export function fitLine(line: string, columns = COLUMNS): string {
  return line.length < columns ? line : `${line.slice(0, columns - 2)}…`;
}
