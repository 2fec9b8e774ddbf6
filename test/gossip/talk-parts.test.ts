// The parts of user events and queries, each by itself: what was heard lately, windows that
// coalesce, filters, and what answers may take.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { freeze } from "../../src/base/bytes.ts";
import { type Instant, millis, NEVER } from "../../src/base/ids.ts";
import { COALESCED_MAX, Coalescing } from "../../src/gossip/coalescing.ts";
import type { QueryFilter, UserEvent } from "../../src/gossip/messages.ts";
import { FILTERS_MAX, matchFilters } from "../../src/gossip/query-filters.ts";
import { encodeFilter } from "../../src/gossip/query-payloads.ts";
import {
  RECENT_BYTES_MAX,
  RECENT_PER_TIME_MAX,
  RECENT_TIMES,
  Recent,
} from "../../src/gossip/recent.ts";
import { ANSWER_BYTES_PER_SECOND, AnswerAllowance } from "../../src/gossip/reply-budget.ts";
import { id } from "./fleet.ts";
import { time } from "./subject.ts";

const at = (ms: number) => millis(ms) as number as Instant;

describe("what was heard lately", () => {
  const makeRecent = () => {
    return new Recent<string>(
      (a, b) => a === b,
      (item) => item.length,
    );
  };
  test("is news once at each time, for 512 times", () => {
    const recent = makeRecent();
    expect(recent.add(6, time(5), "a")).toBe("news");
    expect(recent.add(6, time(5), "a")).toBe("seen");
    expect(recent.add(6, time(5), "b")).toBe("news");
    expect(recent.add(6, time(4), "a")).toBe("news");
    expect(recent.add(5 + RECENT_TIMES, time(5), "a")).toBe("seen");
    expect(recent.add(6 + RECENT_TIMES, time(5), "a")).toBe("too-old");
    expect(recent.add(6 + RECENT_TIMES, time(5 + RECENT_TIMES), "a")).toBe("news");
    expect(recent.slots).toEqual([
      { time: 4, items: ["a"] },
      { time: 5 + RECENT_TIMES, items: ["a"] },
    ]);
  });

  test("is bounded in what there is of one time", () => {
    const recent = makeRecent();
    for (let each = 0; each < RECENT_PER_TIME_MAX; each++) {
      expect(recent.add(2, time(1), `${each}`)).toBe("news");
    }
    expect(recent.add(2, time(1), "more")).toBe("queue-full");
  });

  test("is never of more bytes than its bound, and what was forgotten is no news again", () => {
    const move = fc.tuple(fc.integer({ min: 1, max: 700 }), fc.integer({ min: 1, max: 90 }));
    fc.assert(
      fc.property(fc.array(move, { maxLength: 80 }), (moves) => {
        const recent = makeRecent();
        const news = new Set<string>();
        let clock = 1;
        for (const [then, kilobytes] of moves) {
          clock = Math.max(clock, then + 1);
          const item = `${kilobytes}`.padEnd(kilobytes * 1024);
          const sight = recent.add(clock, time(then), item);
          const key = `${then}/${kilobytes}`;
          if (sight === "news") expect(news.has(key)).toBe(false);
          if (sight === "news") news.add(key);
          const bytes = recent.slots.flatMap(({ items }) => items).join("").length;
          expect(bytes).toBeLessThanOrEqual(RECENT_BYTES_MAX);
        }
      }),
      { numRuns: 60 },
    );
  });
});

describe("a window that coalesces", () => {
  const event = (name: string, then: number, mark = 0): UserEvent => ({
    kind: "user-event",
    time: time(then),
    name,
    payload: freeze(Uint8Array.of(mark)),
    coalesce: true,
  });
  const open = () => {
    const told: string[] = [];
    const window = new Coalescing(millis(3000), millis(1000), ({ name, time: then, payload }) => {
      told.push(`${name} t${then} ${payload[0]}`);
    });
    return { told, window };
  };
  test("ends when nothing came for a second, and tells the last of each name", () => {
    const { told, window } = open();
    expect(window.deadline).toBe(NEVER);
    window.add(at(0), event("deploy", 1));
    window.add(at(100), event("deploy", 3));
    window.add(at(200), event("deploy", 2));
    window.add(at(300), event("restart", 4));
    expect(window.deadline).toBe(at(1300));
    window.timePassed(at(1299));
    expect(told).toEqual([]);
    window.timePassed(at(1300));
    expect(told).toEqual(["deploy t3 0", "restart t4 0"]);
    expect(window.deadline).toBe(NEVER);
  });

  test("ends three seconds after its first event, however many come", () => {
    const { told, window } = open();
    for (let each = 0; each <= 29; each++) {
      window.add(at(100 * each), event("deploy", each + 1));
      expect(window.deadline).toBe(at(Math.min(3000, 100 * each + 1000)));
    }
    window.timePassed(at(3000));
    expect(told).toEqual(["deploy t30 0"]);
  });

  test("tells all of one name and one time", () => {
    const { told, window } = open();
    window.add(at(0), event("deploy", 5, 1));
    window.add(at(0), event("deploy", 5, 2));
    window.flush();
    expect(told).toEqual(["deploy t5 1", "deploy t5 2"]);
  });

  test("holds so many at most, and then ends", () => {
    const { told, window } = open();
    for (let each = 0; each < COALESCED_MAX; each++) window.add(at(0), event(`n${each}`, 1));
    expect(told).toHaveLength(0);
    for (let each = 0; each < 5000; each++) window.add(at(0), event("n0", each + 2));
    expect(told).toHaveLength(COALESCED_MAX);
    window.flush();
    expect(told).toHaveLength(COALESCED_MAX + 1);
  });
});

describe("filters", () => {
  const tags = new Map([
    ["role", "web"],
    ["zone", "z1"],
  ]);
  const match = (...filters: readonly QueryFilter[]) =>
    matchFilters(filters.map(encodeFilter), id("n1"), tags);
  const nodes = (...names: readonly string[]): QueryFilter => ({
    kind: "nodes",
    nodes: names.map(id),
  });
  const tag = (name: string, expression: string): QueryFilter => ({
    kind: "tag",
    tag: name,
    expression,
  });
  test("match when all of them do", () => {
    expect(match()).toBe("matches");
    expect(match(nodes("n2", "n1"))).toBe("matches");
    expect(match(nodes("n2"))).toBe("differs");
    expect(match(nodes())).toBe("differs");
    expect(match(tag("role", "w.*"), tag("zone", "^z\\d$"))).toBe("matches");
    expect(match(tag("role", "w.*"), tag("zone", "^z2$"))).toBe("differs");
    expect(match(nodes("n1"), tag("role", "db"))).toBe("differs");
  });

  test("take a tag that is not there for an empty one", () => {
    expect(match(tag("none", "^$"))).toBe("matches");
    expect(match(tag("none", "."))).toBe("differs");
  });

  test("that nobody can read match nobody", () => {
    expect(match(tag("role", "("))).toBe("unreadable");
    expect(matchFilters([freeze(Uint8Array.of(9, 0x90))], id("n1"), tags)).toBe("unreadable");
    expect(matchFilters([freeze(new Uint8Array(0))], id("n1"), tags)).toBe("unreadable");
    const many = Array.from({ length: FILTERS_MAX + 1 }, () => nodes("n1"));
    expect(match(...many)).toBe("unreadable");
    expect(match(...many.slice(1))).toBe("matches");
  });

  test("that are any bytes never throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), fc.constantFrom(0, 1), (bytes, kind) => {
        const filter = freeze(Uint8Array.of(kind, ...bytes));
        expect(["matches", "differs", "unreadable"]).toContain(
          matchFilters([filter], id("n1"), tags),
        );
      }),
    );
  });
});

test("the allowance for long answers is so much at once, and grows by so much a second", () => {
  const allowance = new AnswerAllowance(at(0));
  expect(allowance.maybeSpend(at(0), ANSWER_BYTES_PER_SECOND + 1)).toBe(false);
  expect(allowance.maybeSpend(at(0), ANSWER_BYTES_PER_SECOND)).toBe(true);
  expect(allowance.maybeSpend(at(0), 1)).toBe(false);
  expect(allowance.maybeSpend(at(500), ANSWER_BYTES_PER_SECOND / 2 + 1)).toBe(false);
  expect(allowance.maybeSpend(at(500), ANSWER_BYTES_PER_SECOND / 2)).toBe(true);
  // Steps that are shorter than a byte takes are not lost.
  let now = at(500);
  for (let step = 0; step < 100; step++) {
    now = (now + 10) as Instant;
    allowance.maybeSpend(now, ANSWER_BYTES_PER_SECOND);
  }
  expect(allowance.maybeSpend(now, 32)).toBe(true);
  expect(allowance.maybeSpend(now, 1)).toBe(false);
  expect(allowance.maybeSpend(at(60_000), ANSWER_BYTES_PER_SECOND)).toBe(true);
  expect(allowance.maybeSpend(at(60_000), 1)).toBe(false);
});
