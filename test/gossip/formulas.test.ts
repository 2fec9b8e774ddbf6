// Exact tables of every formula. Expected values are literals: those of the stock agents, others
// found by other means than the code's (powers compared, high-precision tables).
import fc from "fast-check";
import { expect, test } from "vitest";
import type { Micros } from "../../src/base/ids.ts";
import { millis } from "../../src/base/ids.ts";
import {
  confirmationsWanted,
  detectionTimeMax,
  nackTimeout,
  probeGapMax,
  pushPullInterval,
  queryTimeout,
  retransmitLimit,
  scaledByHealth,
  suspicionTimeout,
  suspicionTimeoutMax,
  suspicionTimeoutMin,
} from "../../src/gossip/formulas.ts";
import { ceilLog2, ceilLog10, ceilShareOfLog, thousandLog10 } from "../../src/gossip/logarithm.ts";
import { LAN_PROFILE } from "../../src/gossip/profiles.ts";

test("a logarithm to ten rounds up at the powers of ten", () => {
  const table: [number, number][] = [
    [0, 0],
    [1, 0],
    [2, 1],
    [10, 1],
    [11, 2],
    [100, 2],
    [101, 3],
    [1000, 3],
    [1001, 4],
    [1_000_000, 6],
    [1_000_001, 7],
  ];
  for (const [count, log] of table) expect(ceilLog10(count), `${count}`).toBe(log);
});

test("a logarithm to two rounds up at the powers of two", () => {
  const table: [number, number][] = [
    [0, 0],
    [1, 0],
    [2, 1],
    [3, 2],
    [32, 5],
    [33, 6],
    [64, 6],
    [65, 7],
    [1000, 10],
    [1024, 10],
    [1025, 11],
  ];
  for (const [count, log] of table) expect(ceilLog2(count), `${count}`).toBe(log);
});

test("the thousandths of a logarithm are those of the printed tables, cut", () => {
  const table: [number, number][] = [
    [1, 0],
    [2, 301],
    [3, 477],
    [5, 698],
    [7, 845],
    [9, 954],
    [10, 1000],
    [11, 1041],
    [50, 1698],
    [99, 1995],
    [100, 2000],
    [101, 2004],
    [999, 2999],
    [1000, 3000],
    [1001, 3000],
    [1024, 3010],
    [4096, 3612],
    [10_000, 4000],
    [65_536, 4816],
    [999_999, 5999],
    [1_000_000, 6000],
  ];
  for (const [count, log] of table) expect(thousandLog10(count), `${count}`).toBe(log);
});

test("the thousandths of a logarithm bound the number from both sides", () => {
  for (let count = 1; count <= 512; count++) {
    const log = BigInt(thousandLog10(count));
    const thousandth = BigInt(count) ** 1000n;
    expect(10n ** log <= thousandth && thousandth < 10n ** (log + 1n), `${count}`).toBe(true);
  }
});

test("a share of a logarithm bounds the quotient from both sides", () => {
  const count = fc.integer({ min: 1, max: 40 });
  fc.assert(
    fc.property(count, count, fc.integer({ min: 0, max: 300 }), (one, other, span) => {
      const part = Math.min(one, other);
      const whole = Math.max(2, one, other);
      const share = ceilShareOfLog(BigInt(span), part, whole);
      // share >= span x ln(part)/ln(whole) > share - 1, with both sides raised.
      expect(BigInt(whole) ** share >= BigInt(part) ** BigInt(span)).toBe(true);
      if (share > 0n) {
        expect(BigInt(whole) ** (share - 1n) < BigInt(part) ** BigInt(span)).toBe(true);
      }
    }),
  );
});

test("a share of a logarithm is exact where both are powers of one number", () => {
  expect(ceilShareOfLog(20_000_000n, 2, 4)).toBe(10_000_000n);
  expect(ceilShareOfLog(20_000_000n, 3, 9)).toBe(10_000_000n);
  expect(ceilShareOfLog(20_000_001n, 3, 9)).toBe(10_000_001n);
  expect(ceilShareOfLog(30n, 4, 8)).toBe(20n);
  expect(ceilShareOfLog(7n, 6, 6)).toBe(7n);
  expect(ceilShareOfLog(7n, 1, 6)).toBe(0n);
});

test("a suspicion lasts at least what a stock agent gives it", () => {
  const table: [mult: number, members: number, interval: number, min: number][] = [
    [4, 0, 1000, 4000],
    [4, 1, 1000, 4000],
    [4, 5, 1000, 4000],
    [4, 10, 1000, 4000],
    [4, 11, 1000, 4164],
    [4, 50, 1000, 6792],
    [4, 100, 1000, 8000],
    [4, 1000, 1000, 12_000],
    [4, 10_000, 1000, 16_000],
    [6, 100, 5000, 60_000],
    [3, 3, 1000, 3000],
  ];
  for (const [mult, members, interval, min] of table) {
    const found = suspicionTimeoutMin(mult, members, millis(interval));
    expect(found, `${mult} ${members}`).toBe(millis(min));
  }
  expect(suspicionTimeoutMax(millis(60_000), 6)).toBe(millis(360_000));
});

test("confirmations are wanted only where somebody else could give them", () => {
  const table: [mult: number, members: number, wanted: number][] = [
    [4, 1, 0],
    [4, 2, 0],
    [4, 3, 0],
    [4, 4, 2],
    [4, 100, 2],
    [6, 5, 0],
    [6, 6, 4],
    [3, 2, 0],
    [3, 3, 1],
    [2, 9, 0],
    [1, 9, 0],
  ];
  for (const [mult, members, wanted] of table) {
    expect(confirmationsWanted(mult, members), `${mult} ${members}`).toBe(wanted);
  }
});

test("confirmations shorten a suspicion as they do at a stock agent", () => {
  const table: [confirmations: number, wanted: number, min: number, max: number, lasts: number][] =
    [
      [0, 3, 2000, 30_000, 30_000],
      [1, 3, 2000, 30_000, 16_000],
      [2, 3, 2000, 30_000, 7810],
      [3, 3, 2000, 30_000, 2000],
      [4, 3, 2000, 30_000, 2000],
      [5, 3, 2000, 30_000, 2000],
      [0, 2, 4000, 24_000, 24_000],
      [1, 2, 4000, 24_000, 11_381],
      [2, 2, 4000, 24_000, 4000],
      [0, 0, 4000, 24_000, 4000],
      [0, 1, 3000, 18_000, 18_000],
      [1, 1, 3000, 18_000, 3000],
      [0, 4, 60_000, 360_000, 360_000],
      [1, 4, 60_000, 360_000, 230_797],
      [2, 4, 60_000, 360_000, 155_218],
      [3, 4, 60_000, 360_000, 101_594],
      [4, 4, 60_000, 360_000, 60_000],
    ];
  for (const [confirmations, wanted, min, max, lasts] of table) {
    const found = suspicionTimeout(confirmations, wanted, millis(min), millis(max));
    expect(found, `${confirmations}/${wanted} ${min}`).toBe(millis(lasts));
  }
});

test("a suspicion never outlasts its maximum, and each confirmation shortens it", () => {
  const spans = fc.integer({ min: 1, max: 100_000_000 });
  fc.assert(
    fc.property(
      spans,
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 12 }),
      (min, m, k) => {
        const least = min as Micros;
        const most = suspicionTimeoutMax(least, m);
        let before = most;
        for (let confirmations = 0; confirmations <= k; confirmations++) {
          const lasts = suspicionTimeout(confirmations, k, least, most);
          expect(lasts).toBeLessThanOrEqual(before);
          expect(lasts).toBeGreaterThanOrEqual(least);
          before = lasts;
        }
        expect(before).toBe(least);
      },
    ),
  );
});

test("a rumor is sent as often as a stock agent sends it", () => {
  const table: [mult: number, members: number, limit: number][] = [
    [3, 0, 0],
    [3, 1, 3],
    [3, 99, 6],
    [4, 1, 4],
    [4, 2, 4],
    [4, 9, 4],
    [4, 10, 8],
    [4, 99, 8],
    [4, 100, 12],
    [4, 1000, 16],
  ];
  for (const [mult, members, limit] of table) {
    expect(retransmitLimit(mult, members), `${mult} ${members}`).toBe(limit);
  }
});

test("full exchanges grow rarer with each doubling beyond 32 members", () => {
  const table: [members: number, interval: number][] = [
    [0, 30_000],
    [1, 30_000],
    [32, 30_000],
    [33, 60_000],
    [64, 60_000],
    [65, 90_000],
    [128, 90_000],
    [1000, 180_000],
    [10_000, 300_000],
  ];
  for (const [members, interval] of table) {
    expect(pushPullInterval(millis(30_000), members), `${members}`).toBe(millis(interval));
  }
});

test("a query waits as long as at a stock agent", () => {
  const table: [members: number, timeout: number][] = [
    [1, 3200],
    [3, 3200],
    [9, 3200],
    [10, 6400],
    [100, 9600],
  ];
  for (const [members, timeout] of table) {
    expect(queryTimeout(millis(200), 16, members), `${members}`).toBe(millis(timeout));
  }
});

test("poor health lengthens a span by its own length a point", () => {
  expect(scaledByHealth(millis(1000), 0)).toBe(millis(1000));
  expect(scaledByHealth(millis(1000), 7)).toBe(millis(8000));
});

test("a member is probed at least once in two laps less one", () => {
  expect(probeGapMax(1, millis(1000))).toBe(millis(1000));
  expect(probeGapMax(5, millis(1000))).toBe(millis(9000));
});

test("a crash is known by all when it was probed, suspected and told, the later the worse they feel", () => {
  // 9 + 1 probes, 4 s six times over, 2 x 4 rounds of 200 ms.
  expect(detectionTimeMax(LAN_PROFILE, 5, 0)).toBe(millis(10_000 + 24_000 + 1600));
  expect(detectionTimeMax(LAN_PROFILE, 5, 7)).toBe(millis(80_000 + 24_000 + 1600));
  // 63 + 1 probes, 4 x 1.505 s six times over, 2 x 8 rounds.
  expect(detectionTimeMax(LAN_PROFILE, 32, 0)).toBe(millis(64_000 + 36_120 + 3200));
});

test("a helper says that it has no answer before the asker's time is up", () => {
  expect(nackTimeout(millis(500))).toBe(millis(400));
  expect(nackTimeout(3 as Micros)).toBe(2);
});
