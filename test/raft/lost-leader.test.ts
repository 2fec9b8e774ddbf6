// What a follower makes of a lost connection to its leader, when it was told to mind it.

import { describe, expect, test } from "vitest";
import { appendRequest, id, ms, Subject, voteRequest } from "./subject.ts";

/** Follows b in term 1, and has just heard it. */
function follower(lostLeaderDivisor?: number): Subject {
  const options = lostLeaderDivisor === undefined ? {} : { lostLeaderDivisor };
  const server = new Subject("a", { options });
  return server.receive("b", appendRequest(1, [], 0)).forget();
}

const lose = (server: Subject, peer: string) =>
  server.step({ kind: "peer-unreachable", peer: id(peer) });
const patience = (server: Subject) => server.raft.deadline - server.now;

describe("a lost connection", () => {
  test("to the leader leaves a part of the timeout", () => {
    const server = follower(4);
    const whole = patience(server);
    lose(server, "b");
    expect(patience(server)).toBe(Math.ceil(whole / 4));
    server.untilDeadline();
    expect(server.raft.role).toBe("pre-candidate");
  });

  test("to the leader never lengthens what is left of it", () => {
    const server = follower(1);
    server.elapse(ms(10));
    const left = patience(server);
    lose(server, "b");
    expect(patience(server)).toBe(left);
  });

  test("to another peer, or without the option, means nothing", () => {
    const [minding, unminding] = [follower(4), follower()];
    const before = [patience(minding), patience(unminding)];
    lose(minding, "c");
    lose(unminding, "b");
    expect([patience(minding), patience(unminding)]).toEqual(before);
  });

  test("is forgotten when the leader is heard again", () => {
    const server = follower(4);
    const whole = patience(server);
    lose(server, "b").receive("b", appendRequest(1, [], 0));
    expect(patience(server)).toBe(whole);
  });

  test("to the leader ends the vouching for it: a candidate is granted its pre-vote", () => {
    const granted = (server: Subject) => {
      const request = voteRequest(2, 0, 0, true);
      return server
        .forget()
        .receive("c", request)
        .sent("vote-reply")
        .map(({ granted }) => granted);
    };
    const server = follower(4);
    expect(granted(server)).toEqual([false]);
    expect(granted(lose(server, "b"))).toEqual([true]);
  });
});
