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
import { Links, type LinksOutput, peerIdentity } from "../../src/node/links.ts";
import { encodeHello, encodeRaft, type Hello, RouteBytes } from "../../src/node/wire.ts";
import type { RaftMessage } from "../../src/raft/protocol.ts";

const CLUSTER = "00112233445566778899aabbccddeeff";
const OTHER_CLUSTER = "ffffffffffffffffffffffffffffffff";
const a = "a" as NodeId;
const b = "b" as NodeId;
const c = "c" as NodeId;
const at = (ms: number) => millis(ms) as number as Instant;

const HELLO: Hello = {
  protocolMin: 1,
  protocolMax: 1,
  instanceId: "0123456789abcdef0123456789abcdef",
  lane: "control",
  features: 0,
};

const VOTE: RaftMessage = {
  kind: "vote-request",
  term: 1 as Term,
  lastIndex: 0 as LogIndex,
  lastTerm: 0 as Term,
  preVote: false,
};

function linksOfA(): Links {
  return new Links(
    {
      self: a,
      clusterId: CLUSTER,
      instanceId: HELLO.instanceId,
      members: [a, b, c].map((id) => ({ id, address: `${id}:1` })),
      redialMin: millis(10),
      redialMax: millis(40),
      bodyBytesMax: 1000,
      acceptedMax: 4,
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
    expect(links.routeTo(b, "control")).toBeNull();
    links.frame(at(2), link, helloOf(b, a));
    expect(links.routeTo(b, "control")?.link).toBe(link);
    expect(links.routeTo(b, "bulk")).toBeNull();
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
    expect(links.frame(at(1), link, voteOf(b, a))).toEqual({ from: b, message: VOTE });
  });

  const refusals: [string, readonly string[] | null, () => ReturnType<typeof helloOf>, RegExp][] = [
    ["of another cluster", null, () => helloOf(b, a, HELLO, OTHER_CLUSTER), /ffff.*this is 0011/],
    ["meant for somebody else", null, () => helloOf(b, c), /b looks for c, this is a/],
    ["of a stranger", null, () => helloOf("z" as NodeId, a), /z is not a member/],
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
    expect(links.frame(at(3), newer, voteOf(b, a))?.from).toBe(b);
  });

  test("over the bound is closed at once", () => {
    const links = linksOfA();
    for (const link of [1, 3, 5, 7]) accept(links, link, null);
    take(links);
    accept(links, 9, null);
    expect(take(links).closes).toEqual([{ link: 9, why: "too many links" }]);
  });
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
