// Draws what operators do: trims, other members, other leaders. Owns these distributions, from
// streams of their own; the rest of a plan is sim/swarm.ts.

import type { Prng } from "../src/base/prng.ts";
import type { PlanDraft, Target } from "./plan.ts";
import { drawTarget, places } from "./swarm-mishaps.ts";

type OperationDraft = PlanDraft["operations"][number];

/** Operators have numbers of their own, clear of those of clients. */
const TRIMMER = 200;
const ADMINISTRATOR = 201;
const MOVER = 202;
const KEEPER = 203;
const HASTY_MOVER = 204;

/**
 * In a half of the seeds the log loses its beginning: because somebody asks for it, because of its
 * size, or because of its age. Segments are small there, or there would be nothing to let go.
 */
export function drawUpkeep(
  prng: Prng,
  healAtMs: number,
): { options: PlanDraft["options"]; operations: OperationDraft[] } {
  const why = prng.pick(["nobody", "nobody", "nobody", "asked", "asked", "size", "age"] as const);
  if (why === "nobody") return { options: {}, operations: [] };
  const segmentBytesMax = prng.pick([3072, 4096, 8192]);
  const options = { segmentBytesMax, preallocateBytes: prng.pick([0, 512, 4096]) };
  if (why === "size") {
    const retentionBytes = segmentBytesMax * prng.between(1, 6);
    return { options: { ...options, retentionBytes }, operations: [] };
  }
  if (why === "age")
    return { options: { ...options, retentionMs: prng.pick([500, 3000]) }, operations: [] };
  const times = prng.between(4, 30);
  const everyMs = Math.floor((healAtMs - 1000) / (times + 1));
  const keep = prng.pick([0, 5, 30, 150]);
  const trim = { kind: "trim", client: TRIMMER, atMs: 1000, times, everyMs, keep } as const;
  return { options, operations: [trim] };
}

/** In a third of the seeds somebody copies the log now and then, of any node, fast or slowly. */
export function drawBackups(prng: Prng, nodes: number, healAtMs: number): OperationDraft[] {
  if (!prng.chance(1, 3)) return [];
  return Array.from({ length: prng.between(2, 5) }, () => ({
    kind: "backup",
    client: KEEPER,
    atMs: 1500 + prng.below(healAtMs - 3000),
    times: prng.between(1, 4),
    everyMs: prng.pick([100, 1500]),
    node: drawTarget(prng, nodes),
    partBytes: prng.pick([1024, 8192, 65_536]),
    pauseMs: prng.pick([0, 0, 20, 150]),
  }));
}

/** What is drawn of members and leaders. */
interface Changes {
  /** With those that are no members at first. */
  readonly nodes: number;
  readonly hasMembers: boolean;
  readonly operations: OperationDraft[];
}

/** In two of five seeds the members change, in a third of them leadership is moved about. */
export function drawChanges(prng: Prng, founders: number, healAtMs: number): Changes {
  const hasMembers = prng.chance(2, 5);
  const nodes = hasMembers ? founders + prng.pick([0, 1, 1, 2]) : founders;
  const operations = hasMembers ? drawMembers(prng.fork("changes"), nodes, founders, healAtMs) : [];
  const own = prng.fork("transfers");
  if (own.chance(1, 3)) operations.push(...drawTransfers(own, nodes, healAtMs));
  const hasty = prng.fork("hasty transfers");
  if (hasty.chance(1, 2)) operations.push(...drawHastyTransfers(hasty, operations));
  return { nodes, hasMembers, operations };
}

/** One change after another, each drawn without regard to those before: some are refused. */
function drawMembers(
  prng: Prng,
  nodes: number,
  founders: number,
  healAtMs: number,
): OperationDraft[] {
  const count = prng.between(3, 9);
  const spanMs = Math.floor((healAtMs - 2000) / count);
  return Array.from({ length: count }, (_, nth): OperationDraft => {
    const own = prng.fork(`change ${nth}`);
    const [client, atMs] = [ADMINISTRATOR, 1200 + nth * spanMs + own.below(spanMs)];
    const node: Target = drawTarget(own, nodes);
    const place = own.below(nodes);
    // Whoever waits to be admitted comes first.
    const isFirst = nth === 0 && nodes > founders;
    const kind = own.pick(["add", "add", "remove", "promote", "demote", "replace", "set", "set"]);
    if (isFirst || kind === "add")
      return {
        kind: "add-member",
        client,
        atMs,
        node: isFirst ? founders : place,
        asVoter: own.chance(3, 4),
      };
    if (kind === "remove") return { kind: "remove-member", client, atMs, node };
    if (kind === "promote") return { kind: "promote-member", client, atMs, node };
    if (kind === "demote") return { kind: "demote-member", client, atMs, node };
    if (kind === "replace") return { kind: "replace-member", client, atMs, node, withNode: place };
    const mixed = own.shuffled(places(nodes));
    const voters = mixed.slice(0, own.between(Math.min(2, nodes), nodes));
    const learners = own.chance(1, 2) ? [] : mixed.slice(voters.length, voters.length + 1);
    return { kind: "set-members", client, atMs, voters, learners };
  });
}

/** Leadership is moved while members are exchanged: such a membership is soon left. */
function drawHastyTransfers(prng: Prng, changes: readonly OperationDraft[]): OperationDraft[] {
  const sets = changes.filter(({ kind }) => kind === "set-members" || kind === "replace-member");
  return sets.map(({ atMs }) => ({
    kind: "transfer",
    client: HASTY_MOVER,
    atMs,
    to: null,
    inJointMs: prng.pick([1000, 4000]),
  }));
}

function drawTransfers(prng: Prng, nodes: number, healAtMs: number): OperationDraft[] {
  return Array.from({ length: prng.between(1, 3) }, () => ({
    kind: "transfer",
    client: MOVER,
    atMs: 1500 + prng.below(healAtMs - 3000),
    times: prng.between(1, 4),
    everyMs: prng.pick([300, 2000]),
    to: prng.pick([null, prng.below(nodes)]),
  }));
}
