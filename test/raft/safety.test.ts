// Random moves on small clusters: whatever is lost, doubled, reordered, crashed, trimmed or
// changed, the safety properties hold after every move, and once the faults end everything is
// answered and all logs are equal.
import fc from "fast-check";
import { expect, test } from "vitest";
import { addUp, play, type Seen, type Setting, storyOf } from "./plans.ts";

const plans = fc.array(fc.noBias(fc.nat(0x7fff_ffff)), {
  minLength: 500,
  maxLength: 1500,
  size: "max",
});

/** What `numRuns` plans have seen. A failing one is named, not shrunk: it is too long for that. */
function playMany(setting: Setting, seed: number, numRuns: number): Seen {
  const all: Seen[] = [];
  const property = fc.property(plans, (moves) => {
    all.push(play(setting, moves));
  });
  fc.assert(property, { seed, numRuns, endOnFailure: true });
  const seen = addUp(all);
  if (process.env["SHOW"]) console.log(JSON.stringify({ ...setting, ...seen }));
  // A run in which nothing happened shows nothing.
  expect(seen.committed).toBeGreaterThan(numRuns);
  expect(seen.crashes).toBeGreaterThan(numRuns / 2);
  expect(seen.reads).toBeGreaterThan(0);
  return seen;
}

test.each([
  [1, 0, 40],
  [2, 0, 100],
  [3, 0, 400],
  [3, 1, 100],
  [5, 0, 300],
])("a cluster of %i voters and %i learners stays safe and recovers", (voters, learners, runs) => {
  const seen = playMany({ voters, learners }, 20_261_120 + voters, runs);
  if (voters >= 3) expect(seen.truncations).toBeGreaterThan(0);
});

test.each([
  [1, 2, 100],
  [3, 2, 300],
  [3, 4, 200],
])("a cluster of %i voters stays safe while %i others come and go", (voters, joiners, runs) => {
  const seen = playMany({ voters, joiners }, 20_261_121 + voters + joiners, runs);
  expect(seen.memberships).toBeGreaterThan(runs);
  expect(seen.joint).toBeGreaterThan(runs / 4);
  expect(seen.installs).toBeGreaterThan(runs / 20);
  expect(seen.transfers).toBeGreaterThan(0);
});

test.each([
  [3, 0, 200],
  [3, 2, 200],
  [5, 0, 100],
])("messages that cannot be change nothing at %i voters and %i others", (voters, joiners, runs) => {
  const setting = { voters, joiners, badInput: true };
  const seen = playMany(setting, 20_261_122 + voters + joiners, runs);
  expect(seen.dropped).toBeGreaterThan(runs * 20);
});

test.each([
  [3, 0, 200],
  [3, 2, 100],
  [5, 0, 100],
])(
  "a cluster of %i voters and %i others stays safe while disks hang, and recovers",
  (voters, joiners, runs) => {
    const seen = playMany({ voters, joiners, hungDisks: true }, 20_261_123 + voters, runs);
    expect(seen.gaveWay).toBeGreaterThan(runs / 3);
  },
);

test.each([
  [3, 0, 400],
  [3, 1, 100],
  [5, 0, 300],
])(
  "a cluster of %i voters and %i learners stays safe while logs lose their ends, and mends them",
  (voters, learners, runs) => {
    const seen = playMany({ voters, learners, losses: true }, 20_261_124 + voters, runs);
    expect(seen.losses).toBeGreaterThan(runs);
    expect(seen.mended).toBeGreaterThan(runs);
    expect(seen.installs).toBeGreaterThan(runs / 20);
  },
);

test("one trace fed twice to a cluster says the same twice, byte by byte", () => {
  const setting = { voters: 3, joiners: 2 };
  const property = fc.property(plans, (moves) => {
    const story = storyOf(setting, moves);
    expect(story.split("\n").length).toBeGreaterThan(500);
    expect(storyOf(setting, moves)).toBe(story);
  });
  fc.assert(property, { seed: 6, numRuns: 20, endOnFailure: true });
});
