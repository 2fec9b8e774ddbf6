// The screen of `cairn top`, drawn from figures: it fits, and it says what matters.

import { describe, expect, test } from "vitest";

import { drawTop, sparkline, type TopMember } from "../../src/cli/top-view.ts";

const member = (name: string, rest: Partial<TopMember> = {}): TopMember => ({
  name,
  address: `${name}:8400`,
  state: "serving",
  answers: true,
  role: "follower",
  term: 7,
  startOffset: 100,
  endOffset: 1_234_567,
  unsynced: 0,
  recordsPerSecond: 8_000,
  ms: 12,
  ...rest,
});

const draw = (members: readonly TopMember[], stream = {}) =>
  drawTop({ members, history: [0, 4_000, 8_000], at: new Date(2026, 0, 2, 3, 4, 5) }, stream);

describe("the screen", () => {
  test("says who leads, how far the log goes, and how each member stands", () => {
    const behind = member("n3", { endOffset: 1_234_000, unsynced: 12 });
    expect(draw([behind, member("n1", { role: "leader" }), member("n2")])).toEqual([
      "cairn top  03:04:05  3 members, n1 leads term 7",
      "log        100 .. 1,234,567",
      "records/s      8,000  ▁▅█",
      "",
      "member          role  term         end  behind unsynced    rec/s  answer",
      "n1            leader     7   1,234,567       0        0    8,000   12 ms",
      "n2          follower     7   1,234,567       0        0    8,000   12 ms",
      "n3          follower     7   1,234,000     567       12    8,000   12 ms",
      "",
      "q quits",
    ]);
  });

  test("says who does not answer, and that nobody leads", () => {
    const silent = member("n2", { answers: false, state: "does not answer", role: "leader" });
    const lines = draw([member("n1"), silent, member("n3", { state: "opening" })]);
    expect(lines[0]).toBe("cairn top  03:04:05  3 members, 2 answer, nobody leads");
    expect(lines[6]).toBe("n2         does not answer");
    expect(lines[7]).toMatch(/^n3 +opening +7 /);
  });

  test("of two who say that they lead names the one of the later term", () => {
    const old = member("n1", { role: "leader", term: 6 });
    expect(draw([old, member("n2", { role: "leader" })])[0]).toContain("n2 leads term 7");
  });

  test.each([60, 80, 200])(
    "is no wider than %d columns, and no higher than its rows",
    (columns) => {
      const names = Array.from({ length: 50 }, (_, at) => `a-rather-long-name-${at}`);
      const members = names.map((name) => member(name, { endOffset: 987_654_321 }));
      const long = { members, history: Array.from({ length: 300 }, (_, at) => at), at: new Date() };
      const lines = drawTop(long, { columns, rows: 20 });
      expect(lines.length).toBeLessThanOrEqual(20);
      for (const line of lines) expect(line.length, line).toBeLessThanOrEqual(columns);
    },
  );
});

test("a line of bars has its highest sample full, and an idle log no bar", () => {
  expect(sparkline([0, 5, 10], 10)).toBe("▁▅█");
  expect(sparkline([0, 0], 10)).toBe("▁▁");
  expect(sparkline([1, 2, 3, 4], 2)).toBe("▇█");
});
