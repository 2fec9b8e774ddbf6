// Draws what else clients do beside appending and following: consumers that keep their place in
// cursors, writers that fence each other off, reads from a place that the node finds. Owns these
// distributions, from streams of their own; the rest of a plan is sim/swarm.ts.

import type { Prng } from "../src/base/prng.ts";
import type { PlanDraft } from "./plan.ts";
import { drawTarget } from "./swarm-mishaps.ts";

type OperationDraft = PlanDraft["operations"][number];

const CONSISTENCIES = ["local", "leader", "linearizable", "linearizable"] as const;

/** Operations of clients from number `client` on. */
export function drawConsumers(
  prng: Prng,
  nodes: number,
  healAtMs: number,
  client: number,
): OperationDraft[] {
  const consumers = prng.between(1, 2);
  const operations: OperationDraft[] = [];
  for (let nth = 0; nth < consumers; nth++)
    operations.push(...drawConsumer(prng.fork(`consumer ${nth}`), client + nth, nodes, healAtMs));
  operations.push(...drawSeeks(prng.fork("seeks"), client + consumers, nodes, healAtMs));
  if (prng.fork("rivals").chance(1, 3))
    operations.push(...drawRivals(prng.fork("rivalry"), client + consumers + 1, healAtMs));
  return operations;
}

/** Moves a cursor, reads it, and now and then lets it expire or deletes it. */
function drawConsumer(
  prng: Prng,
  client: number,
  nodes: number,
  healAtMs: number,
): OperationDraft[] {
  const rounds = 4;
  const spanMs = Math.floor((healAtMs - 1000) / rounds);
  // Some share one.
  const cursor = prng.pick([0, client % 8]);
  return Array.from({ length: rounds }, (_, round) => {
    const atMs = 600 + round * spanMs;
    const everyMs = prng.pick([100, 300, 700]);
    const times = prng.between(2, 6);
    const drop = prng.chance(1, 8);
    const guarded = prng.chance(3, 4);
    const ttlMs = prng.pick([0, 0, 700, 3000]);
    const [node, consistency] = [drawTarget(prng, nodes), prng.pick(CONSISTENCIES)];
    const fetch = { client, times: prng.between(1, 4), everyMs, cursor, node, consistency };
    return [
      { kind: "commit-cursor", client, atMs, times, everyMs, cursor, ttlMs, guarded, drop },
      { kind: "fetch-cursor", ...fetch, atMs: atMs + prng.below(spanMs) },
    ] as const;
  }).flat();
}

function drawSeeks(prng: Prng, client: number, nodes: number, healAtMs: number): OperationDraft[] {
  const spanMs = Math.floor((healAtMs - 1000) / 4);
  return Array.from({ length: 4 }, (_, quarter) => ({
    kind: "seek",
    client,
    atMs: 800 + quarter * spanMs,
    times: prng.between(2, 5),
    everyMs: prng.between(50, 600),
    node: drawTarget(prng, nodes),
    by: prng.pick(["time", "time", "last", "offset"] as const),
    perMille: prng.pick([0, 200, 600, 950, 1000]),
    count: prng.pick([1, 5, 40]),
    consistency: prng.pick(CONSISTENCIES),
  }));
}

/** Two writers, each of which takes the log for itself and then goes on as if it still had it. */
function drawRivals(prng: Prng, client: number, healAtMs: number): OperationDraft[] {
  const turnMs = Math.floor((healAtMs - 2000) / 4);
  return [0, 1, 2, 3].flatMap((turn): OperationDraft[] => {
    const writer = client + (turn % 2);
    const atMs = 900 + turn * turnMs;
    const everyMs = prng.pick([100, 300]);
    const times = Math.min(prng.between(5, 12), Math.floor((2 * turnMs - 1000) / everyMs));
    const append = { records: prng.pick([1, 3]), producer: prng.chance(1, 2), fenced: true };
    return [
      { kind: "fence", client: writer, atMs, guarded: turn > 1 && prng.chance(1, 4) },
      { kind: "append", client: writer, atMs: atMs + 300, times, everyMs, ...append },
      // After the other one has fenced it off.
      { kind: "append", client: writer, atMs: atMs + turnMs + 900, times: 3, everyMs, ...append },
    ];
  });
}
