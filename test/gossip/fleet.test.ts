// Members that come and go, crash, are cut off, slow or called dead by mistake: fleets of pure
// machines in virtual time.
import { expect, test } from "vitest";
import { type Instant, millis } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import { detectionTimeMax } from "../../src/gossip/formulas.ts";
import { Gossip } from "../../src/gossip/gossip.ts";
import type { MemberState } from "../../src/gossip/messages.ts";
import { readPacket } from "../../src/gossip/packet-codec.ts";
import { LAN_PROFILE as LAN } from "../../src/gossip/profiles.ts";
import type { GossipProfile } from "../../src/gossip/protocol.ts";
import { addressOf, Fleet, type FleetNode, id, seconds } from "./fleet.ts";

/** A fleet whose members all know each other. */
function whole(seed: string, count: number, profile: Partial<GossipProfile> = {}) {
  const fleet = new Fleet(seed);
  const nodes = fleet.startAll(count, { profile: { ...LAN, ...profile } });
  expect(fleet.runUntil(() => fleet.isWhole(), seconds(30))).toBe(true);
  return { fleet, nodes };
}

function at(nodes: readonly FleetNode[], place: number): FleetNode {
  const node = nodes.at(place);
  if (node === undefined) throw new Error(`no node ${place}`);
  return node;
}

const incarnationOf = (node: FleetNode) => node.gossip.status().incarnation as number;
const told = (node: FleetNode, what: string) => node.story().filter((each) => each === what);
const hasFalseWord = (node: FleetNode) => node.happenings.some(({ kind }) => kind === "fail");

for (const count of [2, 3, 8, 32]) {
  test(`${count} members that join one of them all know each other within seconds`, () => {
    const { fleet, nodes } = whole(`join/${count}`, count);
    expect(fleet.now).toBeLessThan(seconds(5));
    for (const node of nodes) {
      expect(node.happenings.map(({ kind }) => kind)).toEqual(Array(count - 1).fill("join"));
      if (node !== nodes[0]) expect([...node.answers.values()]).toMatchObject([{ reached: 1 }]);
    }
  });

  test(`a crash of one of ${count} members is known by all within the formula's time`, () => {
    const { fleet, nodes } = whole(`crash/${count}`, count);
    fleet.run(seconds(3));
    const crashed = at(nodes, -1);
    fleet.kill(crashed);
    const isKnown = () => fleet.allSay(crashed.name, "failed");
    expect(fleet.runUntil(isKnown, detectionTimeMax(LAN, count, 0))).toBe(true);
    for (const node of fleet.up) {
      expect(node.story().filter((what) => what.startsWith("fail"))).toEqual([
        `fail ${crashed.name}`,
      ]);
    }
  });
}

test("nobody is called failed, suspected or made to object while nothing goes wrong", () => {
  const { fleet, nodes } = whole("calm", 16);
  fleet.run(seconds(120));
  for (const node of nodes) {
    expect(hasFalseWord(node)).toBe(false);
    expect(incarnationOf(node)).toBe(1);
    expect(node.gossip.status()).toMatchObject({ healthScore: 0, dropped: {}, rumors: 0 });
  }
});

test("nobody healthy is called failed while one packet in ten is lost", () => {
  const { fleet, nodes } = whole("lossy", 8);
  fleet.lossPercent = 10;
  fleet.run(seconds(120));
  for (const node of nodes) expect(hasFalseWord(node)).toBe(false);
});

test("a member that leaves in good order is left for all, not failed, and falls silent", () => {
  const { fleet, nodes } = whole("leave", 6);
  const leaver = at(nodes, 2);
  const asked = fleet.ask(leaver, (requestId) => ({ kind: "leave", requestId }));
  expect(fleet.runUntil(() => leaver.answers.has(asked), seconds(15))).toBe(true);
  expect(leaver.answers.get(asked)).toMatchObject({ kind: "done" });
  expect(fleet.allSay(leaver.name, "left")).toBe(true);
  const { packetsSent } = leaver;
  fleet.run(seconds(60));
  expect(leaver.packetsSent).toBe(packetsSent);
  expect(leaver.gossip.status().state).toBe("left");
  for (const node of nodes) {
    expect(told(node, `leave ${leaver.name}`)).toHaveLength(node === leaver ? 0 : 1);
    expect(hasFalseWord(node)).toBe(false);
  }
});

test("a member that is alone leaves at once", () => {
  const fleet = new Fleet("alone");
  const node = fleet.start("n1");
  const asked = fleet.ask(node, (requestId) => ({ kind: "leave", requestId }));
  expect(node.answers.get(asked)).toMatchObject({ kind: "done" });
});

test("a member that left is refused what only members may ask, and may leave again", () => {
  const fleet = new Fleet("after");
  const node = fleet.start("n1");
  fleet.ask(node, (requestId) => ({ kind: "leave", requestId }));
  const again = fleet.ask(node, (requestId) => ({ kind: "leave", requestId }));
  expect(node.answers.get(again)).toMatchObject({ kind: "done" });
  const joined = fleet.join(node, node);
  expect(node.answers.get(joined)).toMatchObject({ kind: "refused", why: "left" });
});

test("a member that left comes back under a new incarnation", () => {
  const { fleet, nodes } = whole("back", 5);
  const leaver = at(nodes, 4);
  const asked = fleet.ask(leaver, (requestId) => ({ kind: "leave", requestId }));
  expect(fleet.runUntil(() => leaver.answers.has(asked), seconds(15))).toBe(true);
  fleet.run(seconds(2));
  fleet.restart(leaver);
  fleet.join(leaver, at(nodes, 0));
  expect(fleet.runUntil(() => fleet.isWhole(), seconds(5))).toBe(true);
  expect(incarnationOf(leaver)).toBeGreaterThan(1);
  fleet.run(seconds(90));
  expect(fleet.isWhole()).toBe(true);
});

test("a member that crashed and was called failed comes back under a new incarnation", () => {
  const { fleet, nodes } = whole("revive", 5);
  const crashed = at(nodes, 3);
  fleet.kill(crashed);
  expect(fleet.runUntil(() => fleet.allSay(crashed.name, "failed"), seconds(60))).toBe(true);
  fleet.restart(crashed);
  fleet.join(crashed, at(nodes, 0));
  expect(fleet.runUntil(() => fleet.isWhole(), seconds(5))).toBe(true);
  expect(incarnationOf(crashed)).toBeGreaterThan(1);
  for (const node of nodes) {
    if (node === crashed) continue;
    expect(node.story().slice(-2)).toEqual([`fail ${crashed.name}`, `join ${crashed.name}`]);
  }
});

test("a member that restarts with other tags before anybody missed it shows them to all", () => {
  const { fleet, nodes } = whole("fast", 5);
  const quick = at(nodes, 1);
  fleet.run(seconds(2));
  fleet.restart(quick, { tags: new Map([["role", "new"]]) });
  fleet.join(quick, at(nodes, 0));
  const showsNew = (node: FleetNode) =>
    node.gossip
      .status()
      .members.some(({ node: name, tags }) => name === quick.name && tags.get("role") === "new");
  expect(fleet.runUntil(() => nodes.every(showsNew), seconds(5))).toBe(true);
  expect(fleet.isWhole()).toBe(true);
  expect(incarnationOf(quick)).toBe(2);
});

test("a member that crashed comes back at another address once its name is free again", () => {
  const { fleet, nodes } = whole("moved", 5);
  const moved = at(nodes, 3);
  fleet.kill(moved);
  expect(fleet.runUntil(() => fleet.allSay(moved.name, "failed"), seconds(60))).toBe(true);
  fleet.run(seconds(31));
  const again = fleet.start(moved.name, { address: addressOf(99) });
  fleet.nodes.splice(fleet.nodes.indexOf(moved), 1);
  fleet.join(again, at(nodes, 0));
  expect(fleet.runUntil(() => fleet.isWhole(), seconds(5))).toBe(true);
});

test("a second member of the same name is turned away, and that is told", () => {
  const { fleet, nodes } = whole("double", 4);
  const impostor = fleet.start("n2", { address: addressOf(77) });
  fleet.join(impostor, at(nodes, 0));
  fleet.run(seconds(5));
  for (const node of nodes) {
    const known = node.gossip.status().members.find(({ node: name }) => name === "n2");
    expect(known?.address).toEqual(addressOf(2));
  }
  expect(at(nodes, 0).gossip.status().dropped).toMatchObject({
    "name-conflict": expect.anything(),
  });
  expect(impostor.gossip.status().dropped).toMatchObject({ "name-conflict": expect.anything() });
});

/** What its operator was told, since `turns` were taken down. */
const noticesOf = (node: FleetNode) =>
  (node.turns ?? []).flatMap(({ output }) => output?.notices ?? []);

test("a newcomer whose name is taken gives it up without harm to its owner", () => {
  const { fleet, nodes } = whole("taken", 5);
  const owner = at(nodes, 1);
  const impostor = fleet.start("n2", { address: addressOf(77) });
  impostor.turns = [];
  owner.turns = [];
  fleet.join(impostor, at(nodes, 0), owner);
  expect(fleet.runUntil(() => impostor.gossip.status().state === "left", seconds(30))).toBe(true);
  const lost = noticesOf(impostor).find(({ what }) => what === "gossip-name-lost");
  const facts = { name: "n2", ours: "10.0.0.77:7946", theirs: "10.0.0.2:7946" };
  expect(lost).toMatchObject({ level: "error", facts });
  expect(lost?.facts["votes"]).toMatch(/^0 of [1-4]$/);
  const { packetsSent } = impostor;
  fleet.run(seconds(60));
  expect(impostor.packetsSent).toBe(packetsSent);
  expect(owner.gossip.status().state).toBe("running");
  for (const node of nodes) expect(node.happenings.every(({ kind }) => kind === "join")).toBe(true);
  for (const node of nodes) if (node !== owner) expect(node.statusOf("n2")).toBe("alive");
  const kept = noticesOf(owner).find(({ what }) => what === "gossip-name-kept");
  expect(kept?.facts).toMatchObject({ theirs: "10.0.0.77:7946" });
  expect(noticesOf(owner).map(({ what }) => what)).not.toContain("gossip-name-lost");
  // Whom most know it by need not look whether anybody is at the other place.
  const sent = (owner.turns ?? []).flatMap(({ output }) => output?.packets ?? []);
  const toOther = sent
    .filter(({ to }) => to.ip[3] === 77)
    .flatMap(({ bytes }) => readPacket(bytes).parts);
  expect(toOther.filter(({ message }) => message.kind === "ping")).toEqual([]);
});

test("a member that comes back at another address before anybody missed it keeps its name", () => {
  const { fleet, nodes } = whole("moving", 5);
  const moved = at(nodes, 3);
  fleet.kill(moved);
  fleet.nodes.splice(fleet.nodes.indexOf(moved), 1);
  const again = fleet.start(moved.name, { address: addressOf(99) });
  again.turns = [];
  for (let round = 0; round < 12; round++) {
    fleet.join(again, at(nodes, 0));
    fleet.run(seconds(10));
  }
  expect(again.gossip.status().state).toBe("running");
  expect(fleet.isWhole()).toBe(true);
  const told = noticesOf(again).map(({ what }) => what);
  expect(told).toContain("gossip-name-contested");
  expect(told).toContain("gossip-name-kept");
  expect(told).not.toContain("gossip-name-lost");
});

test("an operator ends a failed member's time, and it shows as left everywhere", () => {
  const { fleet, nodes } = whole("force", 5);
  const crashed = at(nodes, 2);
  fleet.kill(crashed);
  expect(fleet.runUntil(() => fleet.allSay(crashed.name, "failed"), seconds(60))).toBe(true);
  const node = id(crashed.name);
  const boss = at(nodes, 0);
  fleet.ask(boss, (requestId) => ({ kind: "force-leave", requestId, node, prune: false }));
  expect(fleet.runUntil(() => fleet.allSay(crashed.name, "left"), seconds(5))).toBe(true);
  fleet.ask(boss, (requestId) => ({ kind: "force-leave", requestId, node, prune: true }));
  expect(fleet.runUntil(() => fleet.allSay(crashed.name, null), seconds(5))).toBe(true);
  expect(at(nodes, 4).story().slice(-2)).toEqual([`leave ${node}`, `reap ${node}`]);
  const asked = fleet.ask(boss, (requestId) => {
    return { kind: "force-leave", requestId, node, prune: false };
  });
  expect(boss.answers.get(asked)).toMatchObject({ kind: "refused", why: "unknown-member" });
});

test("a member that is forced out although it is there objects and stays", () => {
  const { fleet, nodes } = whole("object", 5);
  const node = id("n3");
  fleet.ask(at(nodes, 0), (requestId) => {
    return { kind: "force-leave", requestId, node, prune: false };
  });
  expect(at(nodes, 0).statusOf("n3")).toBe("leaving");
  fleet.run(seconds(5));
  expect(fleet.isWhole()).toBe(true);
  fleet.run(seconds(60));
  expect(fleet.isWhole()).toBe(true);
});

test("two halves that were cut apart find together again after the cut", () => {
  const { fleet, nodes } = whole("halves", 8);
  const isLeft = (name: string) => Number(name.slice(1)) <= 4;
  fleet.isOpen = (from, to) => isLeft(from) === isLeft(to);
  const knowsCut = () => fleet.allSay("n8", "failed") || at(nodes, 0).statusOf("n8") === "failed";
  expect(fleet.runUntil(knowsCut, seconds(90))).toBe(true);
  fleet.run(seconds(120));
  for (const node of nodes) {
    const other = isLeft(node.name) ? "n8" : "n1";
    expect(node.statusOf(other)).toBe("failed");
  }
  fleet.isOpen = () => true;
  expect(fleet.runUntil(() => fleet.isWhole(), seconds(120))).toBe(true);
  fleet.run(seconds(60));
  expect(fleet.isWhole()).toBe(true);
});

test("a member whose packets are lost in one direction is kept by streams and by others", () => {
  const { fleet, nodes } = whole("oneway", 5);
  // What n1 asks n2 directly is lost; others reach it.
  const isCut = (from: string, to: string) => from === "n1" && to === "n2";
  fleet.isOpen = (from, to) => !isCut(from, to);
  fleet.run(seconds(60));
  for (const node of nodes) expect(hasFalseWord(node)).toBe(false);
});

test("a change of tags is seen by all, once, under the next incarnation", () => {
  const { fleet, nodes } = whole("tags", 6);
  fleet.run(seconds(2));
  const changed = at(nodes, 5);
  const tags = new Map([
    ["rpc_addr", "10.0.0.6:8400"],
    ["role", "log"],
  ]);
  const asked = fleet.ask(changed, (requestId) => ({ kind: "set-tags", requestId, tags }));
  expect(changed.answers.get(asked)).toMatchObject({ kind: "done" });
  fleet.run(seconds(2));
  for (const node of nodes) {
    const known = node.gossip.status().members.find(({ node: name }) => name === changed.name);
    expect(known?.tags).toEqual(tags);
    expect(known?.incarnation).toBe(2);
    if (node !== changed) expect(told(node, `update ${changed.name}`)).toHaveLength(1);
  }
});

test("tags that do not fit are refused, and nothing changes", () => {
  const { fleet, nodes } = whole("large", 2);
  const tags = new Map([["role", "x".repeat(520)]]);
  const node = at(nodes, 0);
  const asked = fleet.ask(node, (requestId) => ({ kind: "set-tags", requestId, tags }));
  expect(node.answers.get(asked)).toMatchObject({ kind: "refused", why: "tags-too-large" });
  expect(incarnationOf(node)).toBe(1);
});

test("a join that reaches nobody, itself or only some says so", () => {
  const { fleet, nodes } = whole("reach", 2);
  const gone = fleet.start("gone");
  fleet.kill(gone);
  const node = fleet.start("n9");
  const asked = fleet.join(node, at(nodes, 0), gone, node);
  expect(fleet.runUntil(() => node.answers.has(asked), seconds(15))).toBe(true);
  expect(node.answers.get(asked)).toMatchObject({
    kind: "joined",
    reached: 1,
    failures: [
      { address: node.options.address, why: "this is our own address" },
      { address: gone.options.address, why: "connection refused" },
    ],
  });
});

interface FalseWords {
  readonly ofHealthy: number;
  readonly ofSlow: number;
}

/** Who is called failed while three of twelve hear everything `lag` seconds late, now and then. */
function falseWords(profile: Partial<GossipProfile>, lag: number): FalseWords {
  const { fleet, nodes } = whole("slow", 12, profile);
  const slow = nodes.slice(0, 3);
  const names = new Set(slow.map(({ name }) => name));
  for (let round = 0; round < 3; round++) {
    for (const node of slow) node.lag = seconds(lag);
    fleet.run(seconds(20));
    for (const node of slow) node.lag = seconds(0);
    fleet.run(seconds(5));
  }
  const failed = nodes.flatMap(({ happenings }) => {
    return happenings.filter(({ kind }) => kind === "fail");
  });
  const ofSlow = failed.filter(({ member }) => names.has(member.node)).length;
  return { ofHealthy: failed.length - ofSlow, ofSlow };
}

/** No local health, no more time for a suspicion that nobody confirms, no word to the suspect. */
const WITHOUT_LIFEGUARD = { awarenessMax: 1, suspicionMaxTimeoutMult: 1, tellsSuspects: false };

test("with Lifeguard, members that hear late seldom call healthy ones failed, as they do without", () => {
  const without = falseWords(WITHOUT_LIFEGUARD, 5).ofHealthy;
  expect(without).toBeGreaterThan(20);
  expect(falseWords({}, 5).ofHealthy * 10).toBeLessThan(without);
});

test("with Lifeguard, members that hear late are not called failed more often than without", () => {
  for (const lag of [2, 3]) {
    expect(falseWords({}, lag).ofSlow).toBeLessThanOrEqual(
      falseWords(WITHOUT_LIFEGUARD, lag).ofSlow,
    );
  }
});

test("what a member sends a second does not grow with the number of members", () => {
  const rateOf = (count: number) => {
    const { fleet, nodes } = whole(`load/${count}`, count);
    fleet.run(seconds(10));
    for (const node of nodes) node.packetsSent = 0;
    fleet.run(seconds(60));
    return nodes.reduce((sum, { packetsSent }) => sum + packetsSent, 0) / count / 60;
  };
  const [few, many] = [rateOf(4), rateOf(32)];
  // A ping and an ack a second.
  expect(few).toBeGreaterThan(1.8);
  expect(few).toBeLessThan(2.2);
  expect(Math.abs(many - few)).toBeLessThan(0.2);
});

test("what a member sends while news spreads is bounded by its rounds, not by the news", () => {
  const { fleet, nodes } = whole("news", 24);
  fleet.run(seconds(10));
  for (const node of nodes) node.packetsSent = 0;
  for (const node of nodes) {
    const tags = new Map([["round", node.name]]);
    fleet.ask(node, (requestId) => ({ kind: "set-tags", requestId, tags }));
  }
  fleet.run(seconds(5));
  // Three packets a round of 200 ms, and a ping and an ack a second.
  for (const { packetsSent } of nodes) expect(packetsSent).toBeLessThan(5 * (15 + 4));
});

test("the same events give the same bytes, twice", () => {
  const taleOf = (seed: string) => {
    const fleet = new Fleet(seed);
    fleet.tale = [];
    const nodes = fleet.startAll(6);
    fleet.lossPercent = 20;
    fleet.run(seconds(10));
    fleet.kill(at(nodes, 1));
    fleet.pause(at(nodes, 2), seconds(4));
    fleet.run(seconds(40));
    fleet.ask(at(nodes, 3), (requestId) => ({ kind: "leave", requestId }));
    fleet.run(seconds(20));
    return fleet.tale.join("\n");
  };
  const first = taleOf("twice");
  expect(first.length).toBeGreaterThan(10_000);
  expect(taleOf("twice")).toBe(first);
  expect(taleOf("once")).not.toBe(first);
});

test("a machine that is told the same again decides the same again, byte for byte", () => {
  const fleet = new Fleet("again");
  const node = fleet.start("n1");
  node.turns = [];
  for (const name of ["n2", "n3", "n4", "n5"]) fleet.join(fleet.start(name), node);
  fleet.lossPercent = 20;
  fleet.run(seconds(10));
  fleet.kill(fleet.node("n3"));
  fleet.run(seconds(40));
  fleet.ask(node, (requestId) => ({ kind: "leave", requestId }));
  fleet.run(seconds(10));
  expect(node.turns.length).toBeGreaterThan(200);
  const prng = new Prng(node.options.prng.seed);
  const again = new Gossip({ ...node.options, prng }, 0 as Instant);
  for (const { at: now, event, output } of node.turns) {
    again.step(now, event);
    expect(again.takeOutput()).toEqual(output);
  }
});

test("members long gone are forgotten when their time is up", () => {
  const { fleet, nodes } = whole("reap", 4, {
    reconnectTimeout: seconds(120),
    tombstoneTimeout: seconds(60),
  });
  fleet.kill(at(nodes, 3));
  fleet.ask(at(nodes, 2), (requestId) => ({ kind: "leave", requestId }));
  expect(fleet.runUntil(() => at(nodes, 0).statusOf("n4") === "failed", seconds(60))).toBe(true);
  expect(at(nodes, 0).statusOf("n3")).toBe("left");
  fleet.run(seconds(200));
  const states: (MemberState | null)[] = ["n3", "n4"].map((name) =>
    at(nodes, 0).gossip.stateOf(id(name)),
  );
  expect(states).toEqual([null, null]);
  expect(at(nodes, 0).story().slice(-2)).toEqual(["reap n3", "reap n4"]);
});

test("a table that is full takes nobody in, until somebody has been gone for a while", () => {
  const fleet = new Fleet("full");
  const keeper = fleet.start("n1", { membersMax: 2 });
  const others = ["n2", "n3", "n4"].map((name) => fleet.start(name));
  for (const node of others.slice(0, 2)) fleet.join(node, keeper);
  fleet.run(seconds(5));
  fleet.join(at(others, 2), keeper);
  fleet.run(seconds(5));
  expect(keeper.statusOf("n4")).toBeNull();
  expect(keeper.gossip.status().dropped).toMatchObject({ "table-full": expect.anything() });
  fleet.kill(at(others, 0));
  expect(fleet.runUntil(() => keeper.statusOf("n2") === "failed", seconds(60))).toBe(true);
  fleet.run(seconds(100));
  expect(keeper.statusOf("n4")).toBe("alive");
  expect(keeper.statusOf("n2")).toBeNull();
});

test("a fleet that was paused as a whole finds itself again", () => {
  const { fleet, nodes } = whole("asleep", 6);
  for (const node of nodes) fleet.pause(node, seconds(60));
  fleet.run(seconds(180));
  expect(fleet.isWhole()).toBe(true);
  expect(LAN.gossipInterval).toBe(millis(200));
});
