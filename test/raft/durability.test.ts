// Nothing leaves before it is durable: each kind of held message, the leader's own disk as one
// vote, and writes that overtake one another in meaning (the ABA case).
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Entry, LogWrite } from "../../src/base/entry.ts";
import { pointAfter } from "../../src/base/entry.ts";
import type { Instant, LogIndex, WriteId } from "../../src/base/ids.ts";
import { Journal } from "../../src/raft/journal.ts";
import {
  appendRequest,
  at,
  entriesAfter,
  id,
  logOf,
  ms,
  type Situation,
  Subject,
  term,
  voteRequest,
} from "./subject.ts";

/** A server whose disk is as slow as the test wants, old enough to vote. */
function slow(situation: Situation = {}): Subject {
  const server = new Subject("a", situation).elapse(ms(150));
  server.autoPersist = false;
  return server.forget();
}

describe("a held message", () => {
  test("vote-reply: a vote leaves when it is durable", () => {
    const server = slow().receive("b", voteRequest(1, 0, 0));
    expect(server.writes).toMatchObject([{ hardState: { term: 1, votedFor: "b" } }]);
    expect(server.sends).toEqual([]);
    server.persist();
    expect(server.sent("vote-reply")).toMatchObject([{ to: "b", term: 1, granted: true }]);
  });

  test("vote-reply: a refusal that names a new term leaves when the term is durable", () => {
    const server = slow({ log: [2], term: 2 }).receive("b", voteRequest(5, 1, 1));
    expect(server.sends).toEqual([]);
    server.persist();
    expect(server.sent("vote-reply")).toMatchObject([{ to: "b", term: 5, granted: false }]);
  });

  test("vote-request: a candidacy that ended while its disk was slow asks nobody any more", () => {
    const server = slow()
      .receive("b", appendRequest(3, [], 0))
      .untilDeadline();
    expect(server.status).toMatchObject({ role: "pre-candidate", term: 3 });
    server.receive("b", appendRequest(3, [], 0)).persist();
    expect(server.status).toMatchObject({ role: "follower", leader: "b" });
    expect(server.sent("append-reply")).toMatchObject([{ to: "b", term: 3 }]);
    expect(server.sent("vote-request")).toEqual([]);
  });

  test("vote-request: a candidacy leaves when the candidate's own vote is durable", () => {
    const server = slow().untilDeadline().grant("b", true);
    expect(server.writes).toMatchObject([{ hardState: { term: 1, votedFor: "a" } }]);
    const asked = () => server.sent("vote-request").filter(({ preVote }) => !preVote);
    expect(asked()).toEqual([]);
    server.persist();
    expect(asked().map(({ to }) => to)).toEqual(["b", "c"]);
  });

  test("append-reply: an acknowledgement leaves when the entries are durable", () => {
    const server = slow({ term: 1 }).receive("b", appendRequest(1, logOf([1, 1]), 0));
    expect(server.sends).toEqual([]);
    server.persist();
    expect(server.sent("append-reply")).toMatchObject([{ to: "b", matchIndex: 2 }]);
  });

  test("append-reply: an acknowledgement covers only what is durable by then", () => {
    const log = logOf([1, 1, 1]);
    const server = slow({ term: 1 });
    server.receive("b", appendRequest(1, log.slice(0, 1), 0));
    server.receive("b", appendRequest(1, log.slice(0, 3), 1));
    expect(server.writes.map(({ writeId }) => writeId)).toEqual([1, 2]);
    server.persist(1);
    expect(server.sent("append-reply")).toMatchObject([{ matchIndex: 1 }]);
    server.forget().persist(2);
    expect(server.sent("append-reply")).toMatchObject([{ matchIndex: 3 }]);
  });

  test("append-reply: a refusal in a new term leaves when the term is durable", () => {
    const server = slow().receive(
      "b",
      appendRequest(3, [], 0, { prevIndex: at(4), prevTerm: term(2) }),
    );
    expect(server.sends).toEqual([]);
    server.persist();
    expect(server.sent("append-reply")).toMatchObject([{ term: 3, conflict: { prevIndex: 4 } }]);
  });

  test("append-reply: a heartbeat of a new term is answered when the term is durable", () => {
    const server = slow().receive("b", appendRequest(3, [], 0));
    expect(server.sends).toEqual([]);
    server.persist();
    expect(server.sent("append-reply")).toMatchObject([{ term: 3, matchIndex: 0, round: 1 }]);
  });

  test("of an earlier term is not sent any more", () => {
    const server = slow()
      .receive("b", voteRequest(1, 0, 0))
      .receive("c", voteRequest(2, 0, 0));
    server.persist();
    expect(server.sent("vote-reply")).toMatchObject([{ to: "c", term: 2, granted: true }]);
  });

  test("waits for its own write, not for an earlier one", () => {
    const server = slow({ term: 1 }).receive("b", appendRequest(1, logOf([1]), 0));
    server.elapse(ms(150)).receive("c", voteRequest(2, 9, 1));
    expect(server.writes.map(({ writeId }) => writeId)).toEqual([1, 2]);
    server.persist(1);
    expect(server.sent("vote-reply")).toEqual([]);
    server.persist(2);
    expect(server.sent("vote-reply")).toMatchObject([{ to: "c", term: 2, granted: true }]);
  });

  test("is replaced by a newer one of its kind to the same peer: they never pile up", () => {
    const server = slow();
    for (let again = 0; again < 50; again++) server.receive("b", voteRequest(1, 0, 0));
    server.persist();
    expect(server.sent("vote-reply")).toHaveLength(1);
  });
});

describe("a candidate", () => {
  test("counts its own vote when it is durable, and no answer before it has asked", () => {
    const server = slow().untilDeadline().grant("b", true).grant("b", false).grant("c", false);
    expect(server.raft.role).toBe("candidate");
    server.persist();
    expect(server.raft.role).toBe("candidate");
    server.grant("b", false);
    expect(server.raft.role).toBe("leader");
  });
});

describe("a leader", () => {
  test("sends entries while it writes them, and counts its own disk when it says so", () => {
    const leader = new Subject("a").lead("b").ack("b", 1).forget();
    leader.autoPersist = false;
    leader.propose(7);
    expect(leader.appends()).toMatchObject([{ to: "b", lastIndex: 2 }]);
    leader.ack("c", 2);
    expect(leader.status).toMatchObject({ commitIndex: 1, durableIndex: 1 });
    leader.persist();
    expect(leader.status).toMatchObject({ commitIndex: 2, durableIndex: 2 });
  });

  test("commits by its peers' disks when its own is slow", () => {
    const leader = new Subject("a").lead("b");
    leader.autoPersist = false;
    leader.propose(7).ack("b", 2).ack("c", 2);
    expect(leader.status).toMatchObject({ commitIndex: 2, durableIndex: 1 });
  });
});

describe("a later write", () => {
  test("takes the durability of what it overwrites away, whatever is confirmed when (ABA)", () => {
    const server = slow({ term: 2 });
    server.receive("b", appendRequest(2, logOf([2, 2, 2]), 0));
    const kept = logOf([2]);
    const replaced = [...kept, ...entriesAfter(pointAfter(kept[0] as Entry), [3, 3])];
    server.receive("c", appendRequest(3, replaced, 1));
    expect(server.writes).toMatchObject([
      { writeId: 1, truncateFrom: null },
      { writeId: 2, truncateFrom: 2, hardState: { term: 3 } },
    ]);
    // The disk confirms entries 1 to 3 of term 2: of them only the first is still in the log.
    server.persist(1);
    expect(server.status).toMatchObject({ lastIndex: 3, durableIndex: 1 });
    expect(server.sends).toEqual([]);
    server.persist(2);
    expect(server.status.durableIndex).toBe(3);
    expect(server.sent("append-reply")).toMatchObject([{ to: "c", term: 3, matchIndex: 3 }]);
  });

  test("that replaces what was never handed out replaces it in the write itself", () => {
    const server = slow({ log: [1, 1], term: 2 });
    const log = logOf([1, 1, 2, 2]);
    const other = [...log.slice(0, 2), ...entriesAfter(pointAfter(log[1] as Entry), [3])];
    const { now, raft } = server;
    const from = (name: string, message: ReturnType<typeof appendRequest>) =>
      raft.step(now, { kind: "received", from: id(name), message });
    from("b", appendRequest(2, log, 2));
    from("c", appendRequest(3, other, 2));
    server.take();
    expect(server.writes).toHaveLength(1);
    expect(server.writes[0]).toMatchObject({
      hardState: { term: 3, votedFor: null },
      truncateFrom: null,
      entries: [{ index: 3, term: 3 }],
    });
  });
});

describe("a journal", () => {
  /** The disk and the log, each played out entry by entry, to compare the journal with. */
  class Model {
    log: Entry[] = [];
    readonly writes: LogWrite[] = [];
    confirmed = 0;

    /** What a crash would leave if exactly the confirmed writes were performed. */
    onDisk(): Entry[] {
      const disk: Entry[] = [];
      for (const write of this.writes.slice(0, this.confirmed)) {
        if (write.truncateFrom !== null) disk.length = write.truncateFrom - 1;
        expect(write.entries[0]?.index ?? disk.length + 1).toBe(disk.length + 1);
        disk.push(...write.entries);
      }
      return disk;
    }

    /**
     * How much of the log is on disk for good: nothing that any write after the confirmed ones,
     * taken or not, is going to touch. Found by looking at each entry.
     */
    durable(): number {
      const disk = this.onDisk();
      let durable = 0;
      while (disk[durable] !== undefined && disk[durable] === this.log[durable]) durable += 1;
      return durable;
    }
  }

  test("says exactly what is durable and writes exactly what is missing", () => {
    const move = fc.oneof(
      { weight: 4, arbitrary: fc.record({ kind: fc.constant("append"), pick: fc.nat(3) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("truncate"), pick: fc.nat(20) }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("take"), pick: fc.nat() }) },
      { weight: 2, arbitrary: fc.record({ kind: fc.constant("confirm"), pick: fc.nat(5) }) },
    );
    const property = fc.property(fc.array(move, { maxLength: 80, size: "max" }), (moves) => {
      const journal = new Journal({ term: term(0), votedFor: null }, at(0));
      const model = new Model();
      for (const { kind, pick } of moves) {
        if (kind === "append") {
          for (let count = 0; count <= pick; count++) {
            const index = at(model.log.length + 1);
            const entry = { ...(logOf([1])[0] as Entry), index };
            model.log.push(entry);
            journal.append(entry);
          }
        } else if (kind === "truncate" && model.log.length > 0) {
          const from = (1 + (pick % model.log.length)) as LogIndex;
          model.log.length = from - 1;
          journal.truncate(from);
        } else if (kind === "take") {
          const write = journal.takeWrite(0 as Instant);
          if (write !== null) model.writes.push(write);
        } else if (kind === "confirm" && model.writes.length > model.confirmed) {
          model.confirmed += 1 + (pick % (model.writes.length - model.confirmed));
          journal.persisted(model.confirmed as WriteId);
        }
        expect(journal.durableIndex).toBe(model.durable());
      }
      const last = journal.takeWrite(0 as Instant);
      if (last !== null) model.writes.push(last);
      model.confirmed = model.writes.length;
      if (model.confirmed > 0) journal.persisted(model.confirmed as WriteId);
      expect(model.onDisk()).toEqual(model.log);
      expect(journal.durableIndex).toBe(model.log.length);
    });
    fc.assert(property, { seed: 3, numRuns: 500 });
  });

  test("refuses a confirmation of what was never handed out", () => {
    const journal = new Journal({ term: term(0), votedFor: null }, at(0));
    expect(() => journal.persisted(1 as WriteId)).toThrow(/only a write that was taken/);
  });

  test("refuses a second vote in a term, and an earlier term", () => {
    const journal = new Journal({ term: term(4), votedFor: id("b") }, at(0));
    expect(() => journal.setHardState({ term: term(4), votedFor: id("c") })).toThrow(/vote/);
    expect(() => journal.setHardState({ term: term(3), votedFor: null })).toThrow(/term/);
  });
});
