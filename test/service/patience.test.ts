// How long the end of the log is sought: as long as the caller waits, else as long as the service
// does. Time is the test's; the node in memory never answers.

import { expect, test } from "vitest";
import { GZIP_PACKING } from "../../src/adapters/gzip-packing.ts";
import { type Instant, type Micros, millis, type WallMs } from "../../src/base/ids.ts";
import { Caller } from "../../src/service/caller.ts";
import { DEFAULT_LOG_SERVICE_OPTIONS, LogService } from "../../src/service/log-service.ts";
import { MemoryCluster, MemoryNode } from "./memory-node.ts";

/** Asks for the end of the log with so much patience; `pass` moves the clock. */
function ask(patience: Micros | null) {
  let now = 0;
  const clock = { now: () => now as Instant, wall: () => 0 as WallMs };
  const authorizer = { allows: () => true };
  const telemetry = { notice: () => undefined };
  const ports = { authorizer, clock, packing: GZIP_PACKING, telemetry };
  const service = new LogService(DEFAULT_LOG_SERVICE_OPTIONS, ports);
  const node = new MemoryNode(new MemoryCluster(), "n1", service);
  node.mishaps.push("lose-request");
  service.attach(node);
  const answer = service.checkTail(new Caller("root", undefined, patience));
  const pass = (to: number) => {
    now = to;
    service.expire();
  };
  return { service, answer, pass, asked: node.offered.at(-1) };
}

test.each([
  ["sooner than the service would", millis(200), millis(200)],
  ["later than the service would", millis(30_000), millis(30_000)],
  ["when the service does, who says nothing", null, millis(10_000)],
  ["after ten minutes, who would wait for days", millis(1e9), millis(600_000)],
])("a caller is refused at its own deadline: %s", async (_, patience, within) => {
  const { service, answer, pass, asked } = ask(patience);
  expect(asked).toMatchObject({ kind: "check-tail", within });
  pass(within - 1);
  expect(service.inFlight).toBe(1);
  pass(within);
  expect(await answer).toMatchObject({ kind: "fault", fault: { code: "deadline-exceeded" } });
});
