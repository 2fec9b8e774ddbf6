// Flows of disk operations: when they go on, and when a failure ends them.

import { expect, test } from "vitest";

import type { OpId, Position } from "../../src/base/ids.ts";
import { type Flow, FlowRunner, perform } from "../../src/log/flow.ts";

const [write, sync] = [1 as OpId, 2 as OpId];

function start() {
  const runner = new FlowRunner();
  const ends: string[] = [];
  const parts = [new Uint8Array(8)];
  function* flow(): Flow<void> {
    yield* perform(
      { kind: "write-at", file: "f", position: 0 as Position, parts },
      { kind: "sync", file: "f" },
    );
    ends.push("done");
  }
  runner.start(flow(), ({ fault }) => ends.push(fault.code));
  return { runner, ends };
}

test("a flow goes on when the last operation of its batch is done", () => {
  const { runner, ends } = start();
  expect(runner.take().map(({ opId }) => opId)).toEqual([write, sync]);
  runner.done(write, { kind: "done" });
  expect(ends).toEqual([]);
  runner.done(sync, { kind: "done" });
  expect(ends).toEqual(["done"]);
});

test("a failure ends a flow at once, although another operation may never complete", () => {
  const { runner, ends } = start();
  runner.done(write, { kind: "failed", code: "EIO", message: "refused" });
  expect(ends).toEqual(["disk-failed"]);
  expect(runner.busy).toBe(true);
});

test("what completes after its flow has failed changes nothing", () => {
  const { runner, ends } = start();
  runner.done(write, { kind: "failed", code: "EIO", message: "refused" });
  runner.done(sync, { kind: "failed", code: "EIO", message: "refused" });
  expect(ends).toEqual(["disk-failed"]);
  expect(runner.busy).toBe(false);
});
