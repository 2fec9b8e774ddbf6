// Random plans for a cluster of pure Rafts: each number is one move. Owns which moves there are and
// how likely each is; what is right is the judge's.

import { Prng } from "../../src/base/prng.ts";
import { describeMessage } from "../../src/raft/describe.ts";
import type { RaftOptions } from "../../src/raft/protocol.ts";
import { Raft } from "../../src/raft/raft.ts";
import { badMessage } from "./bad-messages.ts";
import { Cluster, type ClusterNode } from "./cluster.ts";

/** Small, so that pipelines fill and appends are cut. */
const SMALL: Partial<RaftOptions> = { appendsInFlightMax: 2, appendBytesMax: 400 };

export interface Setting {
  readonly voters: number;
  readonly learners?: number;
  /** Nodes that are up and empty, for changes of membership to bring in; with them come trims. */
  readonly joiners?: number;
  /** Some messages come a second time with something in them that cannot be. */
  readonly badInput?: boolean;
  /** Disks hang for seconds. */
  readonly hungDisks?: boolean;
  /** Disks of a minority at a time lose the end of their log. */
  readonly losses?: boolean;
}

export type Seen = Cluster["seen"] & { leaders: number; committed: number };

/** Plays a plan to its end, ends all faults, and says what was seen. Throws for anything unsafe. */
export function play(
  setting: Setting,
  moves: readonly number[],
  machine: typeof Raft = Raft,
): Seen {
  const cluster = begin(setting, machine);
  make(cluster, setting, moves);
  const before = cluster.committed.length;
  settle(cluster);
  const leader = cluster.leader();
  if (leader !== null) cluster.propose(leader);
  settle(cluster);
  const committed = cluster.committed.length;
  if (committed <= before) throw new Error(`nothing is committed:\n${cluster.describe()}`);
  return { ...cluster.seen, leaders: cluster.oracle.leadersSeen, committed };
}

/** Every event and every decision of a plan, a line each. */
export function storyOf(setting: Setting, moves: readonly number[]): string {
  const cluster = begin(setting, Raft);
  cluster.story = [];
  make(cluster, setting, moves);
  return cluster.story.join("\n");
}

function begin({ voters, learners = 0, joiners = 0 }: Setting, machine: typeof Raft): Cluster {
  return new Cluster(voters, learners, SMALL, joiners, machine);
}

function make(
  cluster: Cluster,
  { joiners = 0, badInput, hungDisks, losses }: Setting,
  moves: readonly number[],
): void {
  for (const choice of moves) {
    if (badInput && choice % 5 === 0) strike(cluster, Math.floor(choice / 100));
    else if (hungDisks && choice % 11 === 0) hangOrThaw(cluster, Math.floor(choice / 100));
    else if (losses && choice % 13 === 0) loseEndOrTrim(cluster, Math.floor(choice / 100));
    else move(cluster, choice, joiners > 0);
  }
}

/** The plan that a number stands for. */
export function planOf(seed: number): number[] {
  const prng = new Prng(`plan ${seed}`);
  return Array.from({ length: prng.between(500, 1500) }, () => prng.below(0x8000_0000));
}

/** What all runs have seen. */
export function addUp(all: readonly Seen[]): Seen {
  const sum = { ...(all[0] as Seen) };
  for (const seen of all.slice(1)) {
    for (const key of Object.keys(sum) as (keyof Seen)[]) sum[key] += seen[key];
  }
  return sum;
}

function settle(cluster: Cluster): void {
  if (cluster.settle(() => cluster.hasConverged())) return;
  throw new Error(`it does not settle:\n${cluster.describe()}`);
}

/** One choice decides a move (its low part) and what it is made on (its high part). */
function move(cluster: Cluster, choice: number, isChanging: boolean): void {
  const { nodes } = cluster;
  const pick = Math.floor(choice / 100);
  const node = nodes[pick % nodes.length] as ClusterNode;
  const moves = isChanging && choice % 13 === 0 ? changes(cluster, pick) : common(cluster, pick);
  let left = choice % moves.reduce((sum, [weight]) => sum + weight, 0);
  for (const [weight, make] of moves) {
    if (left < weight) {
      make();
      break;
    }
    left -= weight;
  }
  // Most turns end here; the others go on with the next move, so that outputs coalesce.
  if (choice % 7 !== 0) for (const each of nodes) cluster.take(each);
  else cluster.take(node);
}

/** A message that cannot be comes to a node: it has no effect whatsoever. */
function strike(cluster: Cluster, pick: number): void {
  const letters = cluster.mail.filter(({ load }) => load.kind !== "snapshot-received");
  const letter = letters[pick % letters.length];
  if (letter === undefined || letter.load.kind === "snapshot-received") return;
  const { from, to, load } = letter;
  const node = cluster.node(to);
  // What time alone brings about would be taken for the message's doing.
  if (!node.isUp || node.raft.deadline <= cluster.now) return;
  cluster.take(node);
  const { dropped: before, lastDropped: _, ...state } = node.raft.status();
  const { deadline } = node.raft;
  const bad = badMessage(load, from, to, Math.floor(pick / letters.length));
  if (!bad.isCounted && load.term > node.raft.term) return;
  cluster.step(node, { kind: "received", from: bad.from, message: bad.message });
  const { dropped, lastDropped, ...stateAfter } = node.raft.status();
  const output = node.raft.takeOutput();
  const isSame =
    JSON.stringify([stateAfter, node.raft.deadline]) === JSON.stringify([state, deadline]);
  const isCounted = dropped === before + 1 && lastDropped !== null;
  cluster.seen.dropped += dropped - before;
  const what = `${bad.what} of ${describeMessage(load)} to ${to}`;
  cluster.oracle.demand(isSame && output === null, `nothing comes of ${what}`);
  cluster.oracle.demand(isCounted || !bad.isCounted, `it is counted: ${what}`);
}

/**
 * A disk hangs, a leader's as often as any; or time passes while it does, for a few timeouts; or
 * all disks go on.
 */
function hangOrThaw(cluster: Cluster, pick: number): void {
  const { nodes } = cluster;
  const node = nodes[pick % nodes.length] as ClusterNode;
  const led = cluster.leader();
  if (pick % 5 === 0) for (const each of nodes) cluster.thaw(each);
  else if (pick % 5 <= 2) cluster.hang(pick % 2 && led !== null ? led : node, pick % 7 === 0);
  else {
    for (let left = pick % 40; left > 0; left--) {
      for (const each of nodes) cluster.take(each);
      cluster.deliverAll();
      cluster.passTime(cluster.nextInTime());
    }
  }
  for (const { isHung, raft } of nodes) {
    if (isHung && raft.role === "leader" && raft.status().transferTo !== null) {
      cluster.seen.gaveWay++;
    }
  }
}

/** A log loses its end, as long as a minority mends; or it is cut at its beginning, or noted. */
function loseEndOrTrim(cluster: Cluster, pick: number): void {
  const { nodes } = cluster;
  const node = nodes[pick % nodes.length] as ClusterNode;
  const what = Math.floor(pick / 8) % 5;
  if (what === 3) cluster.trim(node, pick % 4);
  if (what === 4) cluster.checkpoint(node);
  if (what >= 3) return;
  const voters = cluster.voters();
  const mending = voters.filter(({ disk }) => disk.hardState.loss !== undefined);
  const isOne = !voters.includes(node) || mending.includes(node);
  if (!isOne && mending.length + 1 > (voters.length - 1) / 2) return;
  const entries = node.disk.log.lastIndex - node.disk.log.start.index;
  const lost = Math.floor(pick / 64) % 2 ? Math.floor(pick / 128) % 3 : pick % 50;
  if (cluster.loseEnd(node, Math.max(0, entries - 1 - lost)) && pick % 3) cluster.restart(node);
}

type Moves = readonly [weight: number, make: () => void][];

function common(cluster: Cluster, pick: number): Moves {
  const { nodes, mail } = cluster;
  const node = nodes[pick % nodes.length] as ClusterNode;
  const other = nodes[(pick + 1) % nodes.length] as ClusterNode;
  const leader = someLeader(cluster, pick);
  const letter = mail.length === 0 ? 0 : pick % mail.length;
  const side = nodes.length < 5 || pick % 2 ? [node.name] : [node.name, other.name];
  return [
    [15, () => cluster.deliver(letter)],
    [3, () => cluster.deliver(letter, true)],
    [3, () => cluster.lose(letter)],
    [23, () => cluster.deliverAll()],
    [12, () => forEach(nodes, (each) => cluster.writeDurably(each))],
    [8, () => cluster.writeDurably(node)],
    [15, () => cluster.propose(leader, pick % 300)],
    [3, () => cluster.read(leader)],
    [1, () => cluster.read(node, true)],
    [1, () => cluster.propose(node)],
    [4, () => cluster.passTime(cluster.nextInTime())],
    [2, () => cluster.passTime(node)],
    [1, () => cluster.crash(node, pick % 3)],
    [3, () => forEach(nodes, (each) => cluster.restart(each))],
    [3, () => cluster.cut(side)],
    [3, () => cluster.cut([])],
    [1, () => cluster.step(node, { kind: "peer-unreachable", peer: other.name })],
  ];
}

/** What happens rarely: another membership, another leader, a shorter log. */
function changes(cluster: Cluster, pick: number): Moves {
  const { nodes } = cluster;
  const node = nodes[pick % nodes.length] as ClusterNode;
  const leader = someLeader(cluster, pick);
  return [
    [5, () => proposeOther(cluster, leader, pick)],
    [2, () => proposeNear(cluster, leader, pick)],
    [1, () => proposeOther(cluster, node, pick)],
    [2, () => cluster.transfer(leader, pick % 2 ? node.name : null)],
    [3, () => cluster.trim(node, pick % 4)],
    [1, () => cluster.checkpoint(node)],
  ];
}

/** Any set from any set: each node's place is two bits of the pick. */
function proposeOther(cluster: Cluster, leader: ClusterNode, pick: number): void {
  const names = cluster.nodes.map(({ name }) => name as string);
  const bits = (place: number): number => Math.floor(pick / 4 ** place) % 4;
  const voters = names.filter((_, place) => bits(place) < 2).slice(0, 5);
  const learners = names.filter((name, place) => bits(place) === 2 && !voters.includes(name));
  cluster.proposeMembership(leader, voters, learners);
}

/** One member more or less, or one that changes sides. */
function proposeNear(cluster: Cluster, leader: ClusterNode, pick: number): void {
  const { membership } = leader.raft.status();
  const node = cluster.nodes[pick % cluster.nodes.length] as ClusterNode;
  const without = (ids: readonly string[]): string[] => ids.filter((name) => name !== node.name);
  const sets = { voters: without(membership.voters), learners: without(membership.learners) };
  const to = Math.floor(pick / 64) % 3;
  if (to === 0) sets.voters.push(node.name);
  if (to === 1) sets.learners.push(node.name);
  cluster.proposeMembership(leader, sets.voters, sets.learners);
}

function someLeader(cluster: Cluster, pick: number): ClusterNode {
  const leaders = cluster.leaders();
  return (
    leaders[pick % leaders.length] ?? (cluster.nodes[pick % cluster.nodes.length] as ClusterNode)
  );
}

function forEach<Item>(items: readonly Item[], make: (item: Item) => void): void {
  for (const item of items) make(item);
}
