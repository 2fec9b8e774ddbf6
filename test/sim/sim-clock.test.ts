// What the simulated clock does beyond the contract of test/contract: alarms yield to mail of their
// own instant, and a node that is gone hears nothing.

import { expect, test } from "vitest";

import { SimClock, SimWall } from "../../sim/sim-clock.ts";
import { Timeline } from "../../sim/timeline.ts";
import type { Instant } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";

function makeClock(origin = 0, driftPpm = 0) {
  const timeline = new Timeline();
  const heard: string[] = [];
  const wall = new SimWall(timeline, -500);
  const clock = new SimClock(timeline, {
    origin,
    driftPpm,
    wall,
    prng: new Prng("sim clock"),
    rings: () => undefined,
    rang: () => heard.push("turn over"),
  });
  clock.attach({ alarm: () => heard.push(`alarm at ${clock.now()}`) });
  return { timeline, clock, wall, heard };
}

test("an alarm lets the mail of its own instant go first, even mail put in later", () => {
  const { timeline, clock, heard } = makeClock();
  clock.wakeAt(1000 as Instant);
  const due = timeline.next;
  timeline.at(due, () => heard.push("mail"));
  timeline.advanceTo(due);
  expect(heard).toEqual(["mail", `alarm at ${due}`, "turn over"]);
});

test("mail that comes between the due instant and the ring may take the alarm back", () => {
  const { timeline, clock, heard } = makeClock();
  clock.wakeAt(1000 as Instant);
  timeline.at(timeline.next, () => clock.wakeAt(9000 as Instant));
  timeline.advanceTo(8000);
  expect(heard).toEqual([]);
  timeline.advanceTo(20_000);
  expect(heard.length).toBe(2);
});

test("each node counts from an origin of its own, and its wall clock may be wrong", () => {
  const exact = makeClock();
  const shifted = makeClock(123_456);
  exact.timeline.advanceTo(5_000_000);
  shifted.timeline.advanceTo(5_000_000);
  expect(exact.clock.now()).toBe(5_000_000);
  expect(shifted.clock.now()).toBe(5_123_456);
  expect(shifted.clock.wall()).toBe(1_893_456_000_000 + 5000 - 500);
});

test("a halted clock rings for nobody", () => {
  const { timeline, clock, heard } = makeClock();
  clock.wakeAt(1000 as Instant);
  clock.wakeSoon();
  clock.halt();
  timeline.advanceTo(1_000_000);
  expect(heard).toEqual([]);
});

test("what rings for a paused process is heard once, when it goes on", () => {
  const { timeline, clock, heard } = makeClock();
  clock.wakeAt(1000 as Instant);
  clock.wakeSoon();
  clock.pause();
  timeline.advanceTo(5000);
  expect(heard).toEqual([]);
  timeline.at(7000, () => clock.resume());
  timeline.at(7000, () => heard.push("mail of that instant"));
  timeline.advanceTo(8000);
  expect(heard).toEqual(["mail of that instant", "alarm at 7000", "turn over"]);
});

test.each([100_000, 37, -1, -100_000])(
  "a clock that runs %i ppm too fast rings by its own time",
  (ppm) => {
    const { timeline, clock, heard } = makeClock(123, ppm);
    timeline.advanceTo(1_000_000);
    expect(clock.now()).toBe(123 + 1_000_000 + ppm);
    clock.wakeAt((clock.now() + 500_000) as Instant);
    const due = timeline.next;
    const lateMax = 400;
    const exact = (500_000 * 1_000_000) / (1_000_000 + ppm);
    expect(due - 1_000_000).toBeGreaterThanOrEqual(Math.floor(exact));
    expect(due - 1_000_000).toBeLessThan(exact + lateMax);
    timeline.advanceTo(due);
    expect(heard.length).toBe(2);
  },
);

test("a wall clock jumps both ways, stands still, and then shows the right time again", () => {
  const { timeline, clock, wall } = makeClock();
  const start = clock.wall();
  wall.step(60_000);
  expect(clock.wall()).toBe(start + 60_000);
  wall.step(-90_000);
  expect(clock.wall()).toBe(start - 30_000);
  wall.freeze();
  timeline.advanceTo(5_000_000);
  expect(clock.wall()).toBe(start - 30_000);
  wall.thaw();
  expect(clock.wall()).toBe(start - 30_000 + 5000);
});
