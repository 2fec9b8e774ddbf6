// Who may speak on a link: hellos, certificates, clusters and redialing, with time owned by the
// test.

import { describe, expect, test } from "vitest";

import { concat, freeze } from "../../src/base/bytes.ts";
import {
  type Instant,
  type LinkId,
  type LogIndex,
  millis,
  NEVER,
  type NodeId,
  type Term,
} from "../../src/base/ids.ts";
import { memberId } from "../../src/base/membership.ts";
import { peerIdentity } from "../../src/node/identity.ts";
import { Links, type LinksOutput } from "../../src/node/links.ts";
import { encodeRaft } from "../../src/node/raft-wire.ts";
import { decodeMessage, encodeHello, type Hello } from "../../src/node/wire.ts";
import { RouteBytes } from "../../src/node/wire-head.ts";
import type { RaftMessage } from "../../src/raft/protocol.ts";

const CLUSTER = "00112233445566778899aabbccddeeff";
const OTHER_CLUSTER = "ffffffffffffffffffffffffffffffff";
const a = "a" as NodeId;
const b = "b" as NodeId;
const c = "c" as NodeId;
const at = (ms: number) => millis(ms) as number as Instant;

const HELLO: Hello = {
  protocolMin: 2,
  protocolMax: 2,
  instanceId: "0123456789abcdef0123456789abcdef",
  lane: "control",
  awaits: false,
  address: "",
};

const OTHER_HELLO: Hello = { ...HELLO, instanceId: "fedcba9876543210fedcba9876543210" };
const memberB = memberId(b, HELLO.instanceId);
const otherB = memberId(b, OTHER_HELLO.instanceId);

const VOTE: RaftMessage = {
  kind: "vote-request",
  term: 1 as Term,
  lastIndex: 0 as LogIndex,
  lastTerm: 0 as Term,
  preVote: false,
  transfer: false,
};

function linksOfA(awaits = (_: NodeId) => false): Links {
  return new Links(
    {
      self: a,
      clusterId: CLUSTER,
      instanceId: HELLO.instanceId,
      address: "a:1",
      contacts: [a, b, c].map((id) => ({ id, address: `${id}:1` })),
      redialMin: millis(10),
      redialMax: millis(40),
      bodyBytesMax: 1000,
      acceptedMax: 4,
      strangersMax: 1,
      awaits,
    },
    at(0),
  );
}

function take(links: Links): LinksOutput {
  return links.takeOutput() ?? { dials: [], sends: [], closes: [], notices: [] };
}

const helloOf = (from: NodeId, to: NodeId, hello = HELLO, clusterId = CLUSTER) =>
  freeze(concat(encodeHello(new RouteBytes({ clusterId, from, to }), hello)));

const voteOf = (from: NodeId, to: NodeId, clusterId = CLUSTER) =>
  freeze(concat(encodeRaft(new RouteBytes({ clusterId, from, to }), VOTE)));

/** A link that was accepted from `from`, with a certificate for that member. */
function accept(links: Links, link: number, identity: readonly string[] | null): LinkId {
  links.opened(at(0), link as LinkId, false, identity);
  return link as LinkId;
}

describe("a node with peers", () => {
  test("dials each peer on both lanes, greets, and sends only after the answer", () => {
    const links = linksOfA();
    links.ring(at(0));
    const { dials } = take(links);
    expect(dials.map(({ peer, lane }) => `${peer} ${lane}`)).toEqual([
      "b control",
      "b bulk",
      "c control",
      "c bulk",
    ]);
    const link = dials[0]?.link as LinkId;
    links.opened(at(1), link, true, [peerIdentity(b)]);
    expect(take(links).sends.map((send) => send.link)).toEqual([link]);
    expect(links.routeTo(memberB, "control")).toBeNull();
    links.frame(at(2), link, helloOf(b, a));
    expect(links.routeTo(memberB, "control")?.link).toBe(link);
    expect(links.routeTo(memberB, "bulk")).toBeNull();
    expect(links.routeTo(otherB, "control")).toBeNull();
  });

  test("redials later after each failure, up to a bound, and soon again after a success", () => {
    const links = linksOfA();
    const dialOfB = () => take(links).dials.find(({ peer }) => peer === b)?.link;
    const waits: number[] = [];
    let now = 0;
    for (let attempt = 0; attempt < 5; attempt++) {
      links.ring(at(now));
      const link = dialOfB();
      if (link === undefined) throw new Error("b is not dialed");
      links.closed(at(now), link, "refused");
      const from = now;
      for (const wait of [10, 20, 40]) {
        links.ring(at(from + wait - 1));
        if (dialOfB() !== undefined) throw new Error("dialed too soon");
        now = from + wait;
        if (wait === Math.min(10 * 2 ** attempt, 40)) break;
      }
      waits.push(now - from);
    }
    expect(waits).toEqual([10, 20, 40, 40, 40]);
  });

  test("gives up a link whose hello does not come, and closes a silent accepted one", () => {
    const links = linksOfA();
    links.ring(at(0));
    const dialed = take(links).dials[0]?.link as LinkId;
    links.opened(at(0), dialed, true, null);
    accept(links, 1, null);
    take(links);
    links.ring(at(4999));
    expect(take(links).closes).toEqual([]);
    links.ring(at(5000));
    const closed = take(links).closes.map(({ link }) => link);
    expect(closed).toContain(dialed);
    expect(closed).toContain(1);
  });
});

describe("an accepted link", () => {
  test("is answered and heard when its certificate speaks for the member it names", () => {
    const links = linksOfA();
    const link = accept(links, 1, ["b", peerIdentity(b)]);
    expect(links.frame(at(1), link, helloOf(b, a))).toBeNull();
    expect(take(links).sends.map((send) => send.link)).toEqual([link]);
    expect(links.frame(at(1), link, voteOf(b, a))).toMatchObject({
      from: memberB,
      payload: { kind: "raft", message: VOTE },
    });
  });

  const refusals: [string, readonly string[] | null, () => ReturnType<typeof helloOf>, RegExp][] = [
    ["of another cluster", null, () => helloOf(b, a, HELLO, OTHER_CLUSTER), /ffff.*this is 0011/],
    ["meant for somebody else", null, () => helloOf(b, c), /b looks for c, this is a/],
    ["of a second node of its name", null, () => helloOf(a, a), /another node is named a/],
    ["of a client's certificate", ["root"], () => helloOf(b, a), /root does not speak for b/],
    ["of another member's certificate", [peerIdentity(c)], () => helloOf(b, a), /does not speak/],
    [
      "of a certificate that only has the member's plain name",
      ["b"],
      () => helloOf(b, a),
      /does not speak for b.peer.cairn/,
    ],
    [
      "of a protocol from the future",
      null,
      () => helloOf(b, a, { ...HELLO, protocolMin: 7, protocolMax: 9 }),
      /protocol 7 to 9/,
    ],
    [
      "of a protocol that is no longer spoken",
      null,
      () => helloOf(b, a, { ...HELLO, protocolMin: 1, protocolMax: 1 }),
      /protocol 1 to 1 is not spoken here/,
    ],
    ["before its hello", null, () => voteOf(b, a), /before the hello/],
    ["of garbage", null, () => freeze(new Uint8Array([1, 2, 3])), /malformed/],
  ];
  test.each(refusals)("%s is closed with the reason", (_, identity, frame, why) => {
    const links = linksOfA();
    const link = accept(links, 1, identity);
    expect(links.frame(at(1), link, frame())).toBeNull();
    const { closes, notices, sends } = take(links);
    expect(sends).toEqual([]);
    expect(closes[0]?.why).toMatch(why);
    expect(notices[0]?.what).toBe("peer-link-refused");
    expect(links.frame(at(1), link, helloOf(b, a))).toBeNull();
  });

  test("is told of once a minute, however often nodes of another cluster dial", () => {
    const links = linksOfA();
    const told: unknown[] = [];
    for (let second = 0; second <= 60; second++) {
      const link = (2 * second + 1) as LinkId;
      links.opened(at(second * 1000), link, false, [peerIdentity(b)]);
      links.frame(at(second * 1000), link, helloOf(b, a, HELLO, OTHER_CLUSTER));
      const { closes, notices } = take(links);
      expect(closes).toHaveLength(1);
      told.push(...notices.map(({ facts }) => [second, facts["count"], facts["untold"]]));
    }
    expect(told).toEqual([
      [0, 1, 0],
      [60, 61, 59],
    ]);
  });

  test("whose member says what no correct one says stays, and that is told once a minute", () => {
    const links = linksOfA();
    const link = accept(links, 1, [peerIdentity(b)]);
    links.frame(at(1), link, helloOf(b, a));
    take(links);
    for (let second = 1; second <= 61; second++) {
      links.dropped(at(second * 1000), memberB, "term is absurd");
    }
    const facts = { from: memberB, why: "term is absurd" };
    expect(take(links)).toMatchObject({
      closes: [],
      notices: [
        { level: "warn", what: "peer-message-dropped", facts: { ...facts, count: 1, untold: 0 } },
        { level: "warn", what: "peer-message-dropped", facts: { ...facts, count: 61, untold: 59 } },
      ],
    });
    expect(links.frame(at(62_000), link, voteOf(b, a))?.from).toBe(memberB);
  });

  test("on which a member speaks for another is closed", () => {
    const links = linksOfA();
    const link = accept(links, 1, [peerIdentity(b)]);
    links.frame(at(1), link, helloOf(b, a));
    take(links);
    expect(links.frame(at(1), link, voteOf(c, a))).toBeNull();
    expect(take(links).closes[0]?.why).toMatch(/b spoke as c/);
  });

  test("replaces an older one of the same peer and lane", () => {
    const links = linksOfA();
    const older = accept(links, 1, null);
    links.frame(at(1), older, helloOf(b, a));
    const newer = accept(links, 3, null);
    take(links);
    links.frame(at(2), newer, helloOf(b, a));
    expect(take(links).closes).toEqual([{ link: older, why: "replaced by a newer link" }]);
    expect(links.frame(at(3), newer, voteOf(b, a))?.from).toBe(memberB);
  });

  test("of a wiped node is another member's, and ends what it was before", () => {
    const links = linksOfA();
    const former = accept(links, 1, null);
    links.frame(at(1), former, helloOf(b, a));
    const wiped = accept(links, 3, null);
    take(links);
    links.frame(at(2), wiped, helloOf(b, a, OTHER_HELLO));
    expect(take(links).closes).toEqual([{ link: former, why: `replaced by ${otherB}` }]);
    expect(links.frame(at(3), former, voteOf(b, a))).toBeNull();
    expect(links.frame(at(3), wiped, voteOf(b, a))?.from).toBe(otherB);
  });

  test("over the bound is closed at once", () => {
    const links = linksOfA();
    for (const link of [1, 3, 5, 7]) accept(links, link, null);
    take(links);
    accept(links, 9, null);
    expect(take(links).closes).toEqual([{ link: 9, why: "too many links" }]);
  });
});

describe("a stranger that proves its name", () => {
  const z = "z" as NodeId;
  const hello = { ...HELLO, address: "z:1" };

  test("is heard, and dialed where it says it listens, until it is gone", () => {
    const links = linksOfA();
    links.ring(at(0));
    const link = accept(links, 1, [peerIdentity(z)]);
    take(links);
    links.frame(at(1), link, helloOf(z, a, hello));
    links.ring(at(1));
    const { dials } = take(links);
    expect(dials.map(({ peer, address }) => `${peer} ${address}`)).toEqual(["z z:1", "z z:1"]);
    const member = memberId(z, HELLO.instanceId);
    expect(links.frame(at(1), link, voteOf(z, a))?.from).toBe(member);
    links.closed(at(2), link, "reset");
    expect(take(links).closes.map(({ why }) => why)).toEqual([
      "no longer a member",
      "no longer a member",
    ]);
  });

  test("is heard and not dialed when too many are", () => {
    const links = linksOfA();
    links.ring(at(0));
    for (const [place, name] of ["x", "y"].entries()) {
      const from = name as NodeId;
      const link = accept(links, 1 + 2 * place, null);
      links.frame(at(1), link, helloOf(from, a, { ...HELLO, address: `${name}:1` }));
      expect(links.frame(at(1), link, voteOf(from, a))?.from).toBe(
        memberId(from, HELLO.instanceId),
      );
    }
    take(links);
    links.ring(at(1));
    expect(new Set(take(links).dials.map(({ peer }) => peer))).toEqual(new Set(["x"]));
  });
});

describe("an address that is dialed", () => {
  /** Dials all there is to dial, and answers b's links as `hello` says. */
  function answer(links: Links, ms: number, hello: Hello): void {
    links.ring(at(ms));
    for (const { link, peer } of take(links).dials) {
      if (peer !== b) continue;
      links.opened(at(ms), link, true, null);
      const { lane } = link % 4 === 2 ? { lane: "control" as const } : { lane: "bulk" as const };
      links.frame(at(ms), link, helloOf(b, a, { ...hello, lane }));
    }
    take(links);
  }

  test("where a wiped node answers reaches that one, and no longer what it was", () => {
    const links = linksOfA();
    answer(links, 0, HELLO);
    const { link } = links.routeTo(memberB, "control") ?? {};
    expect(links.closed(at(1), link as LinkId, "reset")).toBe(memberB);
    links.ring(at(11));
    const again = take(links).dials.find(({ peer }) => peer === b)?.link as LinkId;
    links.opened(at(11), again, true, null);
    links.frame(at(11), again, helloOf(b, a, OTHER_HELLO));
    expect(links.routeTo(memberB, "control")).toBeNull();
    expect(links.routeTo(otherB, "control")?.link).toBe(again);
    expect(take(links).notices.map(({ what }) => what)).toContain("peer-instance-changed");
  });

  test("of a new membership is dialed from then on, and one that is in none no more", () => {
    const links = linksOfA();
    links.ring(at(0));
    take(links);
    links.setMembers(at(1), [{ id: "d" as NodeId, address: "d:1" }]);
    links.ring(at(1));
    expect(new Set(take(links).dials.map(({ address }) => address))).toEqual(new Set(["d:1"]));
    links.setMembers(at(2), []);
    expect(take(links).closes.length).toBe(2);
  });

  test("that a member has left for another is left alone while the member is linked there", () => {
    const links = linksOfA();
    answer(links, 0, HELLO);
    links.setMembers(at(1), [{ id: b, address: "b:2" }]);
    const former = links.routeTo(memberB, "control")?.link as LinkId;
    answer(links, 1, HELLO);
    links.closed(at(2), former, "replaced by a newer link");
    expect(links.routeTo(memberB, "control")).not.toBeNull();
    links.ring(at(30));
    expect(
      take(links).dials.filter(({ peer, address }) => peer === b && address === "b:1"),
    ).toEqual([]);
  });
});

describe("a hello", () => {
  test("says to the founder alone that its sender waits for it, and only while it does", () => {
    let isEmpty = true;
    const links = linksOfA((founder) => isEmpty && founder === b);
    const said = (link: number, from: NodeId) => {
      accept(links, link, null);
      take(links);
      links.frame(at(1), link as LinkId, helloOf(from, a));
      const [send] = take(links).sends;
      const decoded = decodeMessage(freeze(concat(send?.parts ?? [])), 0);
      return decoded.kind === "hello" && decoded.hello.awaits;
    };
    expect(said(1, b)).toBe(true);
    expect(said(3, c)).toBe(false);
    isEmpty = false;
    expect(said(5, b)).toBe(false);
  });
});

test("a node that learns of founders dials them and is greeted anew by who did not hear of it", () => {
  const links = linksOfA();
  links.setContacts(at(0), []);
  accept(links, 1, null);
  take(links);
  links.setContacts(at(1), [{ id: c, address: "c:9" }]);
  expect(take(links).closes.map(({ link }) => link)).toEqual([1]);
  links.ring(at(1));
  expect(take(links).dials.map(({ address }) => address)).toEqual(["c:9", "c:9"]);
});

test("a node dials a member where it was seen, besides, until it is seen elsewhere", () => {
  const links = linksOfA();
  links.ring(at(0));
  expect(take(links).dials.map(({ address }) => address)).toEqual(["b:1", "b:1", "c:1", "c:1"]);
  links.setHints(at(1), [{ id: c, address: "c:9" }]);
  links.ring(at(1));
  expect(take(links).dials.map(({ address }) => address)).toEqual(["c:9", "c:9"]);
  links.setHints(at(2), []);
  expect(take(links).closes.map(({ why }) => why)).toEqual(Array(2).fill("no longer a member"));
});

test("a node that stops closes every link and dials no more", () => {
  const links = linksOfA();
  links.ring(at(0));
  accept(links, 1, null);
  take(links);
  links.close();
  expect(take(links).closes.length).toBe(5);
  links.ring(at(60_000));
  expect(take(links).dials).toEqual([]);
  expect(links.deadline).toBe(NEVER);
});
