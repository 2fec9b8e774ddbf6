// Fetches by log time: the log is searched once, and what is committed later is read on from there.

import { expect, test } from "vitest";
import type { Entry } from "../../src/base/entry.ts";
import type { LogIndex, Offset, RequestId, WallMs } from "../../src/base/ids.ts";
import { Fetches } from "../../src/node/fetches.ts";

const requestId = 7 as RequestId;
const readable = (endOffset: number, startOffset = 0) => ({
  commitIndex: 100 as LogIndex,
  startOffset: startOffset as Offset,
  endOffset: endOffset as Offset,
});
const entry = (offset: number, count: number, timestamp: number) =>
  ({ kind: count === 0 ? "noop" : "records", offset, count, timestamp }) as unknown as Entry;
const entries = (...list: Entry[]) => ({
  kind: "entries" as const,
  readId: requestId as number,
  entries: list,
});
const fetch = (notBefore: number, wait: boolean) => ({
  requestId,
  from: 0 as Offset,
  notBefore: notBefore as WallMs,
  bytesMax: 1000,
  wait,
});

test("a fetch by time searches the log and is given what is late enough", () => {
  const fetches = new Fetches(10);
  fetches.request(fetch(50, false), readable(9));
  expect(fetches.takeReads()).toMatchObject([{ from: { kind: "timestamp", at: 50 } }]);
  fetches.maybeFinish(entries(entry(4, 2, 60), entry(6, 3, 60)), readable(9));
  const [answer] = fetches.takeAnswers();
  expect(answer).toMatchObject({ kind: "fetched", entries: [{ offset: 4 }, { offset: 6 }] });
});

test("a fetch by time passes over controls, and over what is trimmed", () => {
  const fetches = new Fetches(10);
  fetches.request(fetch(50, false), readable(9, 6));
  fetches.takeReads();
  fetches.maybeFinish(entries(entry(4, 0, 55), entry(4, 1, 60)), readable(9, 6));
  expect(fetches.takeReads()).toMatchObject([{ from: { kind: "offset", offset: 6 } }]);
  fetches.maybeFinish(entries(entry(6, 3, 60)), readable(9, 6));
  expect(fetches.takeAnswers()).toMatchObject([{ entries: [{ offset: 6 }] }]);
});

test("a fetch by time that finds nothing is at the end, or waits there and reads on", () => {
  const fetches = new Fetches(10);
  fetches.request(fetch(50, false), readable(9));
  fetches.takeReads();
  fetches.maybeFinish(entries(), readable(9));
  const fault = { code: "offset-out-of-range", offset: 9, endOffset: 9 };
  expect(fetches.takeAnswers()).toMatchObject([{ kind: "fault", fault }]);
  fetches.request(fetch(50, true), readable(9));
  fetches.takeReads();
  fetches.maybeFinish(entries(), readable(9));
  expect(fetches.takeAnswers()).toEqual([]);
  fetches.advanced(readable(10));
  expect(fetches.takeReads()).toMatchObject([{ from: { kind: "offset", offset: 9 } }]);
  fetches.maybeFinish(entries(entry(9, 1, 40)), readable(10));
  expect(fetches.takeAnswers()).toEqual([]);
  fetches.advanced(readable(11));
  expect(fetches.takeReads()).toMatchObject([{ from: { kind: "offset", offset: 10 } }]);
  fetches.maybeFinish(entries(entry(10, 1, 50)), readable(11));
  expect(fetches.takeAnswers()).toMatchObject([{ entries: [{ offset: 10 }] }]);
});

test("what was committed while the log was searched is looked at, too", () => {
  const fetches = new Fetches(10);
  fetches.request(fetch(50, false), readable(9));
  fetches.takeReads();
  fetches.maybeFinish(entries(), readable(12));
  expect(fetches.takeReads()).toMatchObject([{ from: { kind: "offset", offset: 9 } }]);
});
