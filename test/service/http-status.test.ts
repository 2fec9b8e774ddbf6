// The REST endpoints' statuses as docs/rest.md has them, and the JSON of an error.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import type { FaultCode } from "../../src/base/faults.ts";
import type { NodeId } from "../../src/base/ids.ts";
import { HTTP_STATUS, httpAnswerOf } from "../../src/service/http-status.ts";
import { reasonOf } from "../../src/service/status.ts";

describe("an HTTP status", () => {
  test("is in docs/rest.md for every fault there, and the same", () => {
    const text = readFileSync(new URL("../../docs/rest.md", import.meta.url), "utf8");
    const rows = [...text.matchAll(/^\| `([A-Z_]+)` \| (\d{3}) \|/gm)];
    expect(rows.length).toBeGreaterThan(10);
    for (const [, reason = "", status] of rows) {
      const code = reason.toLowerCase().replaceAll("_", "-") as FaultCode;
      expect(reasonOf(code)).toBe(reason);
      expect([reason, HTTP_STATUS[code]]).toEqual([reason, Number(status)]);
    }
  });

  test("of a follower depends on whether anybody leads", () => {
    const known = { code: "not-leader", leader: "n2" as NodeId, address: "h:1" } as const;
    expect(httpAnswerOf(known)).toMatchObject({ status: 421, error: { code: 9, leader: "h:1" } });
    const none = { code: "not-leader", leader: null, address: null } as const;
    expect(httpAnswerOf(none)).toMatchObject({ status: 503, error: { retryAfterMs: 100 } });
    expect(httpAnswerOf(none).error).not.toHaveProperty("leader");
  });
});
