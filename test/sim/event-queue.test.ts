// The order of events: by instant, and at one instant in the order in which they were put in.

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { EventQueue } from "../../sim/event-queue.ts";
import { Timeline } from "../../sim/timeline.ts";

describe("the event queue", () => {
  test("gives events by (instant, sequence), whatever was put in and taken between", () => {
    const steps = fc.array(fc.oneof(fc.nat({ max: 20 }), fc.constant("take" as const)));
    fc.assert(
      fc.property(steps, (drawn) => {
        const queue = new EventQueue();
        const model: { instant: number; sequence: number }[] = [];
        const taken: number[] = [];
        const expected: number[] = [];
        const takeOne = () => {
          model.sort((a, b) => a.instant - b.instant || a.sequence - b.sequence);
          const first = model.shift();
          if (first === undefined) return;
          expected.push(first.sequence);
          expect(queue.nextInstant).toBe(first.instant);
          queue.take()();
        };
        for (const [sequence, step] of drawn.entries()) {
          if (step === "take") takeOne();
          else {
            queue.put(step, () => taken.push(sequence));
            model.push({ instant: step, sequence });
          }
        }
        while (queue.size > 0) takeOne();
        expect(taken).toEqual(expected);
        expect(model).toEqual([]);
        expect(queue.nextInstant).toBe(Number.POSITIVE_INFINITY);
      }),
    );
  });
});

describe("the timeline", () => {
  test("jumps from event to event and stands still in between", () => {
    const timeline = new Timeline();
    const seen: number[] = [];
    timeline.at(1_000_000, () => {
      seen.push(timeline.now);
      timeline.after(0, () => seen.push(timeline.now));
      timeline.after(5, () => seen.push(timeline.now));
    });
    timeline.at(7, () => seen.push(timeline.now));
    while (timeline.next !== Number.POSITIVE_INFINITY) timeline.advance();
    expect(seen).toEqual([7, 1_000_000, 1_000_000, 1_000_005]);
    expect(timeline.happened).toBe(4);
  });

  test("refuses an event in the past and one between two microseconds", () => {
    const timeline = new Timeline();
    timeline.advanceTo(10);
    expect(() => timeline.at(9, () => undefined)).toThrow("nothing happens in the past");
    expect(() => timeline.at(10.5, () => undefined)).toThrow("whole microseconds");
  });
});
