// What every Clock must do, real or simulated: the promises of src/ports/clock.ts as tests. Owns no
// clock; the files that know one hand it in.

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { type Instant, NEVER } from "../../src/base/ids.ts";
import type { Clock } from "../../src/ports/clock.ts";

export interface ClockUnderTest {
  readonly clock: Clock;
  /** Lets the clock's own time go on until `isDone`, which is asked now and then. */
  driveUntil(isDone: () => boolean): Promise<void>;
  close(): void;
}

export function clockContract(name: string, make: () => ClockUnderTest): void {
  describe(`the clock contract: ${name}`, () => {
    let bench: ClockUnderTest;
    let clock: Clock;
    let rings: Instant[];
    let onRing: () => void;

    beforeEach(() => {
      bench = make();
      clock = bench.clock;
      rings = [];
      onRing = () => undefined;
      clock.attach({
        alarm: () => {
          rings.push(clock.now());
          onRing();
        },
      });
    });
    afterEach(() => bench.close());

    const inMillis = (ms: number): Instant => (clock.now() + ms * 1000) as Instant;
    const passMillis = (ms: number): Promise<void> => {
      const end = inMillis(ms);
      return bench.driveUntil(() => clock.now() >= end);
    };

    test("now is a whole number that never goes back", async () => {
      let last = clock.now();
      expect(Number.isSafeInteger(last)).toBe(true);
      for (let round = 0; round < 200; round++) {
        const now = clock.now();
        expect(Number.isSafeInteger(now)).toBe(true);
        expect(now).toBeGreaterThanOrEqual(last);
        last = now;
      }
      await passMillis(2);
      expect(clock.now()).toBeGreaterThanOrEqual(last + 2000);
    });

    test("wall is whole milliseconds of this century", () => {
      expect(Number.isSafeInteger(clock.wall())).toBe(true);
      expect(clock.wall()).toBeGreaterThan(Date.UTC(2020, 0));
      expect(clock.wall()).toBeLessThan(Date.UTC(2100, 0));
    });

    test("an alarm rings once, not before its instant", async () => {
      const at = inMillis(3);
      clock.wakeAt(at);
      await bench.driveUntil(() => rings.length > 0);
      expect(rings[0]).toBeGreaterThanOrEqual(at);
      await passMillis(5);
      expect(rings).toHaveLength(1);
    });

    test("a later alarm replaces an earlier one", async () => {
      clock.wakeAt(inMillis(1));
      const at = inMillis(6);
      clock.wakeAt(at);
      await bench.driveUntil(() => rings.length > 0);
      expect(rings[0]).toBeGreaterThanOrEqual(at);
      await passMillis(5);
      expect(rings).toHaveLength(1);
    });

    test("an earlier alarm replaces a later one", async () => {
      const late = inMillis(60_000);
      clock.wakeAt(late);
      clock.wakeAt(inMillis(1));
      await bench.driveUntil(() => rings.length > 0);
      expect(rings[0]).toBeLessThan(late);
    });

    test("an alarm in the past rings soon, but not inside the call", async () => {
      await passMillis(1);
      clock.wakeAt((clock.now() - 1000) as Instant);
      expect(rings).toHaveLength(0);
      await bench.driveUntil(() => rings.length > 0);
      await passMillis(2);
      expect(rings).toHaveLength(1);
    });

    test("an alarm at NEVER takes back the one before it", async () => {
      clock.wakeAt(inMillis(2));
      clock.wakeAt(NEVER);
      await passMillis(6);
      expect(rings).toHaveLength(0);
    });

    test("an alarm months ahead does not ring today", async () => {
      clock.wakeAt(inMillis(2 ** 31 + 10));
      await passMillis(4);
      expect(rings).toHaveLength(0);
    });

    test("wakeSoon rings once for many calls, and not inside them", async () => {
      for (let call = 0; call < 10; call++) clock.wakeSoon();
      expect(rings).toHaveLength(0);
      await bench.driveUntil(() => rings.length > 0);
      await passMillis(2);
      expect(rings).toHaveLength(1);
    });

    test("wakeSoon leaves the alarm in place", async () => {
      const at = inMillis(5);
      clock.wakeAt(at);
      clock.wakeSoon();
      await bench.driveUntil(() => rings.length > 1);
      expect(rings[0]).toBeLessThan(at);
      expect(rings[1]).toBeGreaterThanOrEqual(at);
    });

    test("an alarm may ask for the next one", async () => {
      onRing = () => {
        if (rings.length < 3) clock.wakeAt(inMillis(1));
        else if (rings.length < 6) clock.wakeSoon();
      };
      clock.wakeAt(inMillis(1));
      await bench.driveUntil(() => rings.length > 5);
      await passMillis(3);
      expect(rings).toHaveLength(6);
    });
  });
}
