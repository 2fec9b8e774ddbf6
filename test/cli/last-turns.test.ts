// What a node that dies of a bug says of its last turns.

import { expect, test } from "vitest";
import { LastTurns } from "../../src/cli/agent-log.ts";
import type { NodeEvent, NodeOutput } from "../../src/node/protocol.ts";

const START: NodeEvent = { kind: "start" };
const RING: NodeEvent = { kind: "deadline" };

const QUIET: NodeOutput = {
  operations: [],
  dials: [],
  sends: [],
  closes: [],
  answers: [],
  notices: [],
  stopped: null,
};

test("the last turns tell what each heard and decided, and the one that did not end", () => {
  const turns = new LastTurns();
  turns.turnBegins(1, [START, RING]);
  turns.turnEnds(false, { ...QUIET, closes: [{ link: 1 as never, why: "" }] });
  turns.turnBegins(2, []);
  turns.turnEnds(true, null);
  turns.turnBegins(3, [START]);
  expect(turns.take()).toEqual([
    "1: start deadline -> 1 close",
    "2:  deadline -> nothing",
    "3: start -> ?",
  ]);
});

test("the last turns are the last ones, oldest first", () => {
  const turns = new LastTurns();
  for (let now = 1; now <= 100; now++) {
    turns.turnBegins(now, []);
    turns.turnEnds(false, QUIET);
  }
  const told = turns.take();
  expect(told.length).toBe(32);
  expect([told[0], told.at(-1)]).toEqual(["69:  -> nothing", "100:  -> nothing"]);
});
