// How followers learn that entries are committed when no further entries tell them.

import { describe, expect, test } from "vitest";
import { ms, Subject } from "./subject.ts";

/** Leads three with everybody's log at its end, and has told them so. */
function leaderWith(commitNoticeDelay?: ReturnType<typeof ms>): Subject {
  const options = commitNoticeDelay === undefined ? {} : { commitNoticeDelay };
  const leader = new Subject("a", { options }).lead("b", "c");
  leader.ack("b", 1).ack("c", 1);
  if (commitNoticeDelay !== undefined) leader.elapse(commitNoticeDelay);
  return leader.forget();
}

const told = (leader: Subject) =>
  leader.sent("append-request").map(({ to, commitIndex }) => [to, commitIndex]);

describe("a commit that no entries follow", () => {
  test("is told at once without commitNoticeDelay", () => {
    const leader = leaderWith().propose(1).forget().ack("b", 2);
    expect(told(leader)).toEqual([["b", 2]]);
  });

  test("is told once to each that has it, after commitNoticeDelay", () => {
    const leader = leaderWith(ms(2)).propose(1).forget().ack("b", 2).ack("c", 2);
    expect(leader.status.commitIndex).toBe(2);
    expect(told(leader)).toEqual([]);
    expect(leader.raft.deadline - leader.now).toBe(ms(2));
    leader.elapse(ms(1));
    expect(told(leader)).toEqual([]);
    leader.elapse(ms(1));
    expect(told(leader)).toEqual([
      ["b", 2],
      ["c", 2],
    ]);
    leader.forget().elapse(ms(2));
    expect(told(leader)).toEqual([]);
  });

  test("is not told apart when entries tell it first", () => {
    const leader = leaderWith(ms(2)).propose(1).ack("b", 2).ack("c", 2).forget();
    leader.elapse(ms(1)).propose(2);
    expect(leader.appends().map(({ to, commitIndex }) => [to, commitIndex])).toEqual([
      ["b", 2],
      ["c", 2],
    ]);
    leader.forget().elapse(ms(1));
    expect(told(leader)).toEqual([]);
  });

  test("is told by commitNoticeDelay after the first of several, however many follow", () => {
    const leader = leaderWith(ms(2));
    leader.propose(1).propose(2).propose(3).forget();
    leader.ack("b", 2).elapse(ms(1)).ack("b", 3).elapse(ms(1));
    expect(told(leader)).toEqual([["b", 3]]);
  });
});
