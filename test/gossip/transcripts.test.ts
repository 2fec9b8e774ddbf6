// Conversations as golden text: an event a line, then what was decided. Read the diff before
// updating it with `npx vitest run test/gossip/transcripts -u`: each changed line is a changed
// protocol.
import { expect, test } from "vitest";
import { Fleet, type FleetNode, id, seconds } from "./fleet.ts";

/** A fleet that is whole and has fallen quiet, from where on everything is taken down. */
function quiet(seed: string, count: number): { fleet: Fleet; nodes: FleetNode[] } {
  const fleet = new Fleet(seed);
  const nodes = fleet.startAll(count);
  expect(fleet.runUntil(() => fleet.isWhole(), seconds(10))).toBe(true);
  const isQuiet = () => nodes.every(({ gossip }) => gossip.status().rumors === 0);
  expect(fleet.runUntil(isQuiet, seconds(10))).toBe(true);
  fleet.tale = [];
  return { fleet, nodes };
}

function node(nodes: readonly FleetNode[], place: number): FleetNode {
  const found = nodes[place];
  if (found === undefined) throw new Error(`no node ${place}`);
  return found;
}

async function expectTale(fleet: Fleet, name: string): Promise<void> {
  const tale = `${(fleet.tale ?? []).join("\n")}\n`;
  await expect(tale).toMatchFileSnapshot(`transcripts/${name}.txt`);
}

test("a member joins another", async () => {
  const fleet = new Fleet("tale/join");
  fleet.tale = [];
  fleet.startAll(2);
  expect(fleet.runUntil(() => fleet.isWhole(), seconds(5))).toBe(true);
  fleet.run(seconds(1));
  await expectTale(fleet, "join");
});

test("a member is reached through others", async () => {
  const { fleet } = quiet("tale/indirect", 3);
  fleet.isOpen = (from, to) => !(from === "n1" && to === "n2") && !(from === "n2" && to === "n1");
  const hasAnswer = () => (fleet.tale ?? []).some((line) => /^n1 < .*10.0.0.3.*ack/.test(line));
  expect(fleet.runUntil(hasAnswer, seconds(5))).toBe(true);
  await expectTale(fleet, "indirect-probe");
});

test("a member crashes and is called failed", async () => {
  const { fleet, nodes } = quiet("tale/crash", 3);
  fleet.kill(node(nodes, 2));
  expect(fleet.runUntil(() => fleet.allSay("n3", "failed"), seconds(20))).toBe(true);
  await expectTale(fleet, "crash");
});

test("a member that is suspected objects", async () => {
  const { fleet, nodes } = quiet("tale/refute", 3);
  const accused = node(nodes, 1);
  fleet.pause(accused, seconds(2.5));
  const isSuspected = () => fleet.nodes[0]?.gossip.stateOf(id("n2")) === "suspect";
  expect(fleet.runUntil(isSuspected, seconds(8))).toBe(true);
  const hasObjected = () =>
    nodes.every(({ name, gossip }) => name === "n2" || gossip.stateOf(id("n2")) === "alive");
  expect(fleet.runUntil(hasObjected, seconds(8))).toBe(true);
  await expectTale(fleet, "refutation");
});

test("a member leaves in good order", async () => {
  const { fleet, nodes } = quiet("tale/leave", 3);
  const asked = fleet.ask(node(nodes, 0), (requestId) => ({ kind: "leave", requestId }));
  expect(fleet.runUntil(() => node(nodes, 0).answers.has(asked), seconds(10))).toBe(true);
  await expectTale(fleet, "leave");
});

test("a member that crashed begins anew and finds that it is held for dead", async () => {
  const { fleet, nodes } = quiet("tale/rejoin", 3);
  const crashed = node(nodes, 2);
  fleet.tale = null;
  fleet.kill(crashed);
  expect(fleet.runUntil(() => fleet.allSay("n3", "failed"), seconds(20))).toBe(true);
  fleet.run(seconds(1));
  fleet.tale = [];
  fleet.restart(crashed);
  fleet.join(crashed, node(nodes, 0));
  expect(fleet.runUntil(() => fleet.isWhole(), seconds(5))).toBe(true);
  await expectTale(fleet, "rejoin");
});

test("a member changes its tags", async () => {
  const { fleet, nodes } = quiet("tale/tags", 3);
  const tags = new Map([["rpc_addr", "10.0.0.2:8400"]]);
  fleet.ask(node(nodes, 1), (requestId) => ({ kind: "set-tags", requestId, tags }));
  fleet.run(seconds(1));
  await expectTale(fleet, "tags");
});

test("an operator declares a failed member left, and prunes it", async () => {
  const { fleet, nodes } = quiet("tale/force", 3);
  fleet.tale = null;
  fleet.kill(node(nodes, 2));
  expect(fleet.runUntil(() => fleet.allSay("n3", "failed"), seconds(20))).toBe(true);
  fleet.run(seconds(1));
  fleet.tale = [];
  const boss = node(nodes, 0);
  const force = (prune: boolean) =>
    fleet.ask(boss, (requestId) => ({ kind: "force-leave", requestId, node: id("n3"), prune }));
  force(false);
  expect(fleet.runUntil(() => fleet.allSay("n3", "left"), seconds(5))).toBe(true);
  force(true);
  expect(fleet.runUntil(() => fleet.allSay("n3", null), seconds(5))).toBe(true);
  await expectTale(fleet, "force-leave");
});
