// Which directory of a lost cluster goes the furthest, who would be a quorum, and what may be lost.
import { describe, expect, test } from "vitest";
import type { LogPoint } from "../../src/base/entry.ts";
import type { MemberId, NodeId } from "../../src/base/ids.ts";
import { memberId, membershipOf } from "../../src/base/membership.ts";
import {
  areQuorum,
  greatest,
  laterTerm,
  possibleLoss,
  type Survey,
} from "../../src/cli/recover-survey.ts";

const instance = "ab".repeat(16);
const idOf = (name: string) => memberId(name as NodeId, instance);
const membersOf = (names: string) =>
  names.split("").map((name) => ({ id: idOf(name), address: "" }));
const has = (names: string) => (id: MemberId) => names.split("").map(idOf).includes(id);

function surveyOf(name: string, index: number, of: number, voters = "abc", term = of): Survey {
  const nodeName = name as NodeId;
  return {
    directory: name,
    identity: { clusterId: "cd".repeat(16), nodeName, instanceId: instance },
    member: idOf(name),
    term: term as Survey["term"],
    end: { index, term: of, endOffset: index - 1, timestamp: 0 } as LogPoint,
    membership: membershipOf(membersOf(voters)),
  };
}

describe("a quorum", () => {
  test.each([
    ["a", "a", true],
    ["ab", "a", false],
    ["abc", "ab", true],
    ["abc", "c", false],
    ["abcd", "ab", false],
    ["abcde", "ade", true],
  ])("of %s is at hand with %s: %s", (voters, atHand, isOne) => {
    expect(areQuorum(membershipOf(membersOf(voters)), has(atHand))).toBe(isOne);
  });

  test("of a joint membership is one in both halves", () => {
    const joint = {
      ...membershipOf(membersOf("abcde")),
      outgoing: membersOf("abc").map((m) => m.id),
    };
    const voters = { ...joint, voters: membersOf("cde").map(({ id }) => id) };
    expect(areQuorum(voters, has("cde"))).toBe(false);
    expect(areQuorum(voters, has("acd"))).toBe(true);
  });

  test("counts no learner", () => {
    const membership = membershipOf(membersOf("abc"), membersOf("xyz"));
    expect(areQuorum(membership, has("axyz"))).toBe(false);
  });
});

describe("the greatest log", () => {
  test("ends in the latest term, then goes the furthest (5.4.1)", () => {
    const [long, late, later] = [surveyOf("a", 9, 1), surveyOf("b", 3, 2), surveyOf("c", 4, 2)];
    expect(greatest([long, late]).directory).toBe("b");
    expect(greatest([late, long]).directory).toBe("b");
    expect(greatest([long, late, later]).directory).toBe("c");
  });

  test("is left behind by a term later than any that was seen", () => {
    expect(laterTerm([surveyOf("a", 9, 1, "abc", 7), surveyOf("b", 3, 2)])).toBe(8);
  });
});

describe("what may be lost", () => {
  test("is what only the others can have acknowledged", () => {
    const only = surveyOf("c", 5, 2);
    expect(possibleLoss(only, [only])).toEqual([
      "records from offset 4 on, if a and b acknowledged any",
      "changes of the membership that only they have",
    ]);
  });

  test("is nothing when every quorum had somebody who is at hand (5.4.3)", () => {
    const half = [surveyOf("a", 5, 2, "abcd"), surveyOf("b", 4, 2, "abcd")] as const;
    expect(possibleLoss(half[0], half)).toEqual([]);
  });
});
