// Discovery on one node: what it says of itself, whom it looks for where, and that gossip alone
// removes nobody.

import { expect, test } from "vitest";

import type { MemberInfo, NodeStatus } from "../../src/base/client.ts";
import type { Instant, LogIndex, MemberId, NodeId } from "../../src/base/ids.ts";
import { millis } from "../../src/base/ids.ts";
import { type Member, memberId, membershipOf } from "../../src/base/membership.ts";
import { Discovery, type DiscoveryView, ownTags } from "../../src/node/discovery.ts";
import { type Seen, tagsOf } from "../../src/node/nomination.ts";

const CLUSTER = "00112233445566778899aabbccddeeff";
const INSTANCE = "1".repeat(32);
const names = ["a", "b", "c"] as NodeId[];
const at = (ms: number) => (ms * 1000) as Instant;

const options = {
  address: "a:8400",
  bootstrap: false,
  expect: null,
  hasContacts: true,
  replacesWiped: true,
  tags: {},
  cleanupGrace: null,
};

function info(id: NodeId, isUp = true): MemberInfo {
  const said = { instance: INSTANCE, lag: 0, replication: null, answersAs: null };
  const plain = { isLeader: id === "a", ...said };
  return { id, address: `${id}:8400`, standing: "voter", isUp, ...plain };
}

function seen(name: NodeId, rest: Partial<Seen> = {}, address = `${name}:8400`): Seen {
  const self = { name, address, stage: "member", instance: INSTANCE, expect: null } as const;
  return { name, status: "alive", tags: tagsOf(CLUSTER, self), ...rest };
}

interface Told {
  readonly role?: string;
  readonly members?: MemberInfo[];
  readonly gossip?: Seen[];
  readonly lastIndex?: number;
}

/** What node a sees, which leads b and c. */
function view({ role = "leader", members, gossip, lastIndex = 5 }: Told = {}): DiscoveryView {
  const written: Member[] = names.map((name) => {
    return { id: memberId(name, INSTANCE), address: `${name}:8400` };
  });
  const status = {
    name: "a" as NodeId,
    clusterId: CLUSTER,
    state: "serving",
    role,
    lastIndex: lastIndex as LogIndex,
    members: members ?? names.map((name) => info(name)),
  } as unknown as NodeStatus;
  const raft = {
    self: memberId("a" as NodeId, INSTANCE) as MemberId,
    membership: membershipOf(lastIndex === 0 ? [] : written),
  };
  return { status, raft, gossip: gossip ?? names.map((name) => seen(name)) };
}

const made = (first = view()) => new Discovery(options, ownTags(options, first));
const nothing = { tags: null, news: [], change: null, notices: [] };

test("a leader whose members are where the log says does nothing", () => {
  const discovery = made();
  expect(discovery.look(at(0), view())).toEqual(nothing);
  expect(discovery.look(at(300), view())).toEqual(nothing);
});

test.each(["failed", "left", "leaving"] as const)(
  "a member of whom gossip says %s is not removed, whether it is up or down",
  (status) => {
    for (const isUp of [true, false]) {
      const members = [
        info(names[0] as NodeId),
        info(names[1] as NodeId),
        info("c" as NodeId, isUp),
      ];
      const gossip = [seen("a" as NodeId), seen("b" as NodeId), seen("c" as NodeId, { status })];
      const discovery = made();
      for (const ms of [0, 10_000, 3_600_000]) {
        expect(discovery.look(at(ms), view({ members, gossip })).change).toBeNull();
      }
    }
  },
);

test("a follower looks for members where gossip sees them, and the leader writes that down", () => {
  const gossip = [seen("a" as NodeId), seen("b" as NodeId), seen("c" as NodeId, {}, "c:9")];
  const hints = { kind: "addresses", members: [{ id: "c", address: "c:9" }] };
  const discovery = made();
  const follows = discovery.look(at(0), view({ role: "follower", gossip }));
  expect(follows).toEqual({ ...nothing, news: [hints] });
  expect(discovery.look(at(250), view({ role: "follower", gossip }))).toEqual(nothing);
  // Its link is up there by now, and still the log has the old address.
  const members = names.map((name) => ({ ...info(name), address: name === "c" ? "c:9" : "x" }));
  const { change } = discovery.look(at(500), view({ gossip, members }));
  expect(change).toEqual({ kind: "add", name: "c", address: "c:9", asVoter: true });
  expect(discovery.look(at(750), view()).news).toEqual([{ kind: "addresses", members: [] }]);
});

test("a leader makes one change at a time, and waits after one that was refused", () => {
  const gossip = [...names, "d" as NodeId, "e" as NodeId].map((name) => seen(name));
  const discovery = made();
  const changeAt = (ms: number) => discovery.look(at(ms), view({ gossip })).change?.name ?? null;
  expect(changeAt(0)).toBe("d");
  expect(changeAt(250)).toBeNull();
  const refused = discovery.changed(at(300), { code: "change-refused", what: "nobody answers" });
  expect(refused).toMatchObject({ facts: { member: "d", why: "nobody answers" } });
  expect(changeAt(500)).toBe("e");
  expect(discovery.changed(at(600), null)).toMatchObject({ what: "discovery-change" });
  expect(discovery.changed(at(600), null)).toBeNull();
  expect(changeAt(700)).toBe("e");
  discovery.changed(at(700), null);
  expect(changeAt(5_300)).toBe("d");
});

test("a node tells its tags once they change, and again when that failed", () => {
  const empty = view({ role: "none", members: [], gossip: [], lastIndex: 0 });
  const discovery = made(empty);
  expect(discovery.look(at(0), empty).tags).toBeNull();
  const tags = { rpc_addr: "a:8400", cluster: CLUSTER, stage: "member", instance: INSTANCE };
  expect(discovery.look(at(250), view()).tags).toEqual(tags);
  expect(discovery.look(at(500), view()).tags).toBeNull();
  discovery.untold();
  expect(discovery.look(at(750), view()).tags).toEqual(tags);
  const chosen = new Discovery({ ...options, tags: { zone: "z1" } }, {});
  expect(chosen.look(at(0), view()).tags).toEqual({ zone: "z1", ...tags });
});

test("a node founds with those it expects a second after it met somebody, once", () => {
  const waiting = (name: NodeId) => {
    const self = { name, address: `${name}:8400`, instance: INSTANCE } as const;
    return seen(name, { tags: tagsOf(CLUSTER, { ...self, stage: "empty", expect: 3 }) });
  };
  const gossip = names.map(waiting);
  const empty = view({ role: "none", members: [], gossip, lastIndex: 0 });
  const discovery = new Discovery({ ...options, expect: 3 }, {});
  const foundersAt = (ms: number) => {
    return discovery.look(at(ms), empty).news.flatMap((news) => {
      return "members" in news ? news.members.map(({ id }) => id) : [];
    });
  };
  expect(foundersAt(0)).toEqual([]);
  expect(foundersAt(999)).toEqual([]);
  expect(foundersAt(1000)).toEqual(names);
  expect(foundersAt(2000)).toEqual([]);
});

test("a leader removes who failed for longer than the grace that an operator gave", () => {
  const four = [...names, "d" as NodeId];
  const gossip = four.map((name) => seen(name, name === "d" ? { status: "failed" } : {}));
  const members = four.map((name) => info(name, name !== "d"));
  const grace = { ...options, cleanupGrace: millis(10_000) };
  const discovery = new Discovery(grace, ownTags(grace, view()));
  const changeAt = (ms: number) => discovery.look(at(ms), view({ gossip, members })).change;
  expect(changeAt(0)).toBeNull();
  expect(changeAt(9_999)).toBeNull();
  expect(changeAt(10_000)).toEqual({ kind: "remove", name: "d" });
});
