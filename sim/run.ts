// Executes one plan and says what came of it, as plain data. Owns the verdict's name and its exit
// code; the course of a run is sim/world.ts, its words for people are sim/report.ts.

import type { NodeId } from "../src/base/ids.ts";
import type { StateMachine } from "../src/state/state-machine.ts";
import { DiscoveryWatch } from "./checks/discovery-watch.ts";
import { describeVacuity } from "./checks/non-vacuity.ts";
import { Watch } from "./checks/watch.ts";
import type { DigestTape } from "./digest-tape.ts";
import { MachineWatch, type OwnMachine } from "./machine-watch.ts";
import { type MarkCounts, Marks } from "./marks.ts";
import type { Observer, Violation } from "./observer.ts";
import type { Plan } from "./plan.ts";
import { withPoison } from "./poison.ts";
import { PLAIN_VALUES } from "./sim-record.ts";
import { type Counts, Tally } from "./tally.ts";
import { World } from "./world.ts";

/** What came of a run, in one word; docs/simulation.md says what each means. */
export type VerdictName = "pass" | "safety" | "liveness" | "crash" | "unknown";

/** Small and distinct, clear of the shell's own (126 and above). */
export const EXIT_CODES: Readonly<Record<VerdictName, number>> = {
  pass: 0,
  safety: 1,
  liveness: 2,
  crash: 3,
  unknown: 4,
};

/** Misuse of a command line, as in sysexits.h. */
export const EXIT_USAGE = 64;

/** What came of a run, as plain data: equal plans give equal reports. */
export interface RunReport {
  readonly seed: string;
  readonly nodes: number;
  readonly verdict: VerdictName;
  readonly violation: Violation | null;
  /** The proof that nothing had to be well in the end; null when everything had to. */
  readonly excuse: string | null;
  /** Where nothing is bounded: what disks forgot, and what that explains, a line each. */
  readonly losses: readonly string[];
  /** 16 hex digits over every event and output. */
  readonly digest: string;
  readonly events: number;
  readonly simulatedMs: number;
  readonly counts: Counts;
  /** How often the run came to each rare situation. */
  readonly marks: MarkCounts;
}

/**
 * Runs a plan under the eyes of all checkers, and of `observers` too; with `own` every node has a
 * machine of yours on its log, and a `tape` keeps what it takes to compare the run. Touches nothing
 * outside; equal plans give equal reports.
 */
export function runPlan<M extends StateMachine>(
  plan: Plan,
  observers: readonly Observer[] = [],
  own: OwnMachine<M> | null = null,
  tape: DigestTape | null = null,
): RunReport {
  return withPoison(() => {
    const tally = new Tally();
    const marks = new Marks();
    let excuse: string | null = null;
    const excused = (proof: string) => {
      excuse = proof;
    };
    const values = own?.values ?? PLAIN_VALUES;
    const machines = own === null ? null : new MachineWatch(own);
    const discovery = plan.discovery === null ? [] : [new DiscoveryWatch()];
    const all = [
      ...discovery,
      tally,
      marks,
      { excused },
      ...observers,
      ...(machines === null ? [] : [machines]),
    ];
    const machineOf = (name: NodeId, life: number) => machines?.make(name, life) ?? null;
    const world = new World(plan, [...all, new Watch(values)], machineOf, values, tape);
    const verdict = world.run();
    const { counts } = tally;
    const isVacuous = verdict.kind === "pass" && describeVacuity(counts) !== null;
    return {
      seed: plan.seed,
      nodes: plan.nodes,
      verdict: isVacuous ? "unknown" : verdict.kind,
      violation: verdict.kind === "pass" ? null : verdict.violation,
      excuse,
      losses: world.losses,
      digest: world.digest,
      events: world.events,
      simulatedMs: Math.round(world.now / 1000),
      counts,
      marks: marks.counts,
    };
  });
}
