// The bounds an operator may move: what is read, what is refused, and where they end up.

import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";

import { loadAgentConfig } from "../../src/cli/config.ts";
import { CommandError } from "../../src/cli/exit.ts";
import { DEFAULT_LIMITS, LIMITS } from "../../src/cli/limits.ts";
import { grpcBoundsOf, restBoundsOf, serviceOptionsOf } from "../../src/cli/node-options.ts";
import { temporaryFolder } from "./temporary.ts";

const folder = temporaryFolder();
const load = (flags: Record<string, unknown>) =>
  loadAgentConfig({ "node-name": "n1", bootstrap: true, ...flags }, {});

function complaintOf(flags: Record<string, unknown>): string {
  try {
    load(flags);
  } catch (error) {
    if (error instanceof CommandError) return error.message;
  }
  return "accepted";
}

describe("limits", () => {
  test("that are not given have their defaults", () => {
    expect(load({}).limits).toEqual(DEFAULT_LIMITS);
  });

  test("are read from a flag and from a file", () => {
    const { limits } = load({ limits: "calls=64, connections=100" });
    expect(limits).toEqual({ ...DEFAULT_LIMITS, calls: 64, connections: 100 });
    const file = path.join(folder, "node.yaml");
    writeFileSync(file, "limits:\n  calls: 64\n  append-bytes: 70000\n");
    expect(load({ "config-file": file }).limits).toEqual({
      ...DEFAULT_LIMITS,
      calls: 64,
      "append-bytes": 70_000,
    });
  });

  test.each([
    ["calls", "expected name=number,name=number,..."],
    ["calls=1=2", "expected name=number"],
    ["calls=0", "calls: expected a whole number from 1 to 65536"],
    ["calls=many", "calls: expected a whole number"],
    ["calls=1,calls=2", "calls is given twice"],
    ["call=1", "no such limit: call; there are connections, "],
    ["constructor=1", "no such limit: constructor"],
    [[], "expected name=number"],
  ])("%j are refused with a line that says so", (text, line) => {
    expect(complaintOf({ limits: text })).toContain(`limits: ${line}`);
  });

  test("reach the servers and the service", () => {
    const config = load({
      limits: "connections=1,calls=2,idle-ms=3000,handshake-ms=40,requests=5,append-bytes=65536",
    });
    expect(grpcBoundsOf(config)).toMatchObject({
      connectionsMax: 1,
      callsMax: 2,
      idleMsMax: 3000,
      handshakeMsMax: 40,
    });
    expect(serviceOptionsOf(config)).toMatchObject({ requestsMax: 5, appendBytesMax: 65_536 });
    const rest = load({ limits: "rest-connections=6,rest-request-ms=700,rest-body-bytes=80000" });
    expect(restBoundsOf(rest)).toMatchObject({
      connectionsMax: 6,
      requestMsMax: 700,
      bodiesBytesMax: 80_000,
    });
  });

  test("on a batch make it smaller, never larger than the node takes", () => {
    const batch = (flags: Record<string, unknown>) => serviceOptionsOf(load(flags)).batchBytesMax;
    expect(batch({})).toBe(4_194_304);
    expect(batch({ "record-bytes-max": 8_388_608 })).toBe(9_437_184);
    expect(batch({ limits: "batch-bytes=5000" })).toBe(5000);
    expect(batch({ limits: "batch-bytes=60000000" })).toBe(4_194_304);
  });

  test("are in docs/security.md, each with its default", () => {
    const text = readFileSync(new URL("../../docs/security.md", import.meta.url), "utf8");
    const rows = [...text.matchAll(/^\| `([a-z-]+)` \| ([\d,]+) \|/gm)];
    const said = rows.map(([, name, number]) => [name, Number(number?.replaceAll(",", ""))]);
    expect(said).toEqual(Object.entries(LIMITS).map(([name, { standard }]) => [name, standard]));
  });
});

describe("the address of REST", () => {
  test("is none, or a host and a port", () => {
    expect(load({}).rest).toBeNull();
    expect(load({ "rest-addr": "127.0.0.1:8402" }).rest).toEqual({ host: "127.0.0.1", port: 8402 });
    expect(load({ "rest-addr": "[::1]:8402" }).rest).toEqual({ host: "::1", port: 8402 });
    for (const wrong of ["8402", ":8402", "h:0", "h:99999", 8402]) {
      expect(complaintOf({ "rest-addr": wrong })).toContain("rest-addr: expected host:port");
    }
  });
});
