// What the log says about producers, while its tail grows, is cut and is committed.

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { freeze } from "../../src/base/bytes.ts";
import type { Control } from "../../src/base/control.ts";
import { type EntryHead, LOG_START } from "../../src/base/entry.ts";
import type { LogIndex, NodeId, Offset, Term, WallMs } from "../../src/base/ids.ts";
import { memberId, membershipOf, NO_MEMBERS } from "../../src/base/membership.ts";
import { bytesOfHex } from "../../src/node/wire-head.ts";
import { BATCHES_REMEMBERED, PRODUCER_IDLE_MS } from "../../src/state/producers.ts";
import { encodeStateAt, State } from "../../src/state/state.ts";

interface Wish {
  readonly producerId: number;
  readonly epoch?: number;
  readonly sequence?: number;
  readonly count?: number;
  readonly timestamp?: number;
}

/** What an append with this wish would be as the next entry of `state`. */
function next(state: State, wish: Wish): EntryHead {
  const { index, term, endOffset, timestamp } = state.end;
  return {
    kind: "records",
    codec: 0,
    critical: true,
    index: (index + 1) as LogIndex,
    term: Math.max(term, 1) as Term,
    prevTerm: term,
    offset: endOffset,
    count: wish.count ?? 1,
    timestamp: Math.max(timestamp, wish.timestamp ?? 0) as WallMs,
    bodyLength: 0,
    bodyCrc: 0,
    rawLength: 0,
    producerId: wish.producerId,
    epoch: wish.epoch ?? 0,
    sequence: wish.sequence ?? 0,
  };
}

const ANYWHERE = { expectedEndOffset: null };
const append = (state: State, wish: Wish) => state.append(next(state, wish));
const admit = (state: State, wish: Wish) => state.admit(next(state, wish), ANYWHERE);
const ignore = () => undefined;

describe("a producer", () => {
  test("that repeats a batch is told where the first one went", () => {
    const state = State.empty(10);
    append(state, { producerId: 7, count: 3 });
    append(state, { producerId: 7, sequence: 3 });
    const again = admit(state, { producerId: 7, sequence: 0, count: 3 });
    expect(again).toMatchObject({ kind: "duplicate", batch: { index: 1, offset: 0 } });
    expect(admit(state, { producerId: 7, sequence: 3 })).toMatchObject({ batch: { offset: 3 } });
    expect(admit(state, { producerId: 7, sequence: 4 })).toEqual({ kind: "new" });
  });

  test("that skips a sequence is refused, and told which one was expected", () => {
    const state = State.empty(10);
    append(state, { producerId: 7, count: 3 });
    const fault = { code: "sequence-gap", expected: 3, sequence: 5 };
    expect(admit(state, { producerId: 7, sequence: 5 })).toMatchObject({ fault, restsOn: 1 });
    const unknown = { code: "sequence-gap", expected: 0, sequence: 2 };
    expect(admit(state, { producerId: 8, sequence: 2 })).toMatchObject({ fault: unknown });
  });

  test("that repeats a sequence with another count is refused as malformed", () => {
    const state = State.empty(10);
    append(state, { producerId: 7, count: 3 });
    const verdict = admit(state, { producerId: 7, sequence: 0, count: 2 });
    expect(verdict).toMatchObject({ kind: "refused", fault: { code: "malformed" } });
  });

  test("of an older epoch is fenced off, of a newer one starts at 0", () => {
    const state = State.empty(10);
    append(state, { producerId: 7, epoch: 2, count: 5 });
    expect(admit(state, { producerId: 7, epoch: 1, sequence: 5 })).toMatchObject({
      fault: { code: "producer-fenced", currentEpoch: 2 },
    });
    expect(admit(state, { producerId: 7, epoch: 3, sequence: 5 })).toMatchObject({
      fault: { code: "sequence-gap", expected: 0 },
    });
    expect(admit(state, { producerId: 7, epoch: 3 })).toEqual({ kind: "new" });
  });

  test("whose batch lies too far back is told that its place is forgotten, never that it is new", () => {
    const state = State.empty(10);
    for (let sequence = 0; sequence <= BATCHES_REMEMBERED; sequence++) {
      append(state, { producerId: 7, sequence });
    }
    expect(admit(state, { producerId: 7, sequence: 0 })).toMatchObject({
      fault: { code: "duplicate-forgotten" },
    });
    expect(admit(state, { producerId: 7, sequence: 1 })).toMatchObject({ kind: "duplicate" });
  });

  test("in a full table has room only when another one was silent for long, in log time", () => {
    const state = State.empty(2);
    append(state, { producerId: 1, timestamp: 1000 });
    append(state, { producerId: 2, timestamp: 2000 });
    const soon = { producerId: 3, timestamp: 1000 + PRODUCER_IDLE_MS - 1 };
    expect(admit(state, soon)).toMatchObject({ fault: { code: "overloaded" } });
    append(state, { producerId: 3, timestamp: 1000 + PRODUCER_IDLE_MS });
    expect(state.producerCount).toBe(2);
    expect(admit(state, { producerId: 1, sequence: 1 })).toMatchObject({
      fault: { code: "sequence-gap", expected: 0 },
    });
  });

  test("of an entry that nobody admitted stops the node", () => {
    const state = State.empty(10);
    expect(() => append(state, { producerId: 7, sequence: 1 })).toThrow(/admitted once/);
  });
});

describe("the expected end offset", () => {
  test("counts the uncommitted tail, and a refusal rests on it", () => {
    const state = State.empty(10);
    append(state, { producerId: 0, count: 4 });
    expect(state.admit(next(state, { producerId: 0 }), { expectedEndOffset: 4 as Offset })).toEqual(
      { kind: "new" },
    );
    expect(state.admit(next(state, { producerId: 0 }), { expectedEndOffset: 0 as Offset })).toEqual(
      {
        kind: "refused",
        fault: { code: "end-offset-mismatch", expected: 0, endOffset: 4 },
        restsOn: 1,
      },
    );
  });
});

describe("the committed part", () => {
  test("is never truncated and never goes beyond the log", () => {
    const state = State.empty(10);
    append(state, { producerId: 0 });
    append(state, { producerId: 0 });
    state.commit(1 as LogIndex, ignore);
    expect(() => state.truncate(1 as LogIndex)).toThrow(/committed entry stays/);
    expect(() => state.commit(3 as LogIndex, ignore)).toThrow(/commit stays in the log/);
  });

  test("hears every head once, in order", () => {
    const state = State.empty(10);
    const heard: number[] = [];
    for (let at = 0; at < 3000; at++) append(state, { producerId: 0 });
    for (const index of [1, 2000, 2000, 2999, 3000]) {
      state.commit(index as LogIndex, (head) => heard.push(head.index));
    }
    expect(heard).toEqual(Array.from({ length: 3000 }, (_, at) => at + 1));
  });
});

/** Any walk of appends, truncations and commits. */
const walk = fc.array(
  fc.oneof(
    {
      weight: 5,
      arbitrary: fc.record({
        kind: fc.constant("append" as const),
        producerId: fc.nat(4),
        newEpoch: fc.boolean(),
        count: fc.integer({ min: 1, max: 3 }),
        timestamp: fc.nat(3 * PRODUCER_IDLE_MS),
      }),
    },
    {
      weight: 1,
      arbitrary: fc.record({ kind: fc.constant("truncate" as const), drop: fc.nat(6) }),
    },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("commit" as const), up: fc.nat(6) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("release" as const), up: fc.nat(6) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("trim" as const), to: fc.nat(40) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("members" as const), who: fc.nat(3) }) },
  ),
  { maxLength: 60 },
);

test("a state that walked any way equals one that only heard what stayed in the log", () => {
  fc.assert(
    fc.property(walk, (steps) => {
      const state = State.empty(3);
      let log: EntryHead[] = [];
      const used = new Map<number, { epoch: number; next: number }>();
      for (const step of steps) {
        if (step.kind === "append") {
          const known = used.get(step.producerId) ?? { epoch: 0, next: 0 };
          const epoch = step.newEpoch ? known.epoch + 1 : known.epoch;
          const wishes = [known.next, 0].map((sequence) =>
            next(state, { ...step, epoch, sequence }),
          );
          const head = wishes.find((wish) => state.admit(wish, ANYWHERE).kind === "new");
          if (head === undefined) continue;
          state.append(head);
          log.push(head);
          used.set(step.producerId, { epoch, next: head.sequence + head.count });
        } else if (step.kind === "trim" || step.kind === "members") {
          const head = { ...next(state, { producerId: 0, count: 0 }), control: controlOf(step) };
          state.append(head);
          log.push(head);
        } else if (step.kind === "release") {
          const at = state.committed.index - step.up;
          if (at >= 0) state.release(at as LogIndex);
        } else if (step.kind === "commit") {
          const to = Math.min(state.committed.index + step.up, state.end.index);
          state.commit(to as LogIndex, ignore);
        } else {
          const from = Math.max(state.end.index - step.drop + 1, state.committed.index + 1);
          state.truncate(from as LogIndex);
          log = log.filter(({ index }) => index < from);
        }
      }
      const fresh = State.empty(3);
      for (const head of log) fresh.append(head);
      expect(fresh.end).toEqual(state.end);
      fresh.commit(state.committed.index, ignore);
      const bytes = state.encodeCommitted();
      expect(bytes).toEqual(fresh.encodeCommitted());
      const restored = State.restore(3, state.committed, bytes);
      for (const head of log) if (head.index > state.committed.index) restored?.append(head);
      restored?.commit(state.end.index, ignore);
      fresh.commit(state.end.index, ignore);
      expect(restored?.encodeCommitted()).toEqual(fresh.encodeCommitted());
    }),
    { numRuns: 300 },
  );
});

const member = (name: string, instance = "1") => {
  return { id: memberId(name as NodeId, instance.repeat(32)), address: `${name}:1` };
};

function controlOf(step: { kind: "trim"; to: number } | { kind: "members"; who: number }): Control {
  if (step.kind === "trim") return { kind: "trim", startOffset: step.to as Offset };
  const voters = ["a", "b", "c", "d"].slice(0, step.who + 1).map((name) => member(name));
  return { kind: "membership", membership: membershipOf(voters) };
}

const enter = (state: State, control: Control) => {
  state.append({ ...next(state, { producerId: 0, count: 0 }), control });
};

describe("a membership", () => {
  const first = membershipOf([member("a")]);
  const second = membershipOf([member("a"), member("b")]);

  test("is in force from its append on, committed or not, and no more once it is truncated", () => {
    const state = State.empty(10);
    expect(state.membership).toEqual(NO_MEMBERS);
    enter(state, { kind: "membership", membership: first });
    enter(state, { kind: "membership", membership: second });
    state.commit(1 as LogIndex, ignore);
    expect(state.membership).toEqual(second);
    expect(state.committedMembership).toEqual(first);
    state.truncate(2 as LogIndex);
    expect(state.membership).toEqual(first);
  });

  test("is in a checkpoint as it was at that entry, whatever came after", () => {
    const state = State.empty(10);
    enter(state, { kind: "membership", membership: first });
    append(state, { producerId: 7 });
    enter(state, { kind: "membership", membership: second });
    enter(state, { kind: "trim", startOffset: 1 as Offset });
    append(state, { producerId: 7, sequence: 1 });
    state.commit(4 as LogIndex, ignore);
    state.release(2 as LogIndex);
    const then = state.stateAt(2 as LogIndex);
    expect(then).toMatchObject({
      membership: first,
      startOffset: 0,
      at: { index: 2, endOffset: 1 },
    });
    const machine = freeze(new Uint8Array([1, 2, 3]));
    const restored = State.restore(10, then.at, encodeStateAt(then, machine));
    expect(restored?.membership).toEqual(first);
    expect(restored?.takeMachine()).toEqual(machine);
    expect(restored?.takeMachine()).toHaveLength(0);
    expect(restored && admit(restored, { producerId: 7 })).toMatchObject({ kind: "duplicate" });
    expect(restored && admit(restored, { producerId: 7, sequence: 1 }).kind).toBe("new");
  });
});

test("what was trimmed is gone once the trim is committed, and never comes back", () => {
  const state = State.empty(10);
  append(state, { producerId: 7, count: 9 });
  enter(state, { kind: "trim", startOffset: 5 as Offset });
  enter(state, { kind: "trim", startOffset: 3 as Offset });
  state.commit(1 as LogIndex, ignore);
  expect(state.startOffset).toBe(0);
  state.commit(3 as LogIndex, ignore);
  expect(state.startOffset).toBe(5);
});

test("a checkpoint of version 1 is read: it had producers and nothing else", () => {
  const producer = "00000000000000070000000200000000000000050000000000000064000000010000000000";
  const batch = "000000000000000000000005000000000000000300000000000000010000000000000000";
  const bytes = bytesOfHex(`0000000100000001${producer.slice(0, 72)}${batch}`);
  const state = State.restore(10, LOG_START, freeze(bytes));
  expect(state?.membership).toEqual(NO_MEMBERS);
  expect(state && admit(state, { producerId: 7, epoch: 2, count: 5 })).toMatchObject({
    kind: "duplicate",
    batch: { index: 3, offset: 0 },
  });
});

test("a checkpoint of another version or of broken bytes is not restored", () => {
  const state = State.empty(3);
  append(state, { producerId: 1, count: 2 });
  state.commit(1 as LogIndex, ignore);
  const bytes = state.encodeCommitted();
  const newer = bytes.slice();
  newer[3] = 9;
  expect(State.restore(3, LOG_START, newer as typeof bytes)).toBeNull();
  for (let cut = 0; cut < bytes.length; cut++) {
    expect(State.restore(3, LOG_START, bytes.subarray(0, cut) as typeof bytes)).toBeNull();
  }
});
