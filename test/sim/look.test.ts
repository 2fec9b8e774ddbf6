// Looking at one run: stopped at an instant it shows every node in tables that fit a terminal, two
// runs part at the first event that differs, and a trace file is what other programs can read.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { describeDivergence, diffRuns, withoutMishap } from "../../sim/diff.ts";
import { describePicture, lookAt } from "../../sim/look.ts";
import { main } from "../../sim/main.ts";
import { planOf } from "../../sim/plan.ts";
import { runPlan } from "../../sim/run.ts";
import { drawPlan } from "../../sim/swarm.ts";

/** Two appends; the second while a node is cut off, which a third node then is, too. */
const PLAN = planOf({
  format: 1,
  seed: "look",
  nodes: 3,
  operations: [
    { kind: "append", client: 0, atMs: 1000, times: 2, everyMs: 1000 },
    { kind: "append", client: 1, atMs: 2500 },
  ],
  mishaps: [
    { kind: "partition", side: [0], atMs: 1500, forMs: 300 },
    { kind: "pause", node: 1, atMs: 2200, forMs: 100 },
    { kind: "pause", node: 2, atMs: 2400, forMs: 100 },
    { kind: "crash", node: 0, how: "power", atMs: 3000, downMs: 500 },
  ],
  healAtMs: 4000,
});

async function run(...flags: readonly string[]) {
  const lines: string[] = [];
  const code = await main(flags, (line) => void lines.push(...line.split("\n")));
  return { code, lines };
}

describe("a run that is stopped", () => {
  test("shows nodes, logs, queues, mail and disks", () => {
    const picture = lookAt(PLAN, 2450);
    const text = describePicture(picture);
    expect(text[0]).toMatch(/^at 2\.450000 s of seed look, after \d+ events$/);
    const heads = text.filter((line) => /^[a-z]+ {2}/.test(line) && !/^n\d/.test(line));
    expect(heads.map((line) => line.split(" ")[0])).toEqual([
      "node",
      "log",
      "queue",
      "mail",
      "disk",
    ]);
    expect(text.filter((line) => line.startsWith("n2 ")).at(0)).toMatch(/^n2 +1 {2}paused/);
    const [leader] = picture.nodes.filter(({ raft }) => raft?.role === "leader");
    expect(leader?.certainIndex).toBe(leader?.log?.durableIndex);
  });

  test("says which bytes a power loss would take, and who is down", () => {
    const down = lookAt(PLAN, 3200);
    expect(down.nodes.map(({ state }) => state)).toEqual(["down", "serving", "serving"]);
    expect(down.nodes[0]?.log).toBeNull();
    const stores = down.nodes.map(({ files }) => files.find(({ kind }) => kind === "store"));
    for (const store of stores) expect(store?.unsafeBytes).toBe(0);
    const atOnce = lookAt(PLAN, 1);
    expect(atOnce.nodes.some(({ files }) => files.some((file) => file.unsafeBytes > 0))).toBe(true);
  });

  test("shows the end when it was over before", () => {
    const text = describePicture(lookAt(PLAN, 3_600_000));
    expect(text[1]).toBe("the run was over then: pass");
  });

  test("is the run that nobody looks at", () => {
    expect(lookAt(PLAN, 3_600_000).events).toBe(runPlan(PLAN).events);
  });

  test.each(["3", "42", "96"])("fits 80 columns, whatever has happened (seed %s)", (seed) => {
    const plan = drawPlan(seed);
    for (const atMs of [0, 300, 9000, 21_000])
      for (const line of describePicture(lookAt(plan, atMs)))
        expect(line.length, line).toBeLessThanOrEqual(80);
  });
});

describe("two runs", () => {
  test("part at the first event that one of them does not have", () => {
    const { plan, left } = withoutMishap(PLAN, "crash");
    expect(left).toMatchObject({ kind: "crash" });
    const words = describeDivergence(diffRuns(PLAN, plan));
    expect(words[0]).toMatch(/^the first \d+ events are the same, then they part$/);
    const parted = words.filter((line) => line.startsWith("> "));
    expect(parted[0]).toMatch(/3\.000000 {2}n0 {2}crash +loses its power/);
    expect(parted).toHaveLength(2);
    const [one, other] = [words.indexOf(parted[0] ?? ""), words.indexOf(parted[1] ?? "")];
    expect(words[one - 1]).toBe(words[other - 1]);
  });

  test("are the same when what is left out does nothing", () => {
    const idle = planOf({
      ...PLAN,
      mishaps: [{ kind: "wall-step", node: 0, atMs: 3999, byMs: 0 }],
    });
    const { plan } = withoutMishap(idle, "1");
    expect(describeDivergence(diffRuns(idle, plan))[0]).toMatch(
      /^both runs did the same, \d+ events/,
    );
  });

  test("a mishap is named by its number, its kind, or its place among its kind", () => {
    expect(withoutMishap(PLAN, "2").left).toEqual(PLAN.mishaps[1]);
    expect(withoutMishap(PLAN, "partition").left).toEqual(PLAN.mishaps[0]);
    expect(withoutMishap(PLAN, "pause.2").left).toEqual(PLAN.mishaps[2]);
    expect(() => withoutMishap(PLAN, "pause")).toThrow("more than one of the plan's mishaps");
    expect(() => withoutMishap(PLAN, "wipe")).toThrow(
      "none of the plan's mishaps:\n    1  partition.1",
    );
  });
});

describe("a trace file", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync(path.join(tmpdir(), "cairn-trace-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  interface Event {
    readonly host: string;
    readonly clock: Readonly<Record<string, number>>;
    readonly what: string;
  }

  /** Each host counts its own events one by one, and never forgets what it knew. */
  function checkClocks(events: readonly Event[]): void {
    const last = new Map<string, Event["clock"]>();
    for (const { host, clock } of events) {
      const before = last.get(host) ?? {};
      expect(clock[host]).toBe((before[host] ?? 0) + 1);
      for (const [other, count] of Object.entries(before))
        expect(clock[other]).toBeGreaterThanOrEqual(count);
      last.set(host, clock);
    }
  }

  test("for ShiViz is read by the expression on its own first line", async () => {
    const file = path.join(folder, "run.log");
    const { code } = await run("--seed", "7", "--until", "1s", "--trace", file);
    expect(code).toBe(0);
    const [parser = "", delimiter, ...rest] = readFileSync(file, "utf8").split("\n");
    expect(delimiter).toBe("");
    const found = [...rest.join("\n").matchAll(new RegExp(parser, "g"))];
    const events = found.map(({ groups }) => ({
      host: groups?.["host"] ?? "",
      clock: JSON.parse(groups?.["clock"] ?? "{}") as Event["clock"],
      what: groups?.["event"] ?? "",
    }));
    expect(events.length).toBeGreaterThan(100);
    expect(rest.filter((line) => line !== "")).toHaveLength(2 * events.length);
    checkClocks(events);
    // Who takes a message knows what its sender knew.
    const taken = events.find(({ what }) => what.startsWith("take from"));
    const sender = /from (n\d)/.exec(taken?.what ?? "")?.[1] ?? "";
    expect(taken?.clock[sender]).toBeGreaterThan(0);
  });

  test("as NDJSON has the same events, one a line", async () => {
    const file = path.join(folder, "run.ndjson");
    await run("--seed", "7", "--until", "1s", "--trace", file);
    const rows = readFileSync(file, "utf8").trim().split("\n");
    const events = rows.map(
      (row) => JSON.parse(row) as Event & { at: number; node: string | null },
    );
    checkClocks(events.map((event) => ({ ...event, host: event.node ?? "run" })));
    expect(events.every(({ at }, nth) => nth === 0 || at >= (events[nth - 1]?.at ?? 0))).toBe(true);
  });
});

describe("the command line", () => {
  test("refuses looks that do not go together", async () => {
    for (const flags of [
      ["--diff", "1"],
      ["--without", "crash", "--seed", "1"],
      ["--seeds", "3", "--until", "1s"],
      ["--seed", "1", "--until", "soon"],
      ["--mutant", "ack-before-fsync", "--trace", "x.log"],
      ["--diff", "1", "--without", "no-such-mishap"],
    ])
      expect((await run(...flags)).code, flags.join(" ")).toBe(64);
  });

  test("prints where a seed parts from itself", async () => {
    const { code, lines } = await run("--diff", "42", "--without", "2");
    expect(code).toBe(0);
    expect(lines[0]).toMatch(/^without {2}\{"kind":"/);
    expect(lines.some((line) => line.startsWith("> "))).toBe(true);
  });
});
