// Rules of a plan about single frames: which ones they mean, how many, and when.

import { describe, expect, test } from "vitest";

import { FrameRules, type PlannedRule } from "../../sim/frame-rules.ts";
import { planOf } from "../../sim/plan.ts";
import { concat, type FrozenBytes, freeze } from "../../src/base/bytes.ts";
import type { Instant, LogIndex, NodeId, Term } from "../../src/base/ids.ts";
import { encodeRaft } from "../../src/node/raft-wire.ts";
import { RouteBytes } from "../../src/node/wire-head.ts";
import type { RaftMessage } from "../../src/raft/protocol.ts";

const A = "a" as NodeId;
const B = "b" as NodeId;
const C = "c" as NodeId;
const route = new RouteBytes({ clusterId: "00".repeat(16), from: A, to: B });

const frameOf = (message: RaftMessage): FrozenBytes => freeze(concat(encodeRaft(route, message)));

const term = 3 as Term;
const lastTerm = 2 as Term;
const lastIndex = 9 as LogIndex;
const ask = { kind: "vote-request", term, lastIndex, lastTerm, transfer: false } as const;
const FRAMES = {
  "vote-request": frameOf({ ...ask, preVote: false }),
  "pre-vote-request": frameOf({ ...ask, preVote: true }),
  "vote-reply": frameOf({ kind: "vote-reply", term, granted: true, preVote: false }),
  "pre-vote-reply": frameOf({ kind: "vote-reply", term, granted: true, preVote: true }),
  heartbeat: frameOf({
    kind: "append-request",
    term,
    prevIndex: lastIndex,
    prevTerm: lastTerm,
    commitIndex: lastIndex,
    round: 1,
    entries: [],
  }),
  "append-reply": frameOf({
    kind: "append-reply",
    term,
    round: 1,
    matchIndex: lastIndex,
    conflict: null,
  }),
} as const;
const KINDS = Object.keys(FRAMES) as (keyof typeof FRAMES)[];

function plannedRule(draft: object): PlannedRule {
  const rule = { kind: "rule", verdict: "drop", atMs: 0, forMs: 1000, ...draft };
  const base = { format: 1, seed: "rules", nodes: 3, operations: [], healAtMs: 0 };
  return planOf({ ...base, mishaps: [rule] }).mishaps[0] as PlannedRule;
}

/** Rules with one in force between everybody. */
function rulesWith(draft: object): FrameRules {
  const rules = new FrameRules();
  rules.begin(plannedRule(draft), null, null, 0 as Instant);
  return rules;
}

const at = (ms: number) => (ms * 1000) as Instant;
const fate = (rules: FrameRules, frame: FrozenBytes, ms = 0, from = A, to = B) =>
  rules.decide(at(ms), from, to, frame)?.kind ?? "chance";

describe("a rule", () => {
  test.each(KINDS)("for %s frames is about no other kind", (message) => {
    const rules = rulesWith({ message });
    for (const kind of KINDS)
      expect([kind, fate(rules, FRAMES[kind])]).toEqual([
        kind,
        kind === message ? "drop" : "chance",
      ]);
  });

  test("for any frame is about what no node can read, too", () => {
    expect(fate(rulesWith({}), freeze(new Uint8Array([1, 2, 3])))).toBe("drop");
    expect(fate(rulesWith({ message: "hello" }), freeze(new Uint8Array(3)))).toBe("chance");
  });

  test("is about the nodes that it names, in that direction", () => {
    const rules = new FrameRules();
    rules.begin(plannedRule({ from: [0], to: [1] }), [A], [B], at(0));
    const frame = FRAMES.heartbeat;
    const fates = [fate(rules, frame), fate(rules, frame, 0, B, A), fate(rules, frame, 0, A, C)];
    expect(fates).toEqual(["drop", "chance", "chance"]);
  });

  test("lets the first frames by, decides about as many as it may, and is used up then", () => {
    const rules = rulesWith({ skip: 2, count: 3 });
    const fates = Array.from({ length: 7 }, () => fate(rules, FRAMES.heartbeat));
    const chance = "chance";
    expect(fates).toEqual([chance, chance, "drop", "drop", "drop", chance, chance]);
  });

  test("says after how long a frame arrives", () => {
    const rules = rulesWith({ verdict: "deliver-after", afterMs: 250 });
    const verdict = rules.decide(at(0), A, B, FRAMES.heartbeat);
    expect(verdict).toEqual({ kind: "deliver-after", micros: 250_000 });
  });

  test("comes and goes by its two dwell times", () => {
    const rules = rulesWith({ faultMs: 100, healthMs: 50 });
    const fates = [0, 99, 100, 149, 150, 249, 250].map((ms) => fate(rules, FRAMES.heartbeat, ms));
    const [drop, chance] = ["drop", "chance"];
    expect(fates).toEqual([drop, drop, chance, chance, drop, drop, chance]);
  });

  test("that began first decides, so that one may be an exception to the next", () => {
    const rules = new FrameRules();
    const pass = plannedRule({ verdict: "pass", message: "heartbeat" });
    const end = rules.begin(pass, null, null, at(0));
    rules.begin(plannedRule({}), null, null, at(0));
    expect(fate(rules, FRAMES.heartbeat)).toBe("pass");
    expect(fate(rules, FRAMES["append-reply"])).toBe("drop");
    end();
    expect(fate(rules, FRAMES.heartbeat)).toBe("drop");
  });
});
