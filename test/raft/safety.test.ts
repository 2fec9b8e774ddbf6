// Random moves on small clusters: whatever is lost, doubled, reordered or crashed, the safety properties
// hold after every move, and once the faults end everything is answered and all logs are equal.
import fc from "fast-check";
import { expect, test } from "vitest";
import type { RaftOptions } from "../../src/raft/protocol.ts";
import { Cluster } from "./cluster.ts";

/** One choice decides a move (its low part) and what it is made on (its high part). */
function move(cluster: Cluster, choice: number): void {
  const kind = choice % 100;
  const pick = Math.floor(choice / 100);
  const node = cluster.nodes[pick % cluster.nodes.length];
  if (node === undefined) return;
  const other = cluster.nodes[(pick + 1) % cluster.nodes.length]?.name ?? node.name;
  const mail = cluster.mail.length === 0 ? 0 : pick % cluster.mail.length;
  if (kind < 30) cluster.deliver(mail);
  else if (kind < 34) cluster.deliver(mail, true);
  else if (kind < 38) cluster.mail.splice(mail, 1);
  else if (kind < 54) cluster.writeDurably(node);
  else if (kind < 68) cluster.propose(cluster.leader() ?? node, pick % 300);
  else if (kind < 72) cluster.read(cluster.leader() ?? node);
  else if (kind < 74) cluster.propose(node);
  else if (kind < 80) cluster.passTime(cluster.nextInTime());
  else if (kind < 82) cluster.passTime(node);
  else if (kind < 84) cluster.crash(node, pick % 3);
  else if (kind < 88) for (const each of cluster.nodes) cluster.restart(each);
  else if (kind < 89) cluster.step(node, { kind: "peer-unreachable", peer: other });
  else cluster.deliverAll();
  // Most turns end here; the others go on with the next move, so that outputs coalesce.
  if (choice % 7 !== 0) for (const each of cluster.nodes) cluster.take(each);
}

const choices = fc.array(fc.noBias(fc.nat(0x7fff_ffff)), {
  minLength: 300,
  maxLength: 900,
  size: "max",
});
const small: Partial<RaftOptions> = { appendsInFlightMax: 2, appendBytesMax: 400 };

test.each([
  [1, 0, 50],
  [2, 0, 100],
  [3, 0, 500],
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
