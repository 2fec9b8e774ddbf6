// The small parts of gossip, each by itself: the rumor queue, suspicions, the probe order, the
// Lamport clock and local health.
import fc from "fast-check";
import { expect, test } from "vitest";
import { freeze } from "../../src/base/bytes.ts";
import { type Instant, millis } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import { Awareness } from "../../src/gossip/awareness.ts";
import { BroadcastQueue } from "../../src/gossip/broadcasts.ts";
import { LAMPORT_JUMP_MAX, LamportClock } from "../../src/gossip/lamport.ts";
import { ProbeOrder } from "../../src/gossip/probe-order.ts";
import { Recurring } from "../../src/gossip/recurring.ts";
import { Sequence } from "../../src/gossip/sequence.ts";
import { Suspicion } from "../../src/gossip/suspicion.ts";

/** A rumor that can be told by its first byte. */
const rumor = (mark: number, length = 10) => freeze(new Uint8Array(length).fill(mark));
const marks = (taken: readonly Uint8Array[]) => taken.map((bytes) => bytes[0]);

test("the queue tells the least told first, then the longest, then the newest", () => {
  const queue = new BroadcastQueue(100);
  queue.add("a", rumor(1));
  queue.add("b", rumor(2));
  queue.add("c", rumor(3, 20));
  expect(marks(queue.take(2, 1400, 127, 4))).toEqual([3, 2, 1]);
  queue.add("d", rumor(4));
  expect(marks(queue.take(2, 24, 127, 4))).toEqual([4, 2]);
  expect(marks(queue.take(2, 1400, 127, 4))).toEqual([3, 4, 1, 2]);
});

test("the queue fills a packet up to its bytes, and passes over what does not fit", () => {
  const queue = new BroadcastQueue(100);
  queue.add("a", rumor(1, 50));
  queue.add("b", rumor(2, 40));
  queue.add("c", rumor(3, 8));
  expect(marks(queue.take(2, 62, 127, 4))).toEqual([1, 3]);
  expect(marks(queue.take(2, 9, 127, 4))).toEqual([]);
  expect(marks(queue.take(2, 1400, 1, 4))).toEqual([2]);
});

test("the queue tells a rumor as often as its limit says, and at least once", () => {
  const queue = new BroadcastQueue(100);
  queue.add("a", rumor(1));
  for (let sent = 0; sent < 3; sent++) expect(queue.take(2, 1400, 127, 3)).toHaveLength(1);
  expect(queue.size).toBe(0);
  queue.add("a", rumor(1));
  expect(queue.take(2, 1400, 127, 0)).toHaveLength(1);
  expect(queue.size).toBe(0);
});

test("a newer rumor about a member replaces the older, others stand side by side", () => {
  const queue = new BroadcastQueue(100);
  queue.add("a", rumor(1));
  queue.add(null, rumor(2));
  queue.add(null, rumor(3));
  queue.add("a", rumor(4));
  expect(queue.has("a")).toBe(true);
  expect(marks(queue.take(2, 1400, 127, 4))).toEqual([4, 3, 2]);
  queue.invalidate("a");
  expect(queue.has("a")).toBe(false);
  expect(queue.size).toBe(2);
});

test("a full queue gives up what was told most, of those the oldest", () => {
  const queue = new BroadcastQueue(3);
  for (const mark of [1, 2, 3]) queue.add(`${mark}`, rumor(mark));
  expect(marks(queue.take(2, 24, 127, 9))).toEqual([3, 2]);
  queue.add("4", rumor(4));
  expect(queue.evicted).toBe(1);
  expect(marks(queue.take(2, 1400, 127, 9))).toEqual([4, 1, 3]);
});

test("the queue never holds more than its bound, whatever comes", () => {
  const move = fc.tuple(fc.constantFrom("a", "b", "c", null), fc.integer({ min: 1, max: 90 }));
  fc.assert(
    fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
      const queue = new BroadcastQueue(5);
      for (const [subject, length] of moves) {
        queue.add(subject, rumor(length, length));
        expect(queue.size).toBeLessThanOrEqual(5);
        if (length % 3 !== 0) continue;
        const taken = queue.take(3, length, 127, 2);
        const bytes = taken.reduce((sum, each) => sum + each.length + 3, 0);
        expect(bytes).toBeLessThanOrEqual(length);
      }
    }),
  );
});

const terms = {
  startedAt: 1_000_000 as Instant,
  wanted: 2,
  timeoutMin: millis(4000),
  timeoutMax: millis(24_000),
};

test("a suspicion's end moves nearer with each new voice, counted from its start", () => {
  const suspicion = new Suspicion(terms, "a");
  expect(suspicion.deadline).toBe(25_000_000);
  expect(suspicion.maybeConfirm("b")).toBe(true);
  expect(suspicion.deadline).toBe(12_381_000);
  expect(suspicion.maybeConfirm("c")).toBe(true);
  expect(suspicion.deadline).toBe(5_000_000);
});

test("a suspicion counts no voice twice, not its first one, and none beyond those wanted", () => {
  const suspicion = new Suspicion(terms, "a");
  expect(suspicion.maybeConfirm("a")).toBe(false);
  expect(suspicion.maybeConfirm("b")).toBe(true);
  expect(suspicion.maybeConfirm("b")).toBe(false);
  expect(suspicion.maybeConfirm("c")).toBe(true);
  expect(suspicion.maybeConfirm("d")).toBe(false);
  expect(suspicion.confirmations).toBe(2);
});

test("the probe order names everybody once a lap, in another order each time", () => {
  const order = new ProbeOrder(new Prng("laps"));
  const names = Array.from({ length: 9 }, (_, at) => `n${at}`);
  for (const name of names) order.insert(name);
  const laps = Array.from({ length: 4 }, () => names.map(() => order.take(() => true)));
  for (const lap of laps) expect([...lap].sort()).toEqual(names);
  expect(new Set(laps.map((lap) => lap.join())).size).toBeGreaterThan(1);
});

test("the probe order comes to everybody within two laps, while others come and go", () => {
  const change = fc.tuple(fc.boolean(), fc.integer({ min: 0, max: 7 }));
  fc.assert(
    fc.property(fc.array(change, { maxLength: 40 }), fc.string(), (changes, seed) => {
      const order = new ProbeOrder(new Prng(seed));
      const others = new Set<string>();
      order.insert("kept");
      let since = 0;
      let most = 1;
      for (const [isNew, at] of changes) {
        const name = `n${at}`;
        if (isNew && !others.has(name)) {
          others.add(name);
          order.insert(name);
        } else if (!isNew && others.delete(name)) order.remove(name);
        most = Math.max(most, order.size);
        expect(order.size).toBe(others.size + 1);
        since = order.take(() => true) === "kept" ? 0 : since + 1;
        expect(since).toBeLessThan(2 * most + changes.length);
      }
      for (let turns = 0; turns < 2 * order.size; turns++) {
        since = order.take(() => true) === "kept" ? 0 : since + 1;
        expect(since).toBeLessThan(2 * order.size + most);
      }
    }),
  );
});

test("the probe order passes over whom nobody wants, and says when that is everybody", () => {
  const order = new ProbeOrder(new Prng("skips"));
  for (const name of ["a", "b", "c"]) order.insert(name);
  for (let turns = 0; turns < 9; turns++) expect(order.take((name) => name === "b")).toBe("b");
  expect(order.take(() => false)).toBeNull();
  expect(new ProbeOrder(new Prng("empty")).take(() => true)).toBeNull();
});

test("a Lamport clock moves past what it has seen, and never back", () => {
  const clock = new LamportClock();
  expect(clock.time).toBe(1);
  expect(clock.tick()).toBe(1);
  expect(clock.maybeWitness(7)).toBe(true);
  expect(clock.time).toBe(8);
  expect(clock.maybeWitness(7)).toBe(true);
  expect(clock.time).toBe(8);
});

test("a Lamport clock is not used up by one absurd message", () => {
  const clock = new LamportClock();
  for (const time of [0, -1, 1.5, Number.NaN, LAMPORT_JUMP_MAX + 2, Number.MAX_SAFE_INTEGER]) {
    expect(clock.maybeWitness(time)).toBe(false);
  }
  expect(clock.time).toBe(1);
  expect(clock.maybeWitness(LAMPORT_JUMP_MAX + 1)).toBe(true);
});

test("local health worsens with silence and heals with answers, within its bounds", () => {
  const awareness = new Awareness(8);
  awareness.probeSucceeded();
  expect(awareness.score).toBe(0);
  awareness.probeFailed(0, 0);
  expect(awareness.score).toBe(1);
  awareness.probeFailed(3, 3);
  expect(awareness.score).toBe(1);
  awareness.probeFailed(3, 1);
  expect(awareness.score).toBe(3);
  expect(awareness.scale(millis(1000))).toBe(millis(4000));
  awareness.refuted();
  awareness.wokeLate();
  expect(awareness.score).toBe(5);
  for (let turns = 0; turns < 9; turns++) awareness.probeFailed(3, 0);
  expect(awareness.score).toBe(7);
  awareness.probeSucceeded();
  expect(awareness.score).toBe(6);
});

test("a sequence knows which of its numbers may still be answered", () => {
  const sequence = new Sequence();
  expect(sequence.isRecent(0)).toBe(false);
  expect([sequence.take(), sequence.take()]).toEqual([1, 2]);
  expect([0, 1, 2, 3].map((number) => sequence.isRecent(number))).toEqual([
    false,
    true,
    true,
    false,
  ]);
  for (let taken = 2; taken < 1100; taken++) sequence.take();
  expect([76, 77, 1100, 1101].map((number) => sequence.isRecent(number))).toEqual([
    false,
    true,
    true,
    false,
  ]);
});

test("what comes back every so often keeps its phase, and makes up for nothing", () => {
  const recurring = new Recurring(1000 as Instant, millis(1), new Prng("phase"));
  const first = recurring.at;
  expect(first).toBeGreaterThanOrEqual(1000);
  expect(first).toBeLessThan(2000);
  recurring.moveBeyond((first - 1) as Instant, millis(1));
  expect(recurring.at).toBe(first);
  recurring.moveBeyond(first, millis(1));
  expect(recurring.at).toBe(first + 1000);
  recurring.moveBeyond((first + 7300) as Instant, millis(1));
  expect(recurring.at).toBe(first + 8000);
});
