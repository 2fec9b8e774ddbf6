// What a run looks like on a terminal: the options it was made of, the last line, what went wrong
// and how to see it again. Owns words and columns; the rows in between are sim/trace.ts.

import { describeVacuity } from "./checks/non-vacuity.ts";
import type { Mark } from "./marks.ts";
import { isErrand } from "./operator.ts";
import type { NetworkProfile, Plan, PlannedMishap } from "./plan.ts";
import type { RunReport } from "./run.ts";
import { LEGEND } from "./trace.ts";
import { describeErrand, plural } from "./words.ts";

/** What was drawn for the run, a line for each part of it. */
export function describePlan(plan: Plan): string[] {
  const { options, network, disk } = plan;
  const election = `election ${options.electionTimeoutMinMs}-${options.electionTimeoutMaxMs} ms`;
  const sizes = `segments of ${options.segmentBytesMax} bytes, ${options.indexEntriesMax} index entries`;
  const appends = `appends of ${options.appendBytesMax} bytes, ${options.appendsInFlightMax} in flight`;
  const delays = `delay ${network.delayMinMicros} + ${network.delayMeanMicros} us`;
  const twice = `twice ${network.duplicatePerMille} (late ${network.replayPerMille})`;
  const troubles = `lost ${network.dropPerMille}, ${twice}, overtaken ${network.reorderPerMille} per mille`;
  const clients = `lost ${network.clientDropPerMille}, late ${network.clientLatePerMille} per mille`;
  const lines = [
    ["why", plan.why.join(" ")],
    ["cluster", `${describeNodes(plan)}, ${election}, heartbeat ${options.heartbeatIntervalMs} ms`],
    ["log", `${sizes}, ${options.preallocateBytes} bytes ahead, ${options.cacheBytesMax} cached`],
    ["raft", `${appends}, turns of ${options.turnEventsMax} events`],
    ["network", `${delays}; ${troubles}; ${describeRoom(network)}`],
    [
      "disk",
      `${disk.operationMeanMicros} us, sync ${disk.syncMeanMicros} us, ${disk.slowPerMille} per mille slow`,
    ],
    ["clients", `${describeWork(plan)}; ${clients}`],
    ["operator", plan.operations.filter(isErrand).map(describeErrand).join("; ")],
    ["mishaps", `${describeMishaps(plan.mishaps)}; healed at ${plan.healAtMs / 1000} s`],
    [
      "outside",
      plan.outside
        .map(({ node, how }) => `${node === "leader" ? node : `n${node}`} (${how})`)
        .join(", "),
    ],
    ["legend", LEGEND],
  ];
  return lines
    .filter(([, text]) => text !== "")
    .map(([name, text]) => `${(name as string).padEnd(8)} ${text}`);
}

function describeRoom({ linkFramesMax, transitFramesMax, overflow }: NetworkProfile): string {
  const links = `links of ${linkFramesMax} frames`;
  return transitFramesMax === 0
    ? links
    : `${links}, at most ${transitFramesMax} on the way, the ${overflow} evicted`;
}

function describeNodes({ nodes, founders }: Plan): string {
  return founders === null ? `${nodes} nodes` : `${nodes} nodes, of which ${founders} found it`;
}

function describeWork(plan: Plan): string {
  const clients = new Set(plan.operations.map(({ client }) => client)).size;
  let appends = 0;
  for (const planned of plan.operations) if (planned.kind === "append") appends += planned.times;
  return `${clients} clients, ${appends} appends at most`;
}

function describeMishaps(mishaps: readonly PlannedMishap[]): string {
  const counts = new Map<string, number>();
  for (const mishap of mishaps) {
    const name = mishap.kind === "crash" ? `${mishap.how} crash` : mishap.kind;
    counts.set(name, (counts.get(name) ?? 0) + 1);
  }
  if (counts.size === 0) return "none";
  return [...counts].map(([name, count]) => `${count} ${name}`).join(", ");
}

/** PASS seed 42: 5 nodes, 37 s simulated in 0.2 s, 3 leaders, 4 crashes, 812 acked, 0 lost */
export function describeOutcome(report: RunReport, name: string, wallMs: number): string {
  const { counts } = report;
  const mark =
    report.verdict === "pass" ? "PASS" : report.verdict === "unknown" ? "UNKNOWN" : "FAIL";
  const facts = [
    `${report.nodes} nodes`,
    `${Math.round(report.simulatedMs / 1000)} s simulated in ${(wallMs / 1000).toFixed(1)} s`,
    plural(counts.leaders, "leader"),
    plural(counts.crashes, "crash", "crashes"),
    `${counts.acked} acked`,
    `${counts.lost} lost`,
  ];
  if (counts.disksLost > 0) facts.push(`${plural(counts.disksLost, "disk")} excused as damaged`);
  if (counts.outside > 0) facts.push(`${plural(counts.outside, "node")} left outside`);
  if (report.excuse !== null) facts.push(`recovery excused: ${report.excuse}`);
  return `${mark} ${name}: ${facts.join(", ")}`;
}

/** What a run that nothing bounds has lost, and why it does not fail by it. */
export function describeLosses({ losses, counts }: RunReport): string[] {
  if (losses.length === 0) return [];
  const lost = plural(counts.lost, "acknowledged record");
  return [`beyond what a cluster can bear; ${lost} lost:`, ...losses.map((line) => `  ${line}`)];
}

/** Why a run failed: the property and the facts that contradict each other. */
export function describeViolation(report: RunReport): string[] {
  const { violation, verdict } = report;
  if (verdict === "unknown")
    return [`unknown: ${describeVacuity(report.counts)}, so nothing was shown`];
  if (violation === null) return [];
  const where = violation.node === null ? "" : ` on ${violation.node}`;
  const at = `${(violation.at / 1_000_000).toFixed(6)} s${where}`;
  const facts = violation.facts.map((fact, place) => `  ${place + 1}. ${fact}`);
  return [`${verdict}: ${violation.property} does not hold, at ${at}`, ...facts];
}

/** Three marks a line: how many of the runs came to each. */
export function describeMarkTable(reached: readonly (readonly [Mark, number])[]): string[] {
  const cells = reached.map(([mark, runs]) => `${mark.padEnd(22)} ${String(runs).padStart(4)}`);
  const rows = Math.ceil(cells.length / 3);
  return Array.from({ length: rows }, (_, row) => {
    return `  ${cells.filter((_, at) => at % rows === row).join("   ")}`.trimEnd();
  });
}
