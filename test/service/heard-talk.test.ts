// What a serving node does about what it hears: lines of log, answers, and what watchers see; and
// the streams of operators who ask and watch.
import { expect, test } from "vitest";
import { freeze } from "../../src/base/bytes.ts";
import { type Instant, millis, type NodeId } from "../../src/base/ids.ts";
import type { Notice } from "../../src/base/notice.ts";
import type { GossipRequestId } from "../../src/gossip/protocol.ts";
import { Caller } from "../../src/service/caller.ts";
import {
  HeardTalk,
  TALK_LINES_A_SECOND,
  UNSHOWN_MAX,
  WATCHERS_MAX,
} from "../../src/service/heard-talk.ts";
import { type QuerySummary, RunningQuery } from "../../src/service/membership-talk.ts";
import { tellHeard, tellQuery } from "../../src/service/talk-requests.ts";

const payload = Uint8Array.of(1, 2, 3);
const event = (name: string) => ({ name, payload, coalesced: false, time: 7 });

function makeTalk() {
  const notices: Notice[] = [];
  const clock = { at: 0, now: () => clock.at as Instant };
  const telemetry = { notice: (notice: Notice) => void notices.push(notice) };
  const answers = { version: () => "1.2.3" };
  return { talk: new HeardTalk({ telemetry, clock, answers }), notices, clock };
}

test("a node writes that an event came to its log, so many lines a second", () => {
  const { talk, notices, clock } = makeTalk();
  for (let each = 0; each < TALK_LINES_A_SECOND + 5; each++) talk.event(event("deploy"));
  expect(notices).toHaveLength(TALK_LINES_A_SECOND);
  const facts = { event: "deploy", bytes: 3, eventTime: 7 };
  expect(notices[0]).toEqual({ level: "info", what: "gossip-event", facts });
  clock.at = 1_000_000;
  talk.event(event("deploy"));
  expect(notices.at(-1)?.facts).toEqual({ ...facts, unlogged: 5 });
});

test("a node answers the queries it knows, and no others", async () => {
  const { talk, notices } = makeTalk();
  const answers: string[] = [];
  const ask = (name: string) =>
    talk.query({
      name,
      payload,
      from: "n2",
      respond: async (answer) => {
        answers.push(String(answer));
        throw new Error("time is up");
      },
    });
  for (const name of ["version", "uptime", "constructor"]) ask(name);
  await Promise.resolve();
  expect(answers).toEqual(["1.2.3"]);
  expect(notices.map(({ facts }) => facts["answered"])).toEqual([true, false, false]);
});

test("a watcher sees what comes in order, and how much came too fast", async () => {
  const { talk } = makeTalk();
  const watch = talk.watch();
  if (watch === null) throw new Error("nobody else watches");
  for (let each = 0; each < UNSHOWN_MAX + 3; each++) talk.event(event(`e${each}`));
  const seen: string[] = [];
  const caller = new Caller("ann");
  const watching = tellHeard(caller, "n1", watch, {
    write: (news) => {
      seen.push(news.kind === "missed" ? `missed ${news.missed}` : news.name);
      if (news.kind === "missed") talk.event(event("later"));
      if (seen.at(-1) === "later") caller.leave();
      return null;
    },
  });
  expect(await watching).toBeNull();
  expect(seen.slice(0, 3)).toEqual(["n1", "e0", "e1"]);
  expect(seen.slice(-2)).toEqual(["missed 3", "later"]);
  expect(seen).toHaveLength(1 + UNSHOWN_MAX + 2);
});

test("so many watch at once, until one leaves, and all ends when the node stops", async () => {
  const { talk } = makeTalk();
  const nowhere = { write: () => null };
  const callers = Array.from({ length: WATCHERS_MAX }, () => new Caller("ann"));
  const watches = callers.map((caller) => tellHeard(caller, "n1", talk.watch(), nowhere));
  const refused = await tellHeard(new Caller("ann"), "n1", talk.watch(), nowhere);
  expect(refused).toMatchObject({ code: "overloaded", what: "watchers" });
  callers[0]?.leave();
  expect(await watches[0]).toBeNull();
  const next = talk.watch();
  expect(next).not.toBeNull();
  talk.close();
  expect(await Promise.all(watches)).toEqual(watches.map(() => null));
});

const requestId = 1 as GossipRequestId;
const from = "n2" as NodeId;

test("a query is told from its begin to its sums", async () => {
  const running = new RunningQuery();
  const seen: unknown[] = [];
  const sink = {
    write: (news: unknown) => {
      seen.push(news);
      return null;
    },
  };
  running.asked(millis(1500));
  const told = tellQuery(new Caller("root"), running, sink);
  running.heard({ kind: "query-ack", requestId, from });
  await Promise.resolve();
  running.heard({ kind: "query-answer", requestId, from, payload: freeze(payload) });
  running.heard({ kind: "query-ended", requestId, tally: { acks: 1, answers: 1, duplicates: 2 } });
  await told;
  expect(seen).toEqual([
    { kind: "begun", timeoutMs: 1500 },
    { kind: "ack", from: "n2" },
    { kind: "answer", from: "n2", payload },
    { kind: "ended", acks: 1, answers: 1, duplicates: 2, unread: 0 },
  ]);
});

test("a query whose asker is gone is told no further", async () => {
  const running = new RunningQuery();
  const caller = new Caller("root");
  const kinds: string[] = [];
  const told = tellQuery(caller, running, {
    write: ({ kind }) => {
      kinds.push(kind);
      return null;
    },
  });
  await Promise.resolve();
  running.heard({ kind: "query-ack", requestId, from });
  caller.leave();
  await told;
  expect(kinds).not.toContain("ack");
});

test("replies that nobody reads are counted, and not kept without bound", async () => {
  const running = new RunningQuery();
  const bytes = freeze(new Uint8Array(60_000));
  for (let each = 0; each < 100; each++) {
    running.heard({ kind: "query-answer", requestId, from, payload: bytes });
  }
  running.close({ acks: 0, answers: 100, duplicates: 0 });
  let kept = 0;
  for await (const reply of running) if (reply.kind === "answer") kept += 1;
  expect(kept).toBe(Math.floor((4 << 20) / 60_000));
  const summary: QuerySummary = await running.ended;
  expect(summary).toEqual({ acks: 0, answers: 100, duplicates: 0, unread: 100 - kept });
});
