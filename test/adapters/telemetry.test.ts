// Notices as log lines, and how often a knocking stranger is told about.

import { pino } from "pino";
import { describe, expect, test } from "vitest";

import { Refusals } from "../../src/adapters/refusals.ts";
import { PinoTelemetry } from "../../src/adapters/telemetry-pino.ts";
import type { Notice } from "../../src/base/notice.ts";

describe("telemetry through pino", () => {
  const linesOf = (...notices: Notice[]): Record<string, unknown>[] => {
    const lines: Record<string, unknown>[] = [];
    const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
    const telemetry = new PinoTelemetry(pino({ level: "info" }, destination).child({ node: "a" }));
    for (const notice of notices) telemetry.notice(notice);
    return lines;
  };

  test("writes one line a notice, with its facts", () => {
    const facts = { term: 3, leader: null, clean: true };
    const lines = linesOf({ level: "warn", what: "leader-lost", facts });
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatchObject({ level: 40, node: "a", msg: "leader-lost", ...facts });
  });

  test("is silent below the logger's level", () => {
    expect(linesOf({ level: "debug", what: "tick", facts: {} })).toEqual([]);
  });

  test("keeps a fact apart from pino's own key of that name", () => {
    const lines = linesOf({ level: "info", what: "odd", facts: { level: "x", time: 1 } });
    expect(lines[0]).toMatchObject({ level: 30, level_: "x", time_: 1, msg: "odd" });
  });
});

describe("refusals", () => {
  test("are told once a second for each reason, with the count of the others", () => {
    let nowMs = 10;
    const told: Notice[] = [];
    const refusals = new Refusals({ notice: (notice) => void told.push(notice) }, () => nowMs);
    for (let knock = 0; knock < 50; knock++) refusals.tell("stranger", { remote: `r${knock}` });
    refusals.tell("another", { remote: "s" });
    nowMs += 1001;
    refusals.tell("stranger", { remote: "late" });
    expect(told.map(({ what, facts }) => [what, facts])).toEqual([
      ["stranger", { remote: "r0", untold: 0 }],
      ["another", { remote: "s", untold: 0 }],
      ["stranger", { remote: "late", untold: 49 }],
    ]);
  });
});
