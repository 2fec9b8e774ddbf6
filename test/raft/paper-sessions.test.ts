// Claims on clients and their sessions (paper, section 8; thesis 6.3): Raft with the state that
// every server makes of its log, by which a command that is sent again is known. Its producers are
// the thesis's clients, their sequences the serial numbers.
import { describe, expect, test } from "vitest";
import { EMPTY_BYTES } from "../../src/base/bytes.ts";
import type { Draft } from "../../src/base/entry.ts";
import type { LogIndex } from "../../src/base/ids.ts";
import { encodeStateAt, State } from "../../src/state/state.ts";
import { appendRequest, draftOf, Subject } from "./subject.ts";

const ANYWHERE = { expectedEndOffset: null };
const COMMAND = { ...draftOf(7), producerId: 42 };

const propose = (server: Subject, proposalId: number, draft: Draft) =>
  server.step({ kind: "proposed", proposalId, draft });

/** What a server makes of every entry that it wrote. */
function stateOf(server: Subject): State {
  const state = State.empty(10);
  for (const { entries, truncateFrom } of server.writes) {
    if (truncateFrom !== null) state.truncate(truncateFrom);
    for (const entry of entries) state.append(entry);
  }
  return state;
}

const entriesOf = (server: Subject) => server.writes.flatMap(({ entries }) => entries);

/** a led term 1 and proposed COMMAND; b has it, and leads term 2. */
function succession() {
  const first = propose(new Subject("a").lead("b"), 1, COMMAND);
  const second = new Subject("b").receive("a", appendRequest(1, entriesOf(first), 0)).lead("c");
  return { first, second };
}

describe("a command that is sent again", () => {
  test("to the next leader is answered with the place of the first one (6.3)", () => {
    const { first, second } = succession();
    expect(first.verdicts).toEqual([]);
    const again = stateOf(second).admit(COMMAND, ANYWHERE);
    expect(again).toMatchObject({ kind: "duplicate", batch: { index: 2, term: 1, offset: 0 } });
  });

  test("is answered when the first one is committed, which takes an entry of the new term (8)", () => {
    const { second } = succession();
    second.ack("a", 2);
    expect(second.status.commitIndex).toBe(0);
    second.ack("a", 3);
    expect(second.status.commitIndex).toBe(3);
  });

  test("is new where the first one was replaced: it was executed nowhere (6.3)", () => {
    const { first } = succession();
    expect(stateOf(first).admit(COMMAND, ANYWHERE).kind).toBe("duplicate");
    const third = new Subject("c", { term: 1 }).lead("b");
    first.receive("c", appendRequest(2, entriesOf(third), 0));
    expect(first.verdicts).toEqual([{ kind: "unknown", proposalId: 1 }]);
    expect(stateOf(first).admit(COMMAND, ANYWHERE)).toEqual({ kind: "new" });
  });

  test("is known to every server alike, for each makes the sessions of the log alone (6.3)", () => {
    const { first, second } = succession();
    const [one, two] = [stateOf(first), stateOf(second)];
    for (const state of [one, two]) state.commit(2 as LogIndex, () => undefined);
    expect(one.encodeCommitted()).toEqual(two.encodeCommitted());
  });

  test("is known to a server that has only a snapshot of its entry (7, 6.3)", () => {
    const state = stateOf(succession().second);
    state.commit(3 as LogIndex, () => undefined);
    const then = state.stateAt(3 as LogIndex);
    const restored = State.restore(10, then.at, encodeStateAt(then, EMPTY_BYTES));
    expect(restored?.admit(COMMAND, ANYWHERE)).toMatchObject({
      kind: "duplicate",
      batch: { index: 2 },
    });
  });
});
