// The rows of `cairn members`: what each says when members disagree, are gone or are known to
// gossip alone, how they look, and what a watcher in a pipe is told.

import { describe, expect, test } from "vitest";

import { Changes, rowsOf } from "../../src/cli/members.ts";
import { drawMembers, type MemberRow } from "../../src/cli/members-table.ts";
import { CairnError, type ServerStatus } from "../../src/client/client.ts";

type Seen = Parameters<typeof rowsOf>[0][number];

const names = ["n1", "n2", "n3"];
const addressOf = (name: string) => `10.0.0.${name.slice(1)}:8400`;
const gossiped = (name: string, status = "alive", tags = {}) => {
  return { name, address: `${name}:7946`, status, tags: { stage: "member", ...tags } };
};

function seen(name: string, rest: Partial<ServerStatus> = {}, leader = "n1"): Seen {
  const servers = names.map((id) => ({ id, address: addressOf(id), isLeader: id === leader }));
  const members = names.map((each) => {
    const lag = rest.role === "leader" ? 3 : null;
    const { address, isLeader } = { address: addressOf(each), isLeader: each === leader };
    const replication = rest.role === "leader" && !isLeader ? "snapshot" : null;
    const said = { instance: "", standing: "voter", lag, replication, answersAs: null };
    return { name: each, address, isLeader, ...said };
  });
  const status = { name, role: "follower", term: 2, members, gossip: [], ...rest };
  return { address: addressOf(name), servers, status: status as unknown as ServerStatus, ms: 4 };
}

const silent = (name: string): Seen => {
  const error = new CairnError("unreachable", "nobody answers", {});
  return { address: addressOf(name), servers: error, status: null, ms: 2000 };
};

describe("a row", () => {
  test("says what the leader of the latest term knows of a member", () => {
    const gossip = [gossiped("n1"), gossiped("n2", "failed"), gossiped("n3", "alive", { z: "1" })];
    const old = seen("n3", { role: "leader", term: 1 }, "n3");
    const rows = rowsOf([seen("n1", { role: "leader", gossip }), silent("n2"), old]);
    expect(rows.map(({ id, gossip: says, answers, lag }) => [id, says, answers, lag])).toEqual([
      ["n1", "alive", true, 3],
      ["n2", "failed", false, 3],
      ["n3", "alive", true, 3],
    ]);
    expect(rows[2]?.tags).toEqual({ stage: "member", z: "1" });
    expect(rows.map(({ replication }) => replication)).toEqual(["", "snapshot", "snapshot"]);
  });

  test("is there for whoever is in gossip only, and says no more than gossip does", () => {
    const gossip = [gossiped("looker", "left", { dc: "here" })];
    const [row] = rowsOf([seen("n1", { role: "leader", gossip })]);
    expect(row).toEqual({
      ...{ id: "looker", address: "looker:7946", role: "", standing: "", lag: null },
      replication: "",
      ...{ gossip: "left", tags: { stage: "member", dc: "here" }, answers: false, ms: null },
    });
  });
});

const row: MemberRow = {
  ...{ id: "n1", address: "10.0.0.1:8400", role: "leader", standing: "voter", lag: 0 },
  replication: "",
  ...{ gossip: "alive", tags: {}, answers: true, ms: 3 },
};

describe("the table", () => {
  const plain = { isTTY: false };

  test("says below a member that it is not sent to as usual", () => {
    const shown = (replication: string) => drawMembers([{ ...row, replication }], plain).slice(2);
    expect(["", "pipeline", "probe", "snapshot"].map(shown)).toEqual([
      [],
      [],
      ["  replication: probe"],
      ["  replication: snapshot"],
    ]);
  });

  test("shows all of a member in one line, and its tags below, without the node's own", () => {
    const tags = { stage: "member", zone: "z1", rack: "7" };
    const lost = { ...row, id: "n2", role: "follower", lag: null, gossip: "failed" };
    const rows = [
      { ...row, tags },
      { ...lost, answers: false, ms: null },
    ];
    expect(drawMembers(rows, plain)).toEqual([
      "member  address        role      standing  lag     gossip   answers",
      "n1      10.0.0.1:8400  leader    voter     0       alive    yes, 3 ms",
      "  zone=z1 rack=7",
      "n2      10.0.0.1:8400  follower  voter     -       failed   no",
    ]);
  });

  test.each([80, 120, 60])("fits %i columns, whatever members are called", (columns) => {
    const long = { ...row, id: "a-name-of-63-letters".padEnd(63, "x"), ms: 1234 };
    const rows = [
      { ...long, address: "a-host-of-63-letters.example.org:65535", tags: { a: "b".repeat(300) } },
      { ...row, lag: 123456, gossip: "leaving" },
    ];
    const widths = drawMembers(rows, { columns }).map(({ length }) => length);
    expect(Math.max(...widths)).toBeLessThanOrEqual(Math.max(columns, 80));
  });

  test("has room for any IPv4 address in 80 columns", () => {
    const address = "255.255.255.255:65535";
    const rows = [{ ...row, address, standing: "outgoing", lag: 999999, ms: 1999 }];
    const [, line] = drawMembers(rows, { columns: 80 });
    expect(line).toContain(address);
    expect(line?.length).toBeLessThanOrEqual(80);
  });
});

test("a watcher in a pipe hears of each row at first, then of changes, and of who is gone", async () => {
  const lines: Record<string, unknown>[] = [];
  const changes = new Changes({ line: async (text) => void lines.push(JSON.parse(text)) });
  const other = { ...row, id: "n2" };
  await changes.show([row, other]);
  await changes.show([{ ...row, ms: 99 }, other]);
  await changes.show([row, { ...other, gossip: "failed" }]);
  await changes.show([row]);
  const told = lines.map(({ id, gossip, gone }) => [id, gone ?? gossip]);
  expect(told).toEqual([
    ["n1", "alive"],
    ["n2", "alive"],
    ["n2", "failed"],
    ["n2", true],
  ]);
  expect(lines[0]?.["at"]).toMatch(/^\d{4}-\d\d-\d\dT/);
});
