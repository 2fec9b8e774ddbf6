// Members killed, started again, cut apart, paused and made slow at random, with packets lost all
// the while; then the trouble ends, and after a while everybody knows who is there and who is not.
import { expect, test } from "vitest";
import type { Micros } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import { Fleet, type FleetNode, id, seconds } from "./fleet.ts";

const SEEDS = Number(process.env["CAIRN_GOSSIP_SEEDS"] ?? 12);

type Mishap = (fleet: Fleet, node: FleetNode, prng: Prng) => void;

function returnWith(fleet: Fleet, node: FleetNode, prng: Prng): void {
  fleet.restart(node);
  // Whoever begins anew asks all the others, as a list of seeds would.
  fleet.join(node, ...prng.shuffled(fleet.up.filter((other) => other !== node)).slice(0, 3));
}

const MISHAPS: readonly Mishap[] = [
  (fleet, node) => fleet.kill(node),
  (fleet, node, prng) => returnWith(fleet, node, prng),
  (fleet, node, prng) => fleet.pause(node, prng.between(0, seconds(8)) as Micros),
  (_, node, prng) => {
    node.lag = prng.between(0, seconds(3)) as Micros;
  },
  (fleet, node) => {
    if (node.isUp) fleet.ask(node, (requestId) => ({ kind: "leave", requestId }));
  },
  (fleet, node, prng) => {
    const tags = new Map([["mark", `${prng.below(1000)}`]]);
    if (node.isUp) fleet.ask(node, (requestId) => ({ kind: "set-tags", requestId, tags }));
  },
  (fleet, node, prng) => {
    const name = id(prng.pick(fleet.nodes).name);
    const prune = prng.chance(1, 4);
    if (!node.isUp || name === node.name) return;
    fleet.ask(node, (requestId) => ({ kind: "force-leave", requestId, node: name, prune }));
  },
  (fleet, _, prng) => {
    const side = new Set(fleet.nodes.filter(() => prng.chance(1, 2)).map(({ name }) => name));
    fleet.isOpen = (from, to) => side.has(from) === side.has(to);
  },
  (fleet, node) => {
    fleet.isOpen = (_, to) => to !== node.name;
  },
  (fleet) => {
    fleet.isOpen = () => true;
  },
  (fleet, _, prng) => {
    fleet.lossPercent = prng.below(40);
  },
];

/** A fleet after a while of trouble and with none left. */
function troubled(seed: string): Fleet {
  const prng = new Prng(seed);
  const fleet = new Fleet(seed);
  fleet.startAll(prng.between(3, 9));
  fleet.run(seconds(5));
  for (let count = 0; count < 24; count++) {
    prng.pick(MISHAPS)(fleet, prng.pick(fleet.nodes), prng);
    fleet.run(prng.between(0, seconds(8)) as Micros);
  }
  fleet.isOpen = () => true;
  fleet.lossPercent = 0;
  for (const node of fleet.nodes) {
    node.lag = 0 as Micros;
    // Who left is started again; of those who crashed, some.
    const isGone = !node.isUp || node.gossip.status().state !== "running";
    if (isGone && (node.isUp || prng.chance(1, 2))) returnWith(fleet, node, prng);
  }
  return fleet;
}

/** Whoever knows nobody tries again, as with a list of seeds: those asked had left themselves. */
function joinAgain(fleet: Fleet): void {
  for (const node of fleet.up) {
    const others = fleet.up.filter((other) => other !== node);
    const knowsAny = others.some(({ name }) => node.statusOf(name) === "alive");
    if (!knowsAny) fleet.join(node, ...others);
  }
}

/** What a member that is up shows for one that is not. */
function showsGone(fleet: Fleet): boolean {
  const down = fleet.nodes.filter(({ isUp }) => !isUp);
  return down.every(({ name }) =>
    fleet.up.every((node) => ["failed", "left", null].includes(node.statusOf(name))),
  );
}

/** All see each other's latest tags. */
function showsTags(fleet: Fleet): boolean {
  return fleet.up.every((node) =>
    fleet.up.every((other) => {
      const own = other.gossip.status().members.find((member) => member.node === other.name);
      const seen = node.gossip.status().members.find((member) => member.node === other.name);
      return own?.tags.get("mark") === seen?.tags.get("mark");
    }),
  );
}

for (let at = 1; at <= SEEDS; at++) {
  test(`after the trouble of seed ${at}, everybody knows who is there and who is not`, () => {
    const fleet = troubled(`swarm/${at}`);
    const isSettled = () => fleet.isWhole() && showsGone(fleet) && showsTags(fleet);
    const patience = seconds(400);
    const began = fleet.now;
    // Looked at now and then: to look is dearer than to live.
    while (fleet.now - began < patience && !isSettled()) {
      fleet.run(seconds(1));
      if ((fleet.now - began) % seconds(30) === 0) joinAgain(fleet);
    }
    expect(isSettled(), `${(fleet.now - began) / 1e6} s`).toBe(true);
    fleet.run(seconds(60));
    expect(isSettled()).toBe(true);
  });
}
