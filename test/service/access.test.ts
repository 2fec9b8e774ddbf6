// The access table and its audit, with a script of rights: which way in needs what, what is
// refused, and what the log says of it.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";

import type { Notice } from "../../src/base/notice.ts";
import {
  ACCESS,
  Access,
  type AccessTable,
  ANYBODY,
  sufficientFor,
} from "../../src/service/access.ts";
import { Caller } from "../../src/service/caller.ts";

const RIGHTS = new Set(["ann * produce", "bob * consume", "eve * admin", "cat cursor/a consume"]);
const authorizer = {
  allows: (subject: string, object: string, action: string) =>
    RIGHTS.has(`${subject} ${object} ${action}`),
};

function accessWith(table?: AccessTable, anonymous: string | null = null) {
  const notices: Notice[] = [];
  const telemetry = { notice: (notice: Notice) => void notices.push(notice) };
  return { access: new Access(authorizer, telemetry, anonymous, table), notices };
}

const from = (subject: string | null, method: string, isSecure = true) =>
  new Caller(subject, { method, peer: "10.0.0.9:5000", requestId: "r-1", isSecure, span: null });

describe("access", () => {
  test("is decided by the row of the method", () => {
    const { access, notices } = accessWith();
    const may = (subject: string, method: string) =>
      access.refusalOfMethod(from(subject, method), method) === null;
    expect(may("ann", "/log.v1.Log/Produce")).toBe(true);
    expect(may("ann", "/log.v1.Log/Consume")).toBe(false);
    expect(may("bob", "/log.v1.Log/ConsumeStream")).toBe(true);
    expect(may("bob", "/cairn.v1.Log/CheckTail")).toBe(true);
    expect(may("cat", "/cairn.v1.Log/CheckTail")).toBe(false);
    expect(may("eve", "/cairn.v1.Log/CheckTail")).toBe(true);
    expect(notices).toHaveLength(2);
  });

  test("is refused to everybody where the method is in no row, also by an odd name", () => {
    const everything = { allows: () => true };
    const notices: Notice[] = [];
    const telemetry = { notice: (notice: Notice) => void notices.push(notice) };
    const access = new Access(everything, telemetry, "root");
    for (const method of ["/log.v1.Log/Trim", "", "constructor", "__proto__", "toString"]) {
      expect(access.refusalOfMethod(from("root", method), method)).toEqual({
        code: "permission-denied",
        subject: "root",
        action: "call",
        object: method,
      });
    }
    expect(notices.map(({ what }) => what)).toEqual(Array(5).fill("denied"));
  });

  test("writes an audit line for every denial", () => {
    const { access, notices } = accessWith();
    const method = "/log.v1.Log/Produce";
    access.refusalOfMethod(from("bob", method), method);
    access.refusalOfMethod(from("bob", method), method);
    expect(notices).toEqual(
      Array(2).fill({
        level: "warn",
        what: "denied",
        facts: {
          subject: "bob",
          method,
          object: "*",
          action: "produce",
          peer: "10.0.0.9:5000",
          requestId: "r-1",
        },
      }),
    );
  });

  test("writes an audit line for every admin act, and for a denied one that it was denied", () => {
    const table = { "/x/Remove": { object: "*", action: "admin" } } as const;
    const { access, notices } = accessWith(table);
    expect(access.refusalOfMethod(from("eve", "/x/Remove"), "/x/Remove")).toBeNull();
    expect(access.refusalOfMethod(from("ann", "/x/Remove"), "/x/Remove")).not.toBeNull();
    expect(notices.map(({ level, what, facts }) => [level, what, facts["subject"]])).toEqual([
      ["info", "admin-act", "eve"],
      ["warn", "denied", "ann"],
    ]);
  });

  test("is asked for the object of the row", () => {
    const table = { "/x/Fetch": { object: "cursor/a", action: "consume" } } as const;
    const { access } = accessWith(table);
    expect(access.refusalOfMethod(from("cat", "/x/Fetch"), "/x/Fetch")).toBeNull();
    expect(access.refusalOfMethod(from("bob", "/x/Fetch"), "/x/Fetch")).toMatchObject({
      object: "cursor/a",
    });
  });

  test("is unauthenticated without a subject, and says why", () => {
    const { access, notices } = accessWith();
    const method = "/log.v1.Log/Produce";
    expect(access.refusalOfMethod(from(null, method, false), method)).toEqual({
      code: "unauthenticated",
      what: "no transport security being used",
    });
    expect(access.refusalOfMethod(from(null, method), method)).toMatchObject({
      what: expect.stringContaining("the certificate names no subject"),
    });
    expect(access.refusalOfMethod(from(null, "/x/Y"), "/x/Y")?.code).toBe("unauthenticated");
    expect(notices).toHaveLength(3);
  });

  test("makes nobody with a certificate anonymous", () => {
    const { access } = accessWith(ACCESS, "ann");
    const method = "/log.v1.Log/Produce";
    expect(access.refusalOfMethod(from(null, method, false), method)).toBeNull();
    expect(access.refusalOfMethod(from(null, method, true), method)?.code).toBe("unauthenticated");
  });

  test("is in docs/security.md as it is in the table", () => {
    const text = readFileSync(new URL("../../docs/security.md", import.meta.url), "utf8");
    const rows = [...text.matchAll(/^\| `([^`]*\/[^`]*)` \| (\w+) \| `([^`]+)` \|$/gm)];
    const said = rows.map(([, method, action, object]) => [
      method,
      action === ANYBODY ? ANYBODY : { object, action },
    ]);
    expect(Object.fromEntries(said)).toEqual(ACCESS);
  });

  test("to describe comes with every other action, and no other action with any", () => {
    expect(sufficientFor("describe")).toEqual(["describe", "produce", "consume", "admin"]);
    for (const action of ["produce", "consume", "admin", "constructor"]) {
      expect(sufficientFor(action)).toEqual([action]);
    }
  });
});
