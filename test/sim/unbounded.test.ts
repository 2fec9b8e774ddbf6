// Runs beyond what a cluster can bear: what disks forgot explains what is missing, nothing else.

import { describe, expect, test } from "vitest";

import { Beyond } from "../../sim/beyond.ts";
import { main } from "../../sim/main.ts";
import type { Computer } from "../../sim/observer.ts";
import { type Plan, planOf } from "../../sim/plan.ts";
import { PROFILES } from "../../sim/profiles.ts";
import { runPlan } from "../../sim/run.ts";
import { drawPlan } from "../../sim/swarm.ts";

const node = { name: "n1" } as unknown as Computer;
const broken = (property: string) => ({ property, facts: ["one", "other"] });

describe("what is explained", () => {
  test("is nothing before a disk has forgotten something", () => {
    expect(new Beyond().maybeExplain(broken("lost-write"))).toBe(false);
  });

  test("is what rests on entries, once entries are forgotten, and not what rests on votes", () => {
    const beyond = new Beyond();
    beyond.diskForgot(node, "its entries 4 to 5");
    expect(beyond.maybeExplain(broken("lost-write"))).toBe(true);
    expect(beyond.maybeExplain(broken("lost-write"))).toBe(true);
    expect(beyond.maybeExplain(broken("election-safety"))).toBe(false);
    expect(beyond.describe()).toEqual([
      "0.000 s: n1 has forgotten its entries 4 to 5",
      "explains lost-write (2 times): one; other",
    ]);
  });

  test("is what rests on votes, once a vote is forgotten", () => {
    const forgetful = new Beyond();
    forgetful.diskForgot(node, "its hard state of term 4, vote n2");
    expect(forgetful.maybeExplain(broken("election-safety"))).toBe(true);
    const older = new Beyond();
    older.diskReplaced(node, 700);
    expect(older.maybeExplain(broken("one-vote-a-term"))).toBe(true);
    // A new instance has no vote of the old one's.
    const empty = new Beyond();
    empty.diskReplaced(node, null);
    expect(empty.maybeExplain(broken("one-vote-a-term"))).toBe(false);
    expect(empty.maybeExplain(broken("lost-write"))).toBe(true);
  });

  test.each(["records-unaltered", "phantom", "torn-batch", "promise-vote", "poison-silent"])(
    "is never %s",
    (property) => {
      const beyond = new Beyond();
      beyond.diskReplaced(node, null);
      expect(beyond.maybeExplain(broken(property))).toBe(false);
    },
  );
});

/** All disks are set back by as much; who comes back is the voter that it was. */
function planOfOlderImages(bounded: boolean): Plan {
  return planOf({
    format: 1,
    seed: "three older images",
    nodes: 3,
    operations: [{ kind: "append", client: 0, atMs: 500, times: 80, everyMs: 25 }],
    mishaps: [0, 1, 2].map((node) => {
      const atMs = 1500;
      return { kind: "older-image", node, ageMs: 700, atMs, downMs: 200, returns: true } as const;
    }),
    healAtMs: 4000,
    settleMs: 10_000,
    bounded,
  });
}

test("three older images lose acknowledged records, and the report says why", () => {
  const { verdict, counts, losses } = runPlan(planOfOlderImages(false));
  expect(verdict).toBe("pass");
  expect(counts.disksReplaced).toBe(3);
  expect(counts.lost).toBeGreaterThan(5);
  expect(losses.slice(0, 3)).toEqual(
    [0, 1, 2].map((node) => `1.500 s: n${node} has its disk as it was 700 ms before`),
  );
  expect(losses.join("\n")).toMatch(/explains (commit-durable-quorum|lost-write)/);
});

test("the atlas lets only one of the three disks be set back", () => {
  const { counts, losses } = runPlan(planOfOlderImages(true));
  expect(counts.disksReplaced).toBe(1);
  expect(counts.lost).toBe(0);
  expect(losses).toEqual([]);
});

describe("a profile", () => {
  const plans = PROFILES.map((profile) => [profile, drawPlan("7", profile)] as const);
  const of = (name: string) => new Map<string, Plan>(plans).get(name) as Plan;

  test("is bounded, unless it is named after being not", () => {
    for (const [name, { bounded }] of plans) expect(bounded).toBe(name !== "unbounded");
    const replaced = Array.from({ length: 30 }, (_, seed) => {
      return drawPlan(String(seed), "unbounded").mishaps.filter(({ kind }) => kind === "wipe");
    }).flat();
    expect(replaced.length).toBeGreaterThan(0);
    for (const wipe of replaced) expect(wipe).toMatchObject({ returns: true });
  });

  test("lasts half a minute, or for hours", () => {
    for (const [name, { healAtMs }] of plans)
      if (name === "long") expect(healAtMs).toBeGreaterThanOrEqual(3_600_000);
      else expect(healAtMs).toBeLessThanOrEqual(36_000);
  });

  test("has more of what it is named after than a swarm has", () => {
    const count = (name: string, kinds: readonly string[]) =>
      of(name).mishaps.filter(({ kind }) => kinds.includes(kind)).length;
    const network = ["one-way", "pairs-cut", "clog", "mute", "half-close", "corruption", "storm"];
    expect(count("network", network)).toBeGreaterThan(count("swarm", network));
    const disks = ["disk-error", "disk-hang", "bit-rot", "lost-write", "slow-disk"];
    expect(count("disks", disks)).toBeGreaterThan(count("swarm", disks));
    const moments = ["crash-at-moment"];
    expect(count("long", moments)).toBeGreaterThan(0);
  });

  test("is named and explained by --help", async () => {
    const lines: string[] = [];
    expect(await main(["--help"], (line) => lines.push(line))).toBe(0);
    for (const profile of PROFILES)
      expect(lines.join("\n")).toMatch(new RegExp(`^ +${profile} `, "m"));
  });

  test("is printed with what was lost, where nothing is bounded", async () => {
    const lines: string[] = [];
    for (let seed = 100; seed < 110 && !lines.join().includes("beyond what"); seed++)
      await main(["--seed", String(seed), "--profile", "unbounded"], (line) => lines.push(line));
    const text = lines.join("\n");
    expect(text).toMatch(/beyond what a cluster can bear; \d+ acknowledged records? lost:\n {2}\d/);
  });
});
