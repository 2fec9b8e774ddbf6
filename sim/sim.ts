// The simulator as a library (`cairnlog/sim`): draw or write a plan, run it, look at what came of
// it, with observers of your own beside the checkers.

export type { FrozenBytes } from "../src/base/bytes.ts";
export type { EntryHead } from "../src/base/entry.ts";
export { decodeBatch } from "../src/base/record-batch.ts";
export type { StateMachine } from "../src/state/state-machine.ts";
export {
  type GossipSeat,
  GossipWorld,
  type GossipWorldOptions,
  USUAL_NETWORK,
} from "./gossip-world.ts";
export type { Call, Facts, History, Outcome, Question, SeenRecord } from "./history.ts";
export type { OwnMachine } from "./machine-watch.ts";
export type {
  Computer,
  CrashKind,
  CrashLoss,
  DiskView,
  Observer,
  Stage,
  Violation,
} from "./observer.ts";
export {
  BadPlan,
  decodePlan,
  encodePlan,
  type Plan,
  type PlanDraft,
  type PlannedMishap,
  type PlannedOperation,
  planOf,
} from "./plan.ts";
export { type ArbitraryParts, plans } from "./plan-arbitrary.ts";
export { PROFILE_NOTES, type Profile } from "./profiles.ts";
export { type RunReport, runPlan, type VerdictName } from "./run.ts";
export type { RecordValues } from "./sim-record.ts";
export { drawPlan } from "./swarm.ts";
export type { Counts } from "./tally.ts";
export { Trace } from "./trace.ts";
