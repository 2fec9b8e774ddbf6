// Members that leave at an operator's word: who is asked, and what the operator is told.

import { expect, test } from "vitest";

import { GZIP_PACKING } from "../../src/adapters/gzip-packing.ts";
import type { Fault } from "../../src/base/faults.ts";
import type { Instant, RequestId, WallMs } from "../../src/base/ids.ts";
import { AdminRequests } from "../../src/service/admin-requests.ts";
import { Caller } from "../../src/service/caller.ts";
import { DEFAULT_LOG_SERVICE_OPTIONS, LogService } from "../../src/service/log-service.ts";
import { MemoryCluster, MemoryNode } from "./memory-node.ts";

const cancelled: Fault = { code: "cancelled" };

/** The operators' part of a service in front of n1, where root alone may administrate. */
function operators(): AdminRequests {
  const denied: Fault = { code: "permission-denied", subject: "", action: "admin", object: "*" };
  const clock = { now: () => 0 as Instant, wall: () => 0 as WallMs };
  const authorizer = { allows: () => true };
  const telemetry = { notice: () => undefined };
  const ports = { authorizer, clock, packing: GZIP_PACKING, telemetry };
  const node = new MemoryNode(
    new MemoryCluster(),
    "n1",
    new LogService(DEFAULT_LOG_SERVICE_OPTIONS, ports),
  );
  return new AdminRequests({
    refusal: ({ subject }) => (subject === "root" ? null : denied),
    wall: clock.wall,
    append: async () => ({ kind: "fault", requestId: 0 as RequestId, fault: cancelled }),
    status: () => node.status(),
    ask: async () => ({ kind: "fault", requestId: 0 as RequestId, fault: cancelled }),
  });
}

function withGossip(admin: AdminRequests): string[] {
  const departed: string[] = [];
  admin.attachGossip({
    members: () =>
      ["n1", "n2", "n3"].map((name) => {
        return { name, addr: "10.0.0.1:7946", tags: {}, status: "alive" };
      }),
    rtt: (from, to) => ([from, to].every((name) => ["n1", "n3"].includes(name)) ? 0.5 : null),
    sendEvent: () => Promise.reject(new Error("this test tells of nothing")),
    query: () => Promise.reject(new Error("this test asks nothing")),
    watch: () => null,
    keys: (act, key) => {
      if (act === "remove") throw new Error("this is the primary key: use another one first");
      departed.push(`${act} ${key}`);
      return ["first", key];
    },
    leave: async () => void departed.push("itself"),
    forceLeave: async (name, prune) => {
      if (name === "n3") throw new Error("no member of that name is known here");
      departed.push(`${name} ${prune}`);
    },
  });
  return departed;
}

const root = () => new Caller("root");
const refused = (what: string) => ({ kind: "fault", fault: { code: "change-refused", what } });

test("an operator makes the very member that is asked leave, and a failed one be gone", async () => {
  const admin = operators();
  const departed = withGossip(admin);
  expect(await admin.leave(root(), "n1")).toEqual({ kind: "done" });
  expect(await admin.forceLeave(root(), "n2", true)).toEqual({ kind: "done" });
  expect(departed).toEqual(["itself", "n2 true"]);
});

test("an operator is told why nobody leaves", async () => {
  const admin = operators();
  expect(await admin.leave(root(), "n1")).toEqual(refused("this member does not gossip"));
  const departed = withGossip(admin);
  expect(await admin.leave(root(), "n2")).toEqual(refused("this is n1: ask n2 itself"));
  const unknown = await admin.forceLeave(root(), "n3", false);
  expect(unknown).toEqual(refused("no member of that name is known here"));
  const denied = await admin.leave(new Caller("nobody"), "n1");
  expect(denied).toMatchObject({ fault: { code: "permission-denied" } });
  expect(departed).toEqual([]);
});

test("an operator lists and changes the keys of gossip, and is told why they stay", async () => {
  const admin = operators();
  expect(await admin.keys(root(), "list", "")).toEqual(refused("this member does not gossip"));
  const asked = withGossip(admin);
  expect(await admin.keys(root(), "install", "k")).toEqual({ kind: "keys", keys: ["first", "k"] });
  const kept = refused("this is the primary key: use another one first");
  expect(await admin.keys(root(), "remove", "k")).toEqual(kept);
  const denied = await admin.keys(new Caller("nobody"), "list", "");
  expect(denied).toMatchObject({ fault: { code: "permission-denied" } });
  expect(asked).toEqual(["install k"]);
});

test("whoever may describe the cluster is told a round trip, or why none is known", async () => {
  const admin = operators();
  const silent = refused("this member does not gossip");
  expect(await admin.roundTrip(root(), "", "n3")).toEqual(silent);
  withGossip(admin);
  const told = { kind: "round-trip", from: "n1", to: "n3", micros: 500 };
  expect(await admin.roundTrip(root(), "", "n3")).toEqual(told);
  const why = "n1 does not know yet where n2 is: it learns so by pings, one a second";
  expect(await admin.roundTrip(root(), "n2", "n3")).toEqual(refused(why));
  const stranger = refused("no member is named n9");
  expect(await admin.roundTrip(root(), "n3", "n9")).toEqual(stranger);
  const denied = await admin.roundTrip(new Caller("nobody"), "", "n3");
  expect(denied).toMatchObject({ fault: { code: "permission-denied" } });
});
