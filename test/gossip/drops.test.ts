// The ledger of dropped input: everything is counted, a source is told of once a minute.
import { describe, expect, test } from "vitest";
import type { Instant } from "../../src/base/ids.ts";
import { DROP_SOURCES_MAX, DropLedger } from "../../src/gossip/drops.ts";

const atSecond = (second: number): Instant => (second * 1_000_000) as Instant;

describe("dropped input", () => {
  test("is counted by reason", () => {
    const ledger = new DropLedger();
    ledger.note(atSecond(1), "10.0.0.1:1", "malformed");
    ledger.note(atSecond(1), "10.0.0.2:1", "malformed");
    ledger.note(atSecond(1), "10.0.0.2:1", "crc-mismatch");
    expect(ledger.counts).toEqual({ malformed: 2, "crc-mismatch": 1 });
  });

  test("is told once a minute a source, with what was not told since", () => {
    const ledger = new DropLedger();
    expect(ledger.note(atSecond(1), "a", "malformed")).toEqual({
      level: "warn",
      what: "gossip-dropped",
      facts: { source: "a", reason: "malformed", untoldSinceLast: 0 },
    });
    expect(ledger.note(atSecond(2), "b", "malformed")).not.toBeNull();
    expect(ledger.note(atSecond(3), "a", "malformed")).toBeNull();
    expect(ledger.note(atSecond(60), "a", "empty")).toBeNull();
    expect(ledger.note(atSecond(61), "a", "empty")?.facts).toMatchObject({ untoldSinceLast: 2 });
    expect(ledger.note(atSecond(62), "a", "empty")).toBeNull();
  });

  test("that correct members cause too is counted and not told", () => {
    const ledger = new DropLedger();
    expect(ledger.note(atSecond(1), "a", "no-such-ping")).toBeNull();
    expect(ledger.note(atSecond(1), "a", "after-leave")).toBeNull();
    expect(ledger.counts).toEqual({ "no-such-ping": 1, "after-leave": 1 });
    expect(ledger.note(atSecond(1), "a", "malformed")?.facts).toMatchObject({ untoldSinceLast: 0 });
  });

  test("from more sources than are remembered is told of as one source", () => {
    const ledger = new DropLedger();
    let told = 0;
    for (let source = 0; source < 10_000; source++) {
      if (ledger.note(atSecond(1), `10.0.0.1:${source}`, "empty") !== null) told++;
    }
    expect(told).toBe(DROP_SOURCES_MAX + 1);
    expect(ledger.counts).toEqual({ empty: 10_000 });
    expect(ledger.note(atSecond(62), "10.0.0.1:1", "empty")).not.toBeNull();
    expect(ledger.note(atSecond(200), "new", "empty")?.facts["source"]).toBe("new");
  });
});
