// Servers in each role and answers to them, for the tests that go through the paper. Judges
// nothing.
import type { RaftMessage } from "../../src/raft/protocol.ts";
import { at, ms, type Situation, Subject, term } from "./subject.ts";

export const follower = (situation: Situation = {}) => new Subject("a", situation).elapse(ms(149));
export const preCandidate = (situation: Situation = {}) =>
  new Subject("a", situation).untilDeadline();
export const candidate = (situation: Situation = {}) => preCandidate(situation).grant("b", true);
export const leader = (situation: Situation = {}) => new Subject("a", situation).lead("b");
export const five = ["a", "b", "c", "d", "e"];

export const voteReply = (of: number, granted: boolean): RaftMessage => ({
  kind: "vote-reply",
  term: term(of),
  granted,
  preVote: false,
});
export const appendReply = (of: number, matchIndex: number): RaftMessage => ({
  kind: "append-reply",
  term: term(of),
  round: 1,
  matchIndex: at(matchIndex),
  conflict: null,
});
