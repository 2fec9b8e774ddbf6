// When a cluster is founded, by whom and as what: greetings in, a membership out.

import { describe, expect, test } from "vitest";

import type { NodeId } from "../../src/base/ids.ts";
import { memberId } from "../../src/base/membership.ts";
import { decodeFrame } from "../../src/log/frame.ts";
import {
  FOUNDING_TERM,
  founderOf,
  foundingEntry,
  foundingMembership,
} from "../../src/node/founding.ts";
import type { Greeting } from "../../src/node/links.ts";

const instance = (digit: string) => digit.repeat(32);
const list = (...names: string[]) =>
  names.map((name) => ({ id: name as NodeId, address: `${name}:1` }));
const a = memberId("a" as NodeId, instance("1"));
const b = memberId("b" as NodeId, instance("2"));
const c = memberId("c" as NodeId, instance("3"));
const greeting = (member: Greeting["member"], awaits = true): Greeting => {
  return { member, address: "somewhere:1", awaits };
};

describe("the lowest of a list", () => {
  const founders = list("c", "a", "b");

  test("founds once all others say on their links that they wait for it", () => {
    const membership = foundingMembership(a, founders, [greeting(c), greeting(b)]);
    expect(membership?.voters).toEqual([a, b, c]);
    expect(membership?.members).toContainEqual({ id: b, address: "b:1" });
  });

  const short: [string, Greeting[]][] = [
    ["nobody has greeted", []],
    ["one has not greeted", [greeting(b)]],
    ["one has data, or waits for somebody else", [greeting(b), greeting(c, false)]],
    [
      "one goes by two instances",
      [greeting(b), greeting(c), greeting(memberId("c" as NodeId, instance("4")))],
    ],
    [
      "only strangers have greeted",
      [greeting(memberId("x" as NodeId, instance("5"))), greeting(b)],
    ],
  ];
  test.each(short)("waits while %s", (_, greetings) => {
    expect(foundingMembership(a, founders, greetings)).toBeNull();
  });

  test("is a cluster of its own when it is alone on the list", () => {
    expect(foundingMembership(a, list("a"), [])?.voters).toEqual([a]);
  });
});

test("nobody but the lowest founds, whoever waits", () => {
  expect(foundingMembership(b, list("a", "b"), [greeting(a)])).toBeNull();
});

test("a joiner has an empty list and founds nothing", () => {
  expect(founderOf([])).toBeNull();
  expect(foundingMembership(a, [], [greeting(b)])).toBeNull();
});

test("the founding entry is the first, of the first term, and says the membership", () => {
  const membership = foundingMembership(a, list("a", "b"), [greeting(b)]);
  if (membership === null) throw new Error("not founded");
  const entry = foundingEntry(membership);
  expect(entry).toMatchObject({ index: 1, term: FOUNDING_TERM, prevTerm: 0, offset: 0 });
  const decoded = decodeFrame(entry.frame, 0, { bodyBytesMax: 1000 });
  if (decoded.kind !== "entry") throw new Error(decoded.kind);
  expect(decoded.entry.control).toEqual({ kind: "membership", membership });
  expect(foundingEntry(membership).frame).toEqual(entry.frame);
});
