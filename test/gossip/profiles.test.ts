// The presets against the tables of the protocol notes (5.1 and 5.2), in milliseconds.
import { expect, test } from "vitest";
import { PROFILES } from "../../src/gossip/profiles.ts";

/** lan, wan, local. */
const TABLE: readonly (readonly [keyof typeof PROFILES.lan, number, number, number])[] = [
  ["streamTimeout", 10_000, 30_000, 1000],
  ["probeInterval", 1000, 5000, 1000],
  ["probeTimeout", 500, 3000, 200],
  ["indirectChecks", 3, 3, 1],
  ["suspicionMult", 4, 6, 3],
  ["suspicionMaxTimeoutMult", 6, 6, 6],
  ["awarenessMax", 8, 8, 8],
  ["retransmitMult", 4, 4, 2],
  ["gossipInterval", 200, 500, 100],
  ["gossipNodes", 3, 4, 3],
  ["gossipToTheDead", 30_000, 60_000, 15_000],
  ["pushPullInterval", 30_000, 60_000, 15_000],
  ["broadcastTimeout", 5000, 5000, 5000],
  ["leavePropagateDelay", 1000, 1000, 1000],
  ["reconnectInterval", 30_000, 30_000, 30_000],
  ["reconnectTimeout", 86_400_000, 86_400_000, 86_400_000],
  ["tombstoneTimeout", 86_400_000, 86_400_000, 86_400_000],
  ["recentIntentTimeout", 300_000, 300_000, 300_000],
  ["userCoalescePeriod", 3000, 3000, 3000],
  ["userQuiescentPeriod", 1000, 1000, 1000],
  ["queryTimeoutMult", 16, 16, 16],
];
const COUNTS = /Mult$|Checks$|Max$|Nodes$/;

test.each(TABLE)("%s is %i on a LAN, %i on a WAN and %i on one machine", (key, ...values) => {
  const unit = COUNTS.test(key) ? 1 : 1000;
  const { lan, wan, local } = PROFILES;
  expect([lan[key], wan[key], local[key]]).toEqual(values.map((value) => value * unit));
});

test("everything but our own is in the table, and what stock agents always do is done", () => {
  const told = TABLE.map(([key]) => key);
  expect(Object.keys(PROFILES.lan).filter((key) => !told.includes(key as never))).toEqual([
    "tellsSuspects",
    "deadNodeReclaim",
  ]);
  for (const { tellsSuspects } of Object.values(PROFILES)) expect(tellsSuspects).toBe(true);
});
