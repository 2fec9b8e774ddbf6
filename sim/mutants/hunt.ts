// The child process of a hunt, in a build of its own, broken or not: runs the seeds that its parent
// sends and answers what each showed, and whether the edited place was reached. Owns the runs and
// the look at coverage; which seeds there are is the parent's business (hunter.ts).
//
// `node hunt.js [FILE OFFSET]`: the compiled file and the place in it that was edited.

import path from "node:path";
import { pathToFileURL } from "node:url";

import type { Profile } from "../profiles.ts";
import type { CoreSetting, Hunt, Kill } from "./mutant.ts";
import { Reach } from "./reach.ts";

/** What a parent may ask for. */
export type Question =
  | { readonly kind: "run"; readonly hunt: SeedHunt; readonly seed: string }
  | {
      readonly kind: "shrink";
      readonly profile: Profile;
      readonly seed: string;
      readonly limits: { readonly seconds: number; readonly runs: number };
    };
export type SeedHunt = Exclude<Hunt, { by: "tests" }>;

/** What one seed showed. */
export interface Sighting {
  readonly kind: "seen";
  readonly kill: Kill | null;
  /** Equal for equal behaviour: a digest over all events, or what was counted. */
  readonly behaviour: string;
  /** Simulated events until the end; of the core, 0. */
  readonly events: number;
  /** Whether the edited place ran. */
  readonly isReached: boolean;
  readonly wallMs: number;
  readonly cpuMs: number;
}

/** What is left of a failing plan. */
export interface Shrinkage {
  readonly kind: "shrunk";
  readonly before: number;
  readonly after: number;
  readonly property: string;
  readonly runs: number;
  readonly isMinimal: boolean;
  readonly wallMs: number;
  readonly cpuMs: number;
}

export type Reply = Sighting | Shrinkage | { readonly kind: "sound" };

interface Simulator {
  readonly runPlan: typeof import("../run.ts").runPlan;
  readonly drawPlan: typeof import("../swarm.ts").drawPlan;
}
type Play = (setting: CoreSetting, moves: readonly number[]) => unknown;
interface CorePlans {
  readonly play: Play;
  readonly planOf: (seed: number) => number[];
}

// ---- runs ----

async function loadSimulator(): Promise<Simulator> {
  const [{ runPlan }, { drawPlan }] = await Promise.all([
    import("../run.ts"),
    import("../swarm.ts"),
  ]);
  return { runPlan, drawPlan };
}

/** The judge of plans is a test's, and compiled into this build beside the sources. */
async function loadCorePlans(): Promise<CorePlans> {
  const file = path.join(import.meta.dirname, "..", "..", "test", "raft", "plans.js");
  return (await import(pathToFileURL(file).href)) as CorePlans;
}

type Seen = Pick<Sighting, "kill" | "behaviour" | "events">;

function runSimulator({ runPlan, drawPlan }: Simulator, seed: string, profile: Profile): Seen {
  const report = runPlan(drawPlan(seed, profile));
  const { verdict, violation, digest, events } = report;
  if (violation === null) return { kill: null, behaviour: digest, events };
  const { property, facts, at } = violation;
  return { kill: { seed, verdict, property, facts, at }, behaviour: digest, events };
}

/** What the judge says by throwing, as properties: unsafe, stuck, or stopped by an assertion. */
function runCore({ play, planOf }: CorePlans, setting: CoreSetting, seed: string): Seen {
  try {
    return {
      kill: null,
      behaviour: JSON.stringify(play(setting, planOf(Number(seed)))),
      events: 0,
    };
  } catch (error) {
    const { message } = error as Error;
    const facts = message.split("\n", 2);
    const told = (verdict: Kill["verdict"], property: string): Seen => {
      return { kill: { seed, verdict, property, facts, at: 0 }, behaviour: message, events: 0 };
    };
    if (nameOfClass(error) === "SafetyViolation") return told("safety", "core-safety");
    if (/^(it does not settle|nothing is committed)/.test(message))
      return told("liveness", "core-recovers");
    return told("crash", "core-keeps-running");
  }
}

function nameOfClass(error: unknown): string {
  return (error as object).constructor.name;
}

async function serve(reach: Reach | null): Promise<void> {
  const simulator = await loadSimulator();
  reach?.loaded();
  const answer = async (question: Question): Promise<Reply> => {
    if (question.kind === "shrink") return shrink(question, simulator);
    const { hunt, seed } = question;
    const run =
      hunt.by === "core"
        ? await loadCorePlans().then((core) => () => runCore(core, hunt.setting, seed))
        : () => runSimulator(simulator, seed, hunt.profile);
    const began = performance.now();
    const cpu = process.cpuUsage();
    const seen = run();
    const wallMs = performance.now() - began;
    const cpuMs = msOf(process.cpuUsage(cpu));
    return { kind: "seen", ...seen, isReached: reach?.take() ?? false, wallMs, cpuMs };
  };
  process.on("message", (question: Question) => {
    void answer(question).then((reply) => process.send?.(reply));
  });
  process.on("disconnect", () => process.exit());
  process.send?.({ kind: "sound" } satisfies Reply);
}

async function shrink(
  { seed, profile, limits }: Extract<Question, { kind: "shrink" }>,
  { runPlan, drawPlan }: Simulator,
): Promise<Reply> {
  const { shrinkInTime } = await import("../shrink-time.ts");
  const { sizeOf: eventsOf } = await import("../shrink-failure.ts");
  const plan = drawPlan(seed, profile);
  const shrinking = shrinkInTime(plan, runPlan, limits);
  if (shrinking === null) return { kind: "sound" };
  const { shrunk, wallMs, cpuMs } = shrinking;
  return {
    kind: "shrunk",
    before: eventsOf(plan),
    after: eventsOf(shrunk.plan),
    property: shrunk.report.violation?.property ?? "",
    runs: shrunk.runs,
    isMinimal: shrunk.isMinimal,
    wallMs,
    cpuMs,
  };
}

function msOf({ user, system }: NodeJS.CpuUsage): number {
  return (user + system) / 1000;
}

const [file, offset] = process.argv.slice(2);
await serve(file === undefined ? null : new Reach(file, Number(offset)));
