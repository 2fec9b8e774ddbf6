// Random moves on small clusters: whatever is lost, doubled, reordered or crashed, the safety
// properties hold after every move, and once the faults end everything is answered and all logs are
// equal.
import fc from "fast-check";
import { expect, test } from "vitest";
import type { RaftOptions } from "../../src/raft/protocol.ts";
import { Cluster, type ClusterNode } from "./cluster.ts";

/** One choice decides a move (its low part) and what it is made on (its high part). */
function move(cluster: Cluster, choice: number): void {
  const { nodes, mail } = cluster;
  const pick = Math.floor(choice / 100);
  const node = nodes[pick % nodes.length] as ClusterNode;
  const other = nodes[(pick + 1) % nodes.length] as ClusterNode;
  const leaders = cluster.leaders();
  const leader = leaders[pick % leaders.length] ?? node;
  const letter = mail.length === 0 ? 0 : pick % mail.length;
  const moves: readonly [weight: number, make: () => void][] = [
    [15, () => cluster.deliver(letter)],
    [3, () => cluster.deliver(letter, true)],
    [3, () => mail.splice(letter, 1)],
    [23, () => cluster.deliverAll()],
    [12, () => forEach(nodes, (each) => cluster.writeDurably(each))],
    [8, () => cluster.writeDurably(node)],
    [15, () => cluster.propose(leader, pick % 300)],
    [3, () => cluster.read(leader)],
    [1, () => cluster.propose(node)],
    [4, () => cluster.passTime(cluster.nextInTime())],
    [2, () => cluster.passTime(node)],
    [1, () => cluster.crash(node, pick % 3)],
    [3, () => forEach(nodes, (each) => cluster.restart(each))],
    [3, () => cluster.cut(nodes.length < 5 || pick % 2 ? [node.name] : [node.name, other.name])],
    [3, () => cluster.cut([])],
    [1, () => cluster.step(node, { kind: "peer-unreachable", peer: other.name })],
  ];
  let left = choice % 100;
  for (const [weight, make] of moves) {
    if (left < weight) {
      make();
      break;
    }
    left -= weight;
  }
  // Most turns end here; the others go on with the next move, so that outputs coalesce.
  if (choice % 7 !== 0) forEach(nodes, (each) => cluster.take(each));
}

function forEach<Item>(items: readonly Item[], make: (item: Item) => void): void {
  for (const item of items) make(item);
}

const choices = fc.array(fc.noBias(fc.nat(0x7fff_ffff)), {
  minLength: 500,
  maxLength: 1500,
  size: "max",
});
const small: Partial<RaftOptions> = { appendsInFlightMax: 2, appendBytesMax: 400 };

test.each([
  [1, 0, 40],
  [2, 0, 100],
  [3, 0, 400],
  [3, 1, 100],
  [5, 0, 300],
])("a cluster of %i voters and %i learners stays safe and recovers", (voters, learners, runs) => {
  const seen = { leaders: 0, truncations: 0, crashes: 0, unknown: 0, reads: 0, committed: 0 };
  fc.assert(
    fc.property(choices, (moves) => {
      const cluster = new Cluster(voters, learners, small);
      for (const choice of moves) move(cluster, choice);
      for (const each of cluster.nodes) cluster.restart(each);
      const before = cluster.committed.length;
      const settled = cluster.settle(() => cluster.hasConverged());
      expect(settled, `settles:\n${cluster.describe()}`).toBe(true);
      const leader = cluster.leader();
      if (leader !== null) cluster.propose(leader);
      expect(cluster.settle(() => cluster.hasConverged())).toBe(true);
      expect(cluster.committed.length).toBeGreaterThan(before);
      seen.committed += cluster.committed.length;
      for (const key of ["leaders", "truncations", "crashes", "unknown", "reads"] as const) {
        seen[key] += cluster.seen[key];
      }
    }),
    { seed: 20_261_120 + voters, numRuns: runs },
  );
  // A run in which nothing happened shows nothing.
  expect(seen.committed).toBeGreaterThan(runs);
  expect(seen.crashes).toBeGreaterThan(runs / 2);
  expect(seen.reads).toBeGreaterThan(0);
  if (voters >= 3) expect(seen.truncations).toBeGreaterThan(0);
  if (process.env["SHOW"]) console.log(JSON.stringify(seen));
});
