// The key-value example: three real processes that lose their leader, and the same machine in the
// simulator.

import { execFileSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { KeyValueCluster } from "./key-value-process.ts";

describe("three key-value processes", () => {
  let cluster: KeyValueCluster;

  beforeAll(async () => {
    cluster = await KeyValueCluster.start(["n1", "n2", "n3"]);
  }, 30_000);

  afterAll(() => cluster.remove());

  test("see each other's writes, outlive a kill of the leader, and end up equal", async () => {
    const [n1, n2, n3] = cluster.members;
    expect(await n1?.ask("set color blue and green")).toBe("ok");
    expect(await n2?.ask("get color")).toBe("blue and green");
    expect(await n3?.ask("set gone soon")).toBe("ok");
    expect(await n1?.ask("delete gone")).toBe("ok");
    expect(await n2?.ask("get gone")).toBe("(none)");

    const lost = await cluster.leader();
    const [first, second] = cluster.members.filter((member) => member !== lost);
    await lost.kill();
    expect(await first?.ask("set color red")).toBe("ok");
    expect(await second?.ask("get color")).toBe("red");

    await lost.start();
    expect(await lost.ask("get color")).toBe("red");
    expect(await lost.ask("set last word")).toBe("ok");
    const dumps = await Promise.all(cluster.members.map((member) => member.ask("dump")));
    expect(dumps).toEqual(Array(3).fill('[["color","red"],["last","word"]]'));
    expect(await Promise.all(cluster.members.map((member) => member.end()))).toEqual([0, 0, 0]);
  }, 45_000);
});

test("in the simulator all machines agree and every get is explained", () => {
  const file = new URL("../../dist/examples/key-value/simulate.js", import.meta.url);
  const words = [fileURLToPath(file), "1", "10"];
  const printed = execFileSync(process.execPath, words, { encoding: "utf8", timeout: 55_000 });
  const runs = [...printed.matchAll(/^seed \d+: pass, (\d+) crashes, (\d+) gets$/gm)];
  expect(runs).toHaveLength(10);
  const sum = (at: number) => runs.reduce((all, run) => all + Number(run[at]), 0);
  expect(sum(1)).toBeGreaterThan(10);
  expect(sum(2)).toBeGreaterThan(100);
});
