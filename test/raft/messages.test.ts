// What peers may not do: absurd, broken or hostile messages have no effect, are counted, and never
// stop the server. And what the machine itself promises its host: one door, equal traces, equal
// outputs.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Entry } from "../../src/base/entry.ts";
import type { Instant, WriteId } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import type { RaftEvent, RaftMessage } from "../../src/raft/protocol.ts";
import { Raft } from "../../src/raft/raft.ts";
import {
  appendRequest,
  at,
  draftOf,
  id,
  logOf,
  memberOf,
  ms,
  optionsOf,
  restoredOf,
  Subject,
  seal,
  simple,
  term,
  voteRequest,
} from "./subject.ts";

const log = logOf([1, 1, 2]);
const good = appendRequest(2, log, 0);
const withEntry = (change: Partial<Entry>): RaftMessage => ({
  ...good,
  entries: log.map((entry, place) => (place === 1 ? { ...entry, ...change } : entry)),
});

describe("a message that no correct peer sends", () => {
  test.each<[string, RaftMessage]>([
    ["of an absurd term", { ...good, term: term(2 ** 53) }],
    ["of a term that would leave no others", { ...good, term: term(Number.MAX_SAFE_INTEGER) }],
    ["of a negative term", { ...good, term: term(-1) }],
    ["of a fractional term", { ...good, term: term(1.5) }],
    ["of no term at all", { ...good, term: term(Number.NaN) }],
    ["of term 0", { ...appendRequest(0, [], 0) }],
    ["with an unsafe prevIndex", { ...good, prevIndex: at(2 ** 60) }],
    ["with entries beyond all numbers", { ...good, prevIndex: at(2 ** 53 - 2), prevTerm: term(1) }],
    ["with a negative commitIndex", { ...good, commitIndex: at(-1) }],
    ["with an absurd round", { ...good, round: -1 }],
    ["with a prevTerm newer than its leader", { ...good, prevIndex: at(1), prevTerm: term(3) }],
    ["with a prevTerm before the log", { ...good, prevTerm: term(1) }],
    ["with a gap between entries", withEntry({ index: at(7) })],
    ["with a term that goes back", withEntry({ term: term(0) })],
    ["with an entry newer than its leader", withEntry({ term: term(3) })],
    ["with a prevTerm that is not the one before", withEntry({ prevTerm: term(2) })],
    ["with offsets that do not add up", withEntry({ offset: 9 as Entry["offset"] })],
    ["with a count that does not add up", withEntry({ count: 2 })],
    ["with an absurd count", withEntry({ count: -1 })],
    ["with a time that goes back", withEntry({ timestamp: 1 as Entry["timestamp"] })],
    ["with a marker", withEntry({ kind: "marker" })],
    ["with a log as new as the term it asks for", voteRequest(2, 1, 2)],
    ["with an index and no term", voteRequest(2, 1, 0)],
    ["with a fractional index", voteRequest(2, 1.5, 1)],
    ["of an unknown kind", { kind: "gossip", term: 1 } as unknown as RaftMessage],
  ])("%s is dropped and counted", (_, message) => {
    const server = new Subject("a", { term: 1 }).elapse(ms(149));
    server.receive("b", message);
    expect(server.status).toMatchObject({ dropped: 1, term: 1, lastIndex: 0, leader: null });
    expect(server.status.lastDropped).not.toBeNull();
    expect(server.sends).toEqual([]);
    expect(server.writes).toEqual([]);
  });

  test.each<[string, Partial<Extract<RaftMessage, { kind: "append-reply" }>>]>([
    ["beyond the leader's log", { matchIndex: at(99) }],
    ["that is no number", { matchIndex: at(Number.NaN) }],
    ["of a round that never began", { round: 99 }],
    ["with a hint above what was refused", conflict(1, 2, 1)],
    ["with an absurd hint", conflict(1, -1, 1)],
  ])("an answer %s is dropped and counted", (_, change) => {
    const server = new Subject("a").lead("b").forget();
    server.receive("b", {
      kind: "append-reply",
      term: term(1),
      round: 1,
      matchIndex: at(0),
      conflict: null,
      ...change,
    });
    expect(server.status).toMatchObject({ dropped: 1, commitIndex: 0, role: "leader" });
    expect(server.peer("b").matchIndex).toBe(0);
  });

  function conflict(prevIndex: number, hintIndex: number, hintTerm: number) {
    return {
      conflict: { prevIndex: at(prevIndex), hintIndex: at(hintIndex), hintTerm: term(hintTerm) },
    };
  }

  test("in one's own name counts for nothing", () => {
    const server = new Subject("a").elapse(ms(150)).forget();
    server.receive("a", voteRequest(5, 9, 4)).receive("a", appendRequest(5, log, 0));
    expect(server.status).toMatchObject({ dropped: 2, term: 0, votedFor: null, lastIndex: 0 });
    expect(server.sends).toEqual([]);
  });

  test("an answer of a stranger counts for nothing and raises no term", () => {
    const server = new Subject("a").lead("b").forget();
    const reply = { term: term(9), round: 1, matchIndex: at(1), conflict: null };
    server.receive("z", { kind: "append-reply", ...reply });
    server.receive("z", { kind: "append-reply", ...reply, term: term(1) });
    server.receive("z", { kind: "vote-reply", term: term(9), granted: false, preVote: false });
    expect(server.status).toMatchObject({ dropped: 3, term: 1, role: "leader", commitIndex: 0 });
  });

  test("that denies or replaces a committed entry changes nothing", () => {
    const server = new Subject("a", { log: [1, 1, 1], term: 1 });
    server.receive("b", appendRequest(1, logOf([1, 1, 1]), 2, { commitIndex: at(3) })).forget();
    expect(server.status.commitIndex).toBe(3);
    server.receive("c", appendRequest(5, logOf([1, 1, 5]), 2));
    server.receive("c", appendRequest(5, [], 0, { prevIndex: at(3), prevTerm: term(5) }));
    expect(server.status).toMatchObject({ dropped: 2, lastIndex: 3, lastTerm: 1 });
    expect(server.sent("append-reply")).toEqual([]);
  });

  test("that claims to lead a term which another leads changes nothing", () => {
    const server = new Subject("a").receive("b", appendRequest(2, log, 0));
    server.receive("c", appendRequest(2, logOf([2]), 0));
    expect(server.status).toMatchObject({ dropped: 1, leader: "b", lastIndex: 3 });
    const leader = new Subject("a").lead("b");
    leader.receive("c", appendRequest(1, [], 0));
    expect(leader.status).toMatchObject({ dropped: 1, role: "leader" });
  });

  test("that does not join on to the log it names changes nothing", () => {
    const server = new Subject("a").receive("b", appendRequest(2, log.slice(0, 2), 0)).forget();
    const strayed = { ...(log[2] as Entry), offset: 7 as Entry["offset"] };
    server.receive("b", appendRequest(2, [...log.slice(0, 2), strayed], 2));
    expect(server.status).toMatchObject({ dropped: 1, lastIndex: 2 });
  });

  test("never makes a server throw, whatever is in it", () => {
    const number = fc.oneof(
      { weight: 6, arbitrary: fc.nat(6) },
      { weight: 1, arbitrary: fc.constantFrom(-1, 0.5, Number.NaN, 2 ** 53, 2 ** 48, 1e300) },
    );
    const entries = fc.array(
      fc.record({ index: number, term: number, prevTerm: number, offset: number, count: number }),
      { maxLength: 3 },
    );
    const entry = { ...(log[0] as Entry) };
    const filled = entries.map((all) => all.map((each) => ({ ...entry, ...each })));
    const runs = fc
      .tuple(fc.array(fc.integer({ min: 1, max: 4 }), { maxLength: 4 }), fc.nat(4))
      .map(([terms, from]) => logOf(terms.sort()).slice(from));
    const conflictOf = fc.record({ prevIndex: number, hintIndex: number, hintTerm: number });
    const message = fc.oneof(
      fc.record({
        kind: fc.constant("vote-request"),
        term: number,
        lastIndex: number,
        lastTerm: number,
        preVote: fc.boolean(),
        transfer: fc.boolean(),
      }),
      fc.record({
        kind: fc.constant("vote-reply"),
        term: number,
        granted: fc.boolean(),
        preVote: fc.boolean(),
      }),
      fc.record({
        kind: fc.constant("append-request"),
        term: number,
        prevIndex: number,
        prevTerm: number,
        commitIndex: number,
        round: number,
        entries: fc.oneof(filled, runs),
      }),
      fc.record({
        kind: fc.constant("append-reply"),
        term: number,
        round: number,
        matchIndex: number,
        conflict: fc.option(conflictOf),
      }),
      fc.record({ kind: fc.constant("timeout-now"), term: number, lastIndex: number }),
      fc.record({ kind: fc.constant("read-request"), term: number, sequence: number }),
      fc.record({
        kind: fc.constant("read-reply"),
        term: number,
        sequence: number,
        readIndex: fc.option(number),
      }),
    );
    const place = fc.record({ index: number, term: number, endOffset: number, timestamp: number });
    const membership = fc.constantFrom(
      simple(["a", "b", "c"]),
      simple(["b", "c", "d"], ["a"]),
      simple([]),
      { ...simple(["a"]), members: [] },
    );
    const snapshot = fc.record({ at: place, membership, state: fc.constant(new Uint8Array()) });
    const brought = fc.record({ term: number, round: number, snapshot });
    const move = fc.record({
      from: fc.constantFrom("b", "c", "z"),
      brought: fc.option(brought, { freq: 9 }),
      message,
      wait: fc.nat(200),
      persist: fc.boolean(),
    });
    const property = fc.property(fc.array(move, { maxLength: 60, size: "max" }), (moves) => {
      const server = new Subject("a", { log: [1, 1, 2], term: 2 });
      for (const { from, message: said, brought: load, wait, persist } of moves) {
        server.autoPersist = persist;
        if (load === null) server.receive(from, said as unknown as RaftMessage);
        else server.step({ kind: "snapshot-received", from, ...load } as unknown as RaftEvent);
        if (persist) server.persist();
        if (wait < 40) server.elapse(ms(wait));
        server.propose(1).transfer(2, "b").change(3, ["a", "b"], ["c"]);
        server.step({ kind: "read-requested", readId: 4, deadline: server.raft.deadline });
      }
    });
    fc.assert(property, { seed: 4, numRuns: 400 });
  });
});

describe("the machine", () => {
  const append = { from: fc.nat(2), of: fc.integer({ min: 1, max: 4 }) };
  const event = fc.oneof(
    { weight: 4, arbitrary: fc.record({ kind: fc.constant("deadline") }) },
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("granted"), preVote: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("append"), ...append }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("ack"), matchIndex: fc.nat(4) }) },
    { weight: 2, arbitrary: fc.record({ kind: fc.constant("proposed"), proposalId: fc.nat(99) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("read"), readId: fc.nat(99) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("change"), voters: fc.nat(7) }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("transfer"), to: fc.nat(3) }) },
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("persisted") }) },
  );
  type Choice = typeof event extends fc.Arbitrary<infer T> ? T : never;

  /** Turns a choice into an event that is likely to mean something to `raft`. */
  function eventOf(raft: Raft, choice: Choice, lastWrite: number): RaftEvent {
    const { term: now } = raft.status();
    switch (choice.kind) {
      case "granted": {
        const { preVote } = choice as { preVote: boolean };
        const asked = term(preVote ? now + 1 : now);
        const message = { kind: "vote-reply", term: asked, granted: true, preVote } as const;
        return { kind: "received", from: id("b"), message };
      }
      case "append": {
        const { from, of } = choice as { from: number; of: number };
        const message = appendRequest(now + (of > 3 ? 1 : 0) || 1, logOf([1, 1]), from);
        return { kind: "received", from: id("c"), message };
      }
      case "ack": {
        const { matchIndex } = choice as { matchIndex: number };
        const reply = { kind: "append-reply", term: now, round: 1, conflict: null } as const;
        const message = { ...reply, matchIndex: at(matchIndex) };
        return { kind: "received", from: id("b"), message };
      }
      case "proposed": {
        const { proposalId } = choice as { proposalId: number };
        return { kind: "proposed", proposalId, draft: draftOf(proposalId) };
      }
      case "read":
        return { kind: "read-requested", readId: (choice as { readId: number }).readId };
      case "change": {
        const { voters } = choice as { voters: number };
        const names = ["a", "b", "c"].filter((_, place) => Math.floor(voters / 2 ** place) % 2);
        const target = { voters: names.map(memberOf), learners: [] };
        return { kind: "membership-proposed", proposalId: voters, target };
      }
      case "transfer": {
        const to = ["a", "b", "c"][(choice as { to: number }).to];
        return { kind: "transfer-requested", transferId: 1, to: to === undefined ? null : id(to) };
      }
      case "persisted":
        return { kind: "persisted", writeId: lastWrite as WriteId };
      default:
        return { kind: "deadline" };
    }
  }

  function play(choices: readonly Choice[], beside: (() => void) | null): unknown[] {
    const options = optionsOf("a", { prng: new Prng("same") });
    const raft = new Raft(options, restoredOf({ log: [1], term: 1 }), 0 as Instant);
    const outputs: unknown[] = [];
    let now = 0;
    let lastWrite = 0;
    for (const choice of choices) {
      beside?.();
      if (choice.kind === "deadline") now = Math.max(now, raft.deadline);
      raft.step(now as Instant, eventOf(raft, choice, lastWrite));
      const output = raft.takeOutput();
      if (output?.write) lastWrite = output.write.writeId;
      outputs.push(structuredClone(output), raft.status(), raft.deadline);
    }
    return outputs;
  }

  test("fed one trace twice says the same twice, also with another one at work beside it", () => {
    let roles = 0;
    const property = fc.property(fc.array(event, { maxLength: 60, size: "max" }), (choices) => {
      const once = play(choices, null);
      const other = new Subject("b", { log: [1], term: 1 });
      const again = play(choices, () => other.elapse(ms(20)));
      expect(again).toEqual(once);
      if (JSON.stringify(once).includes('"role":"leader"')) roles += 1;
    });
    fc.assert(property, { seed: 5, numRuns: 200 });
    expect(roles).toBeGreaterThan(10);
  });

  test("has nothing to say when nothing happened", () => {
    const server = new Subject("a");
    expect(server.raft.takeOutput()).toBeNull();
    const leader = new Subject("a").lead("b").ack("b", 1).ack("c", 1);
    expect(leader.raft.takeOutput()).toBeNull();
  });

  test("is told of time too early without harm", () => {
    const server = new Subject("a");
    for (let again = 0; again < 10; again++) server.step({ kind: "deadline" });
    expect(server.status).toMatchObject({ role: "follower", term: 0 });
    const leader = new Subject("a").lead("b").forget();
    for (let again = 0; again < 10; again++) leader.step({ kind: "deadline" });
    expect(leader.sends).toEqual([]);
  });

  test("takes no step inside a step, no output inside a step, and no time that goes back", () => {
    const doors: (() => void)[] = [];
    const options = optionsOf("a", {
      seal: (head, bytes) => {
        for (const enter of doors) expect(enter).toThrow(/step/);
        return seal(head, bytes);
      },
    });
    const raft = new Raft(options, restoredOf({ voters: ["a"] }), 0 as Instant);
    doors.push(() => raft.step(0 as Instant, { kind: "deadline" }));
    doors.push(() => raft.takeOutput());
    raft.step(raft.deadline, { kind: "deadline" });
    raft.takeOutput();
    raft.step(raft.deadline, { kind: "persisted", writeId: 1 as WriteId });
    expect(raft.role).toBe("leader");
    expect(() => raft.step(0 as Instant, { kind: "deadline" })).toThrow(/time never goes back/);
  });

  test("hands out the same status until it says something else, and never alters it", () => {
    const { raft } = new Subject("a").lead("b");
    const before = raft.status();
    const copy = structuredClone(before);
    expect(raft.status()).toBe(before);
    raft.step(raft.deadline, { kind: "deadline" });
    raft.takeOutput();
    expect(raft.status()).toBe(before);
    raft.step(raft.deadline, { kind: "proposed", proposalId: 1, draft: draftOf(1) });
    raft.takeOutput();
    expect(raft.status()).not.toBe(before);
    expect(raft.status().lastIndex).toBe(before.lastIndex + 1);
    expect(before).toEqual(copy);
  });
});
