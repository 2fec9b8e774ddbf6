// What only a real event loop can show: an alarm lets the sockets be heard first.

import { connect, createServer, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { OsClock } from "../../src/adapters/os-clock.ts";
import type { Instant } from "../../src/base/ids.ts";
import { until } from "./peer-end.ts";

describe("the clock of a paused process", () => {
  let server: Server;
  let clock: OsClock;
  let heard: string[];
  /**
   * Two connections within this process; what is written to the near end is read at the far one.
   */
  const near: Socket[] = [];
  const far: Socket[] = [];

  beforeEach(async () => {
    heard = [];
    clock = new OsClock();
    clock.attach({ alarm: () => void heard.push("alarm") });
    server = createServer((socket) => void far.push(socket));
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const { port } = server.address() as { port: number };
    for (const name of ["first", "second"]) {
      near.push(connect({ port, host: "127.0.0.1" }));
      await until(() => far.length === near.length);
      far.at(-1)?.on("data", () => void heard.push(name));
    }
  });
  afterEach(() => {
    for (const socket of [...near.splice(0), ...far.splice(0)]) socket.destroy();
    server.close();
    clock.close();
  });

  const inMillis = (ms: number): Instant => (clock.now() + ms * 1000) as Instant;
  /** Stops the event loop, as a pause of the process does. */
  const pauseUntil = (at: Instant): void => {
    while (clock.now() < at);
  };

  test("hears a message that came during the pause before its alarm", async () => {
    clock.wakeAt(inMillis(3));
    near[0]?.write("x");
    pauseUntil(inMillis(8));
    await until(() => heard.includes("alarm"));
    expect(heard).toEqual(["first", "alarm"]);
  });

  test("hears it before an alarm that was asked for when already due", async () => {
    far[0]?.on("data", () => {
      // Inside the poll phase: what comes now is found by the next poll only.
      near[1]?.write("x");
      clock.wakeAt(inMillis(-5));
    });
    near[0]?.write("x");
    await until(() => heard.includes("alarm"));
    expect(heard).toEqual(["first", "second", "alarm"]);
  });

  test("hears it before a wake-up that would let an overdue alarm through", async () => {
    far[0]?.on("data", () => {
      clock.wakeAt(inMillis(1));
      clock.wakeSoon();
      near[1]?.write("x");
      pauseUntil(inMillis(3));
    });
    near[0]?.write("x");
    await until(() => heard.includes("alarm"));
    expect(heard).toEqual(["first", "second", "alarm"]);
  });

  test("rings no more once closed", async () => {
    clock.wakeAt(inMillis(1));
    clock.wakeSoon();
    clock.close();
    clock.wakeSoon();
    clock.wakeAt(inMillis(1));
    const end = inMillis(5);
    await until(() => clock.now() > end);
    expect(heard).toEqual([]);
  });
});
