// How one part of a plan gets simpler, a rung at a time: shorter, fewer, closer to the default.
// Owns the ladders, by the names of fields, so that a mishap that is new in sim/plan.ts gets weaker
// without a line here; which step is kept is sim/shrink.ts.

import { isErrand } from "./operator.ts";
import { type Plan, planOf, type Target } from "./plan.ts";

type Row = Readonly<Record<string, unknown>>;
/** Makes one thing simpler; gives back what it was given when there is nothing to do. */
export type Change = (row: Row) => Row;

/** Simpler values of one field. */
export type Rung =
  /** The simplest first: the first that still fails is kept. */
  | { readonly kind: "choices"; readonly choices: readonly Change[] }
  /** Anything from `floor` on. */
  | ({ readonly kind: "number"; readonly to: (value: number) => Change } & Span);

interface Span {
  readonly from: number;
  readonly floor: number;
  /** A quarter more than the least is good enough: each step is a run. */
  readonly isCoarse: boolean;
}

/** Counts, by name: what a reader compares with the facts of the failure, so to the last one. */
const COUNTS = new Set(["times", "records", "nth", "delayTimes", "count"]);

/** Sizes of less interest, by name, with the least that makes sense. */
const FLOORS: Readonly<Record<string, number>> = { bytes: 16 };

/** Values that are simpler than all others, by name. */
const SIMPLEST: Readonly<Record<string, unknown>> = {
  how: "process",
  edge: "after",
  of: "any",
  producer: true,
  guarded: false,
  gap: false,
  asVoter: true,
  fenced: false,
  drop: false,
  consistency: "local",
};

/** The parts of a plan that are calm by default. */
const PROFILES = ["options", "network", "disk"] as const;

/** Sound builds recover in less, so that a shrunk plan tells them from broken ones. */
const SETTLE_MS: readonly number[] = [10_000, 20_000, 30_000];

const NODES: readonly number[] = [1, 3, 5];

/**
 * Finds a low value that is taken, by halving: yields what it would try, and is told whether that
 * was taken; `from` is known to be.
 */
export function* lower(span: Span): Generator<number, void, boolean> {
  if (span.from <= span.floor || (yield span.floor)) return;
  let refused = span.floor;
  let kept = span.from;
  while (kept - refused > (span.isCoarse ? Math.max(1, kept >> 2) : 1)) {
    const middle = Math.floor((kept + refused) / 2);
    if (yield middle) kept = middle;
    else refused = middle;
  }
}

// ---- one row ----

/** The ladders of an operation, a mishap, or a network. */
export function rungsOf(row: object): Rung[] {
  return Object.entries(row).flatMap(([name, value]: [string, unknown]): Rung[] => {
    if (name === "effect") return value === null ? [] : rungsOfEffect(value as object);
    if (Array.isArray(value)) return [rungOfTargets(name, value)];
    if (typeof value === "number") {
      const numbers = rungsOfNumber(name, value);
      return name === "times" && "everyMs" in row ? [LAST_REPETITIONS, ...numbers] : numbers;
    }
    const simplest = SIMPLEST[name];
    if (simplest === undefined || simplest === value) return [];
    return [{ kind: "choices", choices: [set(name, simplest)] }];
  });
}

function set(name: string, value: unknown): Change {
  return (row) => ({ ...row, [name]: value });
}

function rungsOfNumber(name: string, from: number): Rung[] {
  const isCount = COUNTS.has(name);
  const isSpan = name.endsWith("PerMille") || (name.endsWith("Ms") && name !== "atMs");
  const floor = isCount ? 1 : isSpan ? 0 : FLOORS[name];
  if (floor === undefined || from <= floor) return [];
  const to = (value: number): Change => {
    return (row) => (Number(row[name]) > value ? { ...row, [name]: value } : row);
  };
  return [{ kind: "number", from, floor, isCoarse: !isCount, to }];
}

/** The last repetition alone at its own time, or the last half of them. */
const LAST_REPETITIONS: Rung = {
  kind: "choices",
  choices: [keepLast(() => 1), keepLast((times) => Math.ceil(times / 2))],
};

function keepLast(count: (times: number) => number): Change {
  return (row) => {
    const { atMs, times, everyMs } = row as Readonly<Record<string, number>>;
    if (atMs === undefined || times === undefined || everyMs === undefined) return row;
    const kept = count(times);
    return { ...row, atMs: atMs + (times - kept) * everyMs, times: kept };
  };
}

/** At its instant rather than at an effect; else after the first of any kind. */
function rungsOfEffect(effect: object): Rung[] {
  const within = (change: Change): Change => {
    return (row) =>
      row["effect"] === null ? row : { ...row, effect: change(row["effect"] as Row) };
  };
  const inside = rungsOf(effect).map(
    (rung): Rung =>
      rung.kind === "choices"
        ? { kind: "choices", choices: rung.choices.map(within) }
        : { ...rung, to: (value) => within(rung.to(value)) },
  );
  return [{ kind: "choices", choices: [set("effect", null)] }, ...inside];
}

/** Without one of them; never without all. */
function rungOfTargets(name: string, targets: readonly unknown[]): Rung {
  const without = (at: number) => targets.filter((_, place) => place !== at);
  const choices = targets.length < 2 ? [] : targets.map((_, at) => set(name, without(at)));
  return { kind: "choices", choices };
}

// ---- the cluster ----

/** Where the plan's options and profiles differ from the default: "network.dropPerMille". */
export function specialsOf(plan: Plan): string[] {
  const calm = calmPlan();
  const specials = PROFILES.flatMap((profile) => {
    const usual: Row = calm[profile];
    const names = Object.entries(plan[profile]).filter(([name, value]) => value !== usual[name]);
    return names.map(([name]) => `${profile}.${name}`);
  });
  const clocks = ["wallAheadMs", "driftPpm"] as const;
  return [...specials, ...clocks.filter((name) => plan[name].length > 0)];
}

/** The plan with these as they are by default. */
export function calmed(plan: Plan, specials: readonly string[]): Row {
  const calm = calmPlan();
  const changed: Record<string, unknown> = { ...plan };
  for (const special of specials) {
    const [part, name] = special.split(".") as [keyof Plan, string | undefined];
    const usual = calm[part];
    changed[part] =
      name === undefined ? usual : { ...(changed[part] as Row), [name]: (usual as Row)[name] };
  }
  return changed;
}

function calmPlan(): Plan {
  return planOf({ format: 1, seed: "calm", nodes: 1, operations: [], mishaps: [], healAtMs: 0 });
}

/**
 * The same on fewer nodes, the fewest first: those that are gone do nothing and suffer nothing. Of
 * each number once with the first nodes, once with those that the mishaps name most.
 */
export function withFewerNodes(plan: Plan): Row[] {
  const places = Array.from({ length: plan.nodes }, (_, place) => place);
  const mentions = mentionsOf(plan);
  const ranked = [...places].sort((a, b) => (mentions.get(b) ?? 0) - (mentions.get(a) ?? 0));
  return NODES.filter((nodes) => nodes < plan.nodes).flatMap((nodes) => {
    const first = places.slice(0, nodes);
    const busiest = ranked.slice(0, nodes).sort((a, b) => a - b);
    const isSame = busiest.every((place, at) => place === at);
    return (isSame ? [first] : [first, busiest]).map((kept) => onNodes(plan, kept));
  });
}

function mentionsOf(plan: Plan): ReadonlyMap<unknown, number> {
  const mentions = new Map<unknown, number>();
  for (const row of [...plan.mishaps, ...plan.outside])
    for (const [name, value] of Object.entries(row)) {
      const named = name === "node" ? [value] : Array.isArray(value) ? value.flat() : [];
      for (const place of named) mentions.set(place, (mentions.get(place) ?? 0) + 1);
    }
  return mentions;
}

/** The plan on these of its nodes, by new places. */
function onNodes(plan: Plan, kept: readonly number[]): Row {
  const placeOf = (target: Target): Target | null => {
    if (target === "leader") return target;
    const place = kept.indexOf(target);
    return place < 0 ? null : place;
  };
  // A client asks another node; what an operator asks about a node that is not there makes no
  // sense.
  const operations = plan.operations.flatMap((row) => {
    if (isErrand(row)) return moved(row, placeOf);
    if (!("node" in row)) return [row];
    return [{ ...row, node: placeOf(row.node) ?? (row.node as number) % kept.length }];
  });
  const founders = kept.filter((place) => place < (plan.founders ?? plan.nodes)).length;
  const of = (values: readonly number[]) => {
    return values.length === 0 ? values : kept.map((place) => values[place] ?? 0);
  };
  return {
    ...plan,
    nodes: kept.length,
    founders: founders < kept.length ? founders : null,
    discovery: plan.discovery === null ? null : foundBy(plan.discovery, founders, placeOf),
    operations,
    mishaps: plan.mishaps.flatMap((row) => moved(row, placeOf)),
    outside: plan.outside.flatMap((row) => moved(row, placeOf)),
    wallAheadMs: of(plan.wallAheadMs),
    driftPpm: of(plan.driftPpm),
  };
}

/** Somebody must be there to join by. */
function foundBy(
  discovery: NonNullable<Plan["discovery"]>,
  expect: number,
  placeOf: (target: Target) => Target | null,
): Row {
  const contacts = discovery.contacts.map(placeOf).filter((place) => place !== null);
  return { ...discovery, expect, contacts: contacts.length > 0 ? contacts : [0] };
}

/** Fields that name a node. */
const ONE_PLACE: ReadonlySet<string> = new Set(["node", "withNode", "to"]);

/** The row for those of its nodes that are there; nothing when none of them is. */
function moved(row: Row, placeOf: (target: Target) => Target | null): Row[] {
  const changed: Record<string, unknown> = { ...row };
  for (const [name, value] of Object.entries(row)) {
    if (ONE_PLACE.has(name) && value !== null && !Array.isArray(value)) {
      const place = placeOf(value as Target);
      if (place === null) return [];
      changed[name] = place;
    } else if (Array.isArray(value)) {
      const left = value.flatMap((each: Target | readonly Target[]) => {
        // A pair needs both of its nodes.
        const pair = Array.isArray(each) ? each.map(placeOf) : [placeOf(each as Target)];
        if (pair.includes(null)) return [];
        return Array.isArray(each) ? [pair] : pair;
      });
      // Nobody has to learn.
      if (left.length === 0 && name !== "learners") return [];
      changed[name] = left;
    }
  }
  return [changed];
}

/** Shorter waits for recovery. */
export function withLessSettling(plan: Plan): Row[] {
  return SETTLE_MS.filter((ms) => ms < plan.settleMs).map((settleMs) => ({ ...plan, settleMs }));
}
