// A membership's bytes and rules: what is written is read back, and nothing else is taken for one.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { controlDraft, decodeControl } from "../../src/base/control.ts";
import { FRAME_HEADER_BYTES } from "../../src/base/entry.ts";
import type { LogIndex, MemberId, NodeId, Offset, WallMs } from "../../src/base/ids.ts";
import {
  brokenMembership,
  decodeMembership,
  encodeMembership,
  instanceOf,
  type Member,
  type Membership,
  memberId,
  membershipOf,
  NO_MEMBERS,
  nameOf,
  sortedIds,
} from "../../src/base/membership.ts";

/** Each name with any set of roles that the rules allow together. */
const roles = fc.constantFrom("voter", "both", "outgoing", "demoted", "learner", "owed");
const memberships = fc
  .dictionary(fc.string({ minLength: 1, maxLength: 6, unit: "grapheme" }), roles, {
    maxKeys: 9,
    noNullPrototype: true,
  })
  .map((roleOf): Membership => {
    const ids = Object.keys(roleOf) as MemberId[];
    const having = (...wanted: string[]): MemberId[] =>
      sortedIds(ids.filter((id) => wanted.includes(roleOf[id] ?? "")));
    return {
      voters: having("voter", "both"),
      outgoing: having("both", "outgoing", "demoted"),
      learners: having("learner", "owed"),
      learnersNext: having("demoted"),
      members: sortedIds(ids).map((id) => {
        const member = { id, address: `${id}:1` };
        return roleOf[id] === "owed" ? { ...member, isOwedVote: true } : member;
      }),
    };
  })
  .filter((membership) => brokenMembership(membership) === null);

describe("a membership", () => {
  test("that is written is read back the same", () => {
    fc.assert(
      fc.property(memberships, (membership) => {
        expect(decodeMembership(encodeMembership(membership))).toEqual(membership);
      }),
    );
  });

  test("with any byte changed or cut is read as null or as another that keeps the rules", () => {
    fc.assert(
      fc.property(memberships, fc.nat(), fc.nat(255), fc.boolean(), (membership, at, byte, cut) => {
        const bytes = Uint8Array.from(encodeMembership(membership));
        const place = at % bytes.length;
        bytes[place] = byte;
        const read = decodeMembership(cut ? bytes.subarray(0, place) : bytes);
        expect(read === null ? null : brokenMembership(read)).toBeNull();
      }),
    );
  });

  test.each([
    ["a voter twice", { voters: ["a", "a"] }],
    ["voters unsorted", { voters: ["b", "a"] }],
    ["a voter who also learns", { voters: ["a"], learners: ["a"] }],
    ["joint, but without new voters", { outgoing: ["a"] }],
    ["a learner to be who never voted", { voters: ["a"], outgoing: ["b"], learnersNext: ["c"] }],
    ["members that are in no set", { members: ["a"] }],
  ])("breaks the rules with %s", (_what, sets: Record<string, string[]>) => {
    const { members = [...new Set(Object.values(sets).flat())].sort(), ...ids } = sets;
    const listed = members.map((id) => ({ id: id as MemberId, address: "" }));
    const membership = { ...NO_MEMBERS, ...ids, members: listed } as Membership;
    expect(brokenMembership(membership)).not.toBeNull();
  });

  test("breaks the rules with a vote owed to somebody who has one", () => {
    const member: Member = { id: "a" as MemberId, address: "", isOwedVote: true };
    expect(brokenMembership({ ...NO_MEMBERS, voters: [member.id], members: [member] })).toBe(
      "a vote owed to who is no learner",
    );
    expect(membershipOf([member]).members).toEqual([{ id: "a", address: "" }]);
    expect(membershipOf([], [member]).members).toEqual([member]);
  });

  test("names its members by name and instance", () => {
    const id = memberId("n/1" as NodeId, "0123456789abcdef0123456789abcdef");
    expect([nameOf(id), instanceOf(id)]).toEqual(["n/1", "0123456789abcdef0123456789abcdef"]);
    expect([nameOf("bare" as MemberId), instanceOf("bare" as MemberId)]).toEqual(["bare", ""]);
  });
});

describe("a control entry", () => {
  test.each([
    { kind: "membership", membership: membershipOf([{ id: "a" as MemberId, address: "h:1" }]) },
    { kind: "trim", startOffset: 7 as Offset },
    { kind: "cursor", name: "mailer", offset: 7 as Offset, ttlMs: 60_000 },
    { kind: "cursor", name: "x", offset: null, ttlMs: 0 },
    { kind: "fence", token: "writer 7" },
    { kind: "fence", token: "" },
    { kind: "digest", firstIndex: 3 as LogIndex, lastIndex: 9 as LogIndex, digest: 0xfedc_ba98 },
  ] as const)("of kind $kind says in its body what its draft says", (control) => {
    const draft = controlDraft(control, 5 as WallMs);
    const body = draft.bytes.subarray(FRAME_HEADER_BYTES);
    expect(decodeControl(draft.kind, body)).toEqual(draft.control);
    expect(decodeControl(draft.kind, body.subarray(1))).toBe("malformed");
  });
});
