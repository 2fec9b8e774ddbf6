// The determinism gate: equal runs are the same; a machine that is not deterministic is found, and
// the first event that differs is named, whether the runs are here or in two processes.

import { describe, expect, test } from "vitest";
import { CHECKPOINT_EVENTS, DigestTape, type Taped } from "../../sim/digest-tape.ts";
import { compareRuns, describeCompared, lastCommonCheckpoint, tapedHere } from "../../sim/gate.ts";
import { SURROUNDINGS, sampleOf, tapedElsewhere } from "../../sim/gate-main.ts";
import { main } from "../../sim/main.ts";
import { describeNarrated, Narrator } from "../../sim/narrator.ts";
import { planOf, runPlan, type StateMachine } from "../../sim/sim.ts";
import { drawPlan } from "../../sim/swarm.ts";

/** Enough appends for segments to roll, so that machines are asked for their snapshots. */
const plan = planOf({
  format: 1,
  seed: "gate",
  nodes: 3,
  operations: [
    { kind: "append", client: 0, atMs: 600, times: 60, everyMs: 20, records: 2, bytes: 200 },
  ],
  mishaps: [],
  healAtMs: 2500,
  options: { segmentBytesMax: 8192 },
});

/** Made by every run of this process, and never forgotten: what no machine may look at. */
let machines = 0;

/** Says in its snapshots how many machines there ever were. */
class Forgetful implements StateMachine {
  readonly #number = ++machines;

  apply(): void {
    // What it applies makes no difference; what it was does.
  }

  snapshot(): Uint8Array {
    return Uint8Array.of(this.#number >> 8, this.#number & 0xff);
  }

  restore(): void {
    // As above.
  }
}

const forgetful = { machine: () => new Forgetful() };

/** All that a run says, with the events it is said in. */
function wordsOf(own: typeof forgetful): string[] {
  const words: string[] = [];
  runPlan(plan, [new Narrator((narrated) => void words.push(describeNarrated(narrated)))], own);
  return words;
}

describe("the gate", () => {
  test("finds two runs of one plan the same, and says by how many events", () => {
    const compared = compareRuns(tapedHere(plan), tapedHere(plan));
    expect(compared.kind).toBe("same");
    expect(describeCompared(compared, ["one", "other"])[0]).toMatch(
      /^[1-9]\d{3,} events, [1-9]\d+ checkpoints, digest [0-9a-f]{16}$/,
    );
  });

  test("names the first event of a machine that is not deterministic", () => {
    const compared = compareRuns(tapedHere(plan, forgetful), tapedHere(plan, forgetful));
    if (compared.kind !== "different") throw new Error(`the gate says ${compared.kind}`);
    const { first, runs } = compared;
    const [one, other] = runs.map(({ window }) =>
      window.find(({ event }) => event === first.event),
    );
    expect(one?.at).toBe(first.at);
    expect(one?.digest).not.toBe(other?.digest);
    // Whatever was before it is the same in both.
    const [before, others] = runs.map(({ window }) =>
      window.filter((at) => at.event < first.event),
    );
    expect(before?.length).toBeGreaterThan(0);
    expect(others).toEqual(before);
    // Its snapshot reaches a disk in that event: the first that any node makes.
    const said = wordsOf(forgetful).find((word) => /write .*checkpoint/.test(word));
    expect(first.facts[0]).toMatch(/^\d+\.\d{6} {2}n\d {2}disk-submit write .*checkpoint/);
    expect(said?.trim()).toBe(first.facts[0].split(", digest")[0]);
    expect(first.node).toMatch(/^n[012]$/);
    expect(describeCompared(compared, ["here", "again"])[0]).toBe(
      `first different: event ${first.event}, ${(first.at / 1e6).toFixed(6)} s, ${first.node}`,
    );
  });

  test("says that runs part at another place each time, when they do", () => {
    let runs = 0;
    const unsteady = (): Taped => {
      const digest = String(++runs);
      return { events: 600, digest, checkpoints: ["a", digest], window: [] };
    };
    const compared = compareRuns(unsteady, unsteady);
    expect(compared).toMatchObject({ kind: "unsteady", after: CHECKPOINT_EVENTS });
    expect(describeCompared(compared, ["one", "other"])[0]).toContain("equal up to event 256");
  });

  test("tells a run that ends early from one that goes on", () => {
    const event = (number: number) => {
      return { event: number, at: 5 as never, digest: `d${number}`, words: [] };
    };
    const run = (count: number) => (): Taped => {
      const window = Array.from({ length: count }, (_, at) => event(at + 1));
      return { events: count, digest: `d${count}`, checkpoints: [], window };
    };
    const compared = compareRuns(run(2), run(3));
    expect(compared).toMatchObject({
      kind: "different",
      first: {
        event: 3,
        node: null,
        facts: ["the run is over", "nothing is told of it, digest d3"],
      },
    });
  });

  test.each([
    [[], [], 0],
    [["a"], ["b"], 0],
    [["a", "b", "c"], ["a", "b", "c"], 3],
    [["a", "b", "c", "d"], ["a", "b", "x", "y"], 2],
    [["a", "b", "c"], ["a"], 1],
  ])("bisects %j and %j to %i checkpoints", (a, b, common) => {
    expect(lastCommonCheckpoint(a, b)).toBe(common);
  });

  test("changes nothing by looking: a taped run has the digest of one that is not", () => {
    const drawn = drawPlan("5", "calm");
    const tape = new DigestTape(3);
    const taped = tape.taped(runPlan(drawn, [tape.narrator], null, tape).digest);
    expect(taped.digest).toBe(runPlan(drawn).digest);
    expect(taped.checkpoints).toHaveLength(Math.floor(taped.events / CHECKPOINT_EVENTS));
    expect(taped.window.map(({ event }) => event)).toEqual(
      Array.from({ length: CHECKPOINT_EVENTS }, (_, at) => 3 * CHECKPOINT_EVENTS + at + 1),
    );
    expect(taped.window.at(-1)?.digest).toBe(taped.checkpoints[3]);
  });
});

describe("elsewhere", () => {
  test("each surrounding gives the same tape, window and all", { timeout: 60_000 }, () => {
    const here = tapedHere(drawPlan("11"))(10);
    for (const surroundings of SURROUNDINGS) {
      const there = tapedElsewhere({ seed: "11", profile: "swarm" }, surroundings)(10);
      expect(there).toEqual(here);
    }
  });

  test("a run that is another one there is parted from the one here", { timeout: 60_000 }, () => {
    const [elsewhere] = SURROUNDINGS;
    if (elsewhere === undefined) throw new Error("there is nowhere else");
    const other = tapedElsewhere({ seed: "12", profile: "calm" }, elsewhere);
    const compared = compareRuns(tapedHere(drawPlan("11", "calm")), other);
    expect(compared).toMatchObject({ kind: "different", first: { event: expect.any(Number) } });
  });
});

describe("npm run sim -- --check", () => {
  async function run(...args: string[]): Promise<{ code: number; lines: string[] }> {
    const lines: string[] = [];
    const code = await main(args, (line) => void lines.push(line));
    return { code, lines };
  }

  test("runs a seed again here and elsewhere", { timeout: 60_000 }, async () => {
    const { code, lines } = await run("--seed", "4", "--check");
    expect(lines).toHaveLength(1 + SURROUNDINGS.length);
    for (const line of lines) expect(line).toMatch(/^SAME seed 4, here and .*: \d+ events, /);
    expect(code).toBe(0);
  });

  test("runs a sample of a batch elsewhere", { timeout: 120_000 }, async () => {
    const { lines } = await run("--seeds", "2", "--from", "30", "--profile", "calm", "--check");
    const checked = lines.filter((line) => line.startsWith("SAME seed"));
    expect(checked.map((line) => line.split(":")[0])).toEqual([
      "SAME seed 30, here and again",
      `SAME seed 30, here and ${SURROUNDINGS[0]?.name}`,
    ]);
  });

  test("takes one seed in twenty for the sample, and no more than five", () => {
    const seeds = Array.from({ length: 300 }, (_, at) => String(at));
    expect(sampleOf(seeds)).toEqual(["0", "20", "40", "60", "80"]);
    expect(sampleOf(seeds.slice(0, 3))).toEqual(["0"]);
  });

  test.each([
    [["--check"]],
    [["--check", "--seed", "1", "--json"]],
    [["--check", "--mutant", "quorum-half"]],
  ])("is misused with %j", async (args) => {
    expect((await run(...args)).code).toBe(64);
  });
});
