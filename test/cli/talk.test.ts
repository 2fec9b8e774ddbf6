// What `cairn event`, `cairn query` and `cairn reachability` print: whatever members say, no
// terminal is commanded by it, and whoever is missing is named with a hint.
import { expect, test } from "vitest";

import { jsonOf as heardJson, lineOf as heardLine } from "../../src/cli/event.ts";
import { jsonOf as newsJson, lineOf as newsLine } from "../../src/cli/query.ts";
import { compare, describeReachability } from "../../src/cli/reachability.ts";
import { NO_QUERY_NEWS, NOTHING_HEARD } from "../../src/proto/cairn-talk.ts";

const bytes = (text: string) => new TextEncoder().encode(text);
const EVIL = "\u001b[2J\u009b1m\u007f\n";

test("what is heard is a line each, with nothing in it that a terminal obeys", () => {
  const event = { ...NOTHING_HEARD, kind: "event", name: `a${EVIL}`, time: 3 };
  expect(heardLine({ ...event, payload: bytes(`ä${EVIL}`) })).toBe(
    "event t3: a\\x1b[2J\\x9b1m\\x7f\\x0a: ä\\x1b[2J\\x9b1m\\x7f\\x0a",
  );
  const binary = { ...event, name: "b", payload: Uint8Array.of(0xff, 0xfe), coalesced: true };
  expect(heardLine(binary)).toBe("event t3, coalesced: b: base64 //4=");
  expect(heardLine({ ...NOTHING_HEARD, kind: "query", name: "q" })).toBe("query of nobody: q");
  const missed = { ...NOTHING_HEARD, kind: "missed", missed: 4 };
  expect(heardLine(missed)).toBe("4 more came too fast to be shown");
  expect([heardLine(NOTHING_HEARD), heardJson(NOTHING_HEARD)]).toEqual([null, null]);
  expect(JSON.parse(heardJson(binary) ?? "")).toMatchObject({
    kind: "event",
    name: "b",
    payloadBase64: "//4=",
    time: 3,
    coalesced: true,
  });
});

test("what comes of a query is a line each, and the sums", () => {
  expect(newsLine({ ...NO_QUERY_NEWS, kind: "begun", timeoutMs: 3200 })).toBe(
    "asked; replies are waited for 3.2 s",
  );
  expect(newsLine({ ...NO_QUERY_NEWS, kind: "ack", from: `n1${EVIL}` })).toBe(
    "ack of n1\\x1b[2J\\x9b1m\\x7f\\x0a",
  );
  const answer = { ...NO_QUERY_NEWS, kind: "answer", from: "n1", payload: bytes("3 days") };
  expect(newsLine(answer)).toBe("answer of n1: 3 days");
  expect(newsJson(answer)).toBe('{"kind":"answer","from":"n1","payload":"3 days"}');
  const ended = { ...NO_QUERY_NEWS, kind: "ended", acks: 1, answers: 2 };
  expect(newsLine(ended)).toBe("1 ack, 2 answers");
  expect(newsLine({ ...ended, duplicates: 1 })).toBe("1 ack, 2 answers, 1 duplicate");
  expect([newsLine(NO_QUERY_NEWS), newsJson(NO_QUERY_NEWS)]).toEqual([null, null]);
});

test("whose ack is missing, or comes from nowhere, or twice, is told with a hint", () => {
  const names = ["n2", "n1", "n3"];
  expect(describeReachability(compare(names, names, 0))).toEqual([
    "3 acks of 3 members alive",
    "all members are reached",
  ]);
  const lines = describeReachability(compare(names, ["n1", "n2", "n4"], 1));
  expect(lines[0]).toBe("3 acks of 3 members alive");
  expect(lines[1]).toMatch(/^n3 did not ack: .*ask again; else, is UDP open/);
  expect(lines[2]).toMatch(/^n4 acked, and is not listed as alive/);
  expect(lines[3]).toBe("1 ack too many: do two members bear one name?");
  expect(lines).toHaveLength(4);
});
