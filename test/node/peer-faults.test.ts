// What is told of peers who say what no correct peer says: once a minute each, in bounded number.
import { describe, expect, test } from "vitest";
import { type Instant, millis } from "../../src/base/ids.ts";
import { PeerFaults } from "../../src/node/peer-faults.ts";

const at = (seconds: number) => millis(seconds * 1000) as number as Instant;

describe("a peer that says what no correct peer says", () => {
  test("is told of at once, then once a minute, with what was left out", () => {
    const faults = new PeerFaults();
    expect(faults.count(at(5), "b")).toEqual({ count: 1, untold: 0 });
    for (let second = 6; second < 65; second++) expect(faults.count(at(second), "b")).toBeNull();
    expect(faults.count(at(65), "b")).toEqual({ count: 61, untold: 59 });
    expect(faults.count(at(66), "b")).toBeNull();
    expect(faults.count(at(200), "b")).toEqual({ count: 63, untold: 1 });
  });

  test("is told of whatever others do", () => {
    const faults = new PeerFaults();
    faults.count(at(0), "b");
    expect(faults.count(at(1), "c")).toEqual({ count: 1, untold: 0 });
    expect(faults.count(at(2), "b")).toBeNull();
  });

  test("takes, as one of very many, the place of who was told of the longest ago", () => {
    const faults = new PeerFaults();
    for (let peer = 0; peer < 256; peer++) faults.count(at(0), `n${peer}`);
    expect(faults.count(at(1), "n0")).toBeNull();
    faults.count(at(2), "another");
    expect(faults.count(at(3), "n1")).toBeNull();
    expect(faults.count(at(3), "n0")).toEqual({ count: 1, untold: 0 });
  });
});
