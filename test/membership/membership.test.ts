// Membership as programs use it, on sockets and in the simulator: the seeds' test (three join, one
// leaves), failure, tags, and what people are told when something is wrong.

import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { millis } from "../../src/base/ids.ts";
import type { Member, Membership, MembershipOptions } from "../../src/service/membership.ts";
import type { QueryOptions, UserEvent } from "../../src/service/membership-talk.ts";
import { inTheSimulator, type MembershipBench, onSockets } from "./bench.ts";

const benches: readonly (readonly [string, () => MembershipBench])[] = [
  ["on sockets", onSockets],
  ["in the simulator", () => inTheSimulator("membership")],
];

const textOf = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** Impatient, so that failures take a second or two of real time. */
const timing = {
  probeInterval: millis(200),
  probeTimeout: millis(80),
  gossipInterval: millis(20),
  leavePropagateDelay: millis(50),
  suspicionMult: 3,
  reconnectInterval: millis(500),
};

class Told {
  readonly events: string[] = [];
  readonly handler = {
    join: (member: Member) => void this.events.push(`join ${member.name} ${member.addr}`),
    leave: (member: Member) => void this.events.push(`leave ${member.name}`),
    fail: (member: Member) => void this.events.push(`fail ${member.name}`),
    update: (member: Member) => void this.events.push(`update ${member.name}`),
    reap: (member: Member) => void this.events.push(`reap ${member.name}`),
  };

  count(kind: string): number {
    return this.events.filter((event) => event.startsWith(kind)).length;
  }
}

for (const [title, make] of benches) {
  describe(`membership ${title}`, () => {
    let bench: MembershipBench;
    let told: Told;
    beforeEach(() => {
      bench = make();
      told = new Told();
    });
    afterEach(() => bench.close());

    const open = (
      nodeName: string,
      others: readonly Membership[],
      more: Partial<MembershipOptions> = {},
    ): Promise<Membership> =>
      bench.open({
        nodeName,
        tags: { rpc_addr: `127.0.0.1:${nodeName}` },
        startJoinAddrs: others.map(({ localAddr }) => localAddr),
        timing,
        ...more,
      });
    const statusOf = (at: Membership, name: string) =>
      at.members().find((member) => member.name === name)?.status;

    test("three join and one leaves: the first is told of both joins and of the leave", async () => {
      const first = await open("0", [], { handler: told.handler });
      const second = await open("1", [first]);
      const third = await open("2", [first]);
      await bench.until(() => told.count("join") === 2 && first.members().length === 3, 3000);
      expect(told.events.toSorted()).toEqual([
        `join 1 ${second.localAddr}`,
        `join 2 ${third.localAddr}`,
      ]);
      expect(first.members().map(({ name, status }) => [name, status])).toEqual([
        ["0", "alive"],
        ["1", "alive"],
        ["2", "alive"],
      ]);
      await bench.until(() => second.members().length === 3 && third.members().length === 3, 3000);
      expect(second.members()).toEqual(first.members());

      await bench.settle(third.leave());
      await bench.until(() => told.count("leave") === 1, 3000);
      expect(told.events.at(-1)).toBe("leave 2");
      expect(first.members()).toHaveLength(3);
      expect(first.members()[2]).toMatchObject({ name: "2", status: "left" });
      await bench.until(() => statusOf(second, "2") === "left", 3000);
    });

    test("an event comes to all, and of a burst that may coalesce the last", async () => {
      const heard: string[] = [];
      const hear = (at: string) => ({
        handler: {
          event: ({ name, payload, coalesced, time }: UserEvent) => {
            heard.push(`${at}: ${name} ${textOf(payload)} t${time}${coalesced ? " last" : ""}`);
          },
        },
      });
      const windows = {
        userCoalescePeriod: millis(400),
        userQuiescentPeriod: millis(200),
      };
      const more = { timing: { ...timing, ...windows } };
      const first = await open("0", [], { ...hear("0"), ...more });
      const second = await open("1", [first], { ...hear("1"), ...more });
      await bench.until(() => second.members().length === 2, 3000);
      await bench.settle(first.userEvent("deploy", "v1", { coalesce: false }));
      await bench.until(() => heard.length === 2, 3000);
      for (const version of ["v2", "v3"]) await bench.settle(second.userEvent("deploy", version));
      await bench.until(() => heard.length === 4, 3000);
      expect(heard.toSorted()).toEqual([
        "0: deploy v1 t1",
        "0: deploy v3 t3 last",
        "1: deploy v1 t1",
        "1: deploy v3 t3 last",
      ]);
      await expect(bench.settle(first.userEvent("big", new Uint8Array(600)))).rejects.toMatchObject(
        {
          code: "too-large",
        },
      );
      await expect(bench.settle(first.userEvent("bad\nname"))).rejects.toThrow(
        "control characters",
      );
    });

    test("a query comes to whom it is for, and its answers to who asks", async () => {
      const answers = (name: string): Partial<MembershipOptions> => ({
        tags: { role: name === "0" ? "web" : "db" },
        handler: {
          query: ({ name: asked, from, respond }) => {
            if (asked === "who") void respond(`${name} to ${from}`);
          },
        },
      });
      const first = await open("0", [], answers("0"));
      const second = await open("1", [first], answers("1"));
      const third = await open("2", [first], answers("2"));
      await bench.until(() => [second, third].every((one) => one.members().length === 3), 3000);
      const repliesTo = async (options: QueryOptions, name = "who") => {
        const running = await first.query(name, "", { timeoutMs: 400, ...options });
        expect(running.timeoutMs).toBe(options.timeoutMs ?? 400);
        const replies: string[] = [];
        for await (const reply of running) {
          replies.push(reply.kind === "ack" ? `ack ${reply.from}` : textOf(reply.payload));
        }
        const { acks, answers: answered, unread } = await running.ended;
        expect([acks + answered, unread]).toEqual([replies.length, 0]);
        return replies.sort();
      };
      const all = ["0 to 0", "1 to 0", "2 to 0"];
      expect(await bench.settle(repliesTo({}))).toEqual(all);
      const acks = ["ack 0", "ack 1", "ack 2"];
      expect(await bench.settle(repliesTo({ requestAck: true }))).toEqual([...all, ...acks]);
      expect(await bench.settle(repliesTo({ filterTags: { role: "^d" } }))).toEqual(all.slice(1));
      expect(await bench.settle(repliesTo({ filterNodes: ["2", "9"] }))).toEqual(all.slice(2));
      const relayed = { requestAck: true, relayFactor: 2 };
      expect(await bench.settle(repliesTo(relayed, "_serf_ping"))).toEqual(acks);
    });

    test("who asks what cannot be asked is told why", async () => {
      const only = await open("0", []);
      const asked = (name: string, options: QueryOptions = {}) =>
        bench.settle(only.query(name, "", options));
      await expect(asked("_serf_conflict")).rejects.toThrow("are Serf's own");
      await expect(asked("")).rejects.toThrow("1 to 255 bytes");
      await expect(asked("a", { filterTags: { role: "(" } })).rejects.toThrow('"(" for role');
      await expect(asked("a", { relayFactor: 256 })).rejects.toThrow("0 to 255");
      await expect(asked("a", { timeoutMs: 0 })).rejects.toThrow("timeoutMs 0");
      await expect(asked("a", { filterNodes: [""] })).rejects.toThrow("no member's name");
      const long = "x".repeat(900);
      await expect(
        asked("a", { filterNodes: [long.slice(0, 250), long.slice(1, 251)] }),
      ).resolves.toBeDefined();
      await expect(bench.settle(only.query(long))).rejects.toThrow("1 to 255 bytes");
      await expect(bench.settle(only.query("a", `${long}${long}`))).rejects.toMatchObject({
        code: "too-large",
      });
      const running = await asked("a");
      await bench.kill(only);
      expect(await running.ended).toMatchObject({ acks: 0, answers: 0 });
    });

    test("a member that says nothing more has failed, and is back when it is", async () => {
      const first = await open("a", [], { handler: told.handler });
      const second = await open("b", [first]);
      const third = await open("c", [first]);
      await bench.until(() => second.members().length === 3, 3000);
      await bench.kill(third);
      await bench.until(() => told.count("fail") === 1, 20_000);
      expect(told.events.at(-1)).toBe("fail c");
      expect(statusOf(first, "c")).toBe("failed");
      await bench.until(() => statusOf(second, "c") === "failed", 3000);
      await bench.settle(first.forceLeave("c"));
      await bench.until(() => statusOf(second, "c") === "left", 3000);
      expect(told.events.at(-1)).toBe("leave c");
    });

    test("new tags are told to all", async () => {
      const first = await open("a", [], { handler: told.handler });
      const second = await open("b", [first]);
      await bench.until(() => first.members().length === 2, 3000);
      expect(first.members()[1]?.tags).toEqual({ rpc_addr: "127.0.0.1:b" });
      await bench.settle(second.setTags({ role: "voter", zone: "ä" }));
      await bench.until(() => told.count("update") === 1, 3000);
      expect(first.members()[1]?.tags).toEqual({ role: "voter", zone: "ä" });
      expect(second.members()[1]?.tags).toEqual({ role: "voter", zone: "ä" });
    });

    test("tags that are too large are refused with their size", async () => {
      const first = await open("a", []);
      const tags = { long: "x".repeat(600) };
      await expect(bench.settle(first.setTags(tags))).rejects.toMatchObject({
        code: "tags-too-large",
        message: expect.stringMatching(/610 bytes, 512 at most/),
      });
      await expect(open("b", [], { tags })).rejects.toMatchObject({ code: "bad-options" });
      await expect(open("", [])).rejects.toMatchObject({
        code: "bad-options",
        message: expect.stringContaining("nodeName"),
      });
    });

    test("nobody to join is an error that names whom it tried", async () => {
      const first = await open("a", []);
      await bench.kill(first);
      const lonely = open("b", [first]);
      await expect(lonely).rejects.toMatchObject({
        code: "unreachable",
        message: expect.stringContaining(first.localAddr),
      });
    });

    test("a member may be told to join itself, as when all are given one list", async () => {
      const first = await open("a", []);
      await expect(bench.settle(first.join([first.localAddr]))).resolves.toBe(0);
      const second = await open("b", [first]);
      const list = [first.localAddr, second.localAddr];
      await expect(bench.settle(second.join(list))).resolves.toBe(1);
      await bench.until(() => first.members().length === 2, 3000);
      expect(second.members()).toEqual(first.members());
    });

    test("force-leave of a name that nobody knows is refused", async () => {
      const first = await open("a", []);
      await expect(bench.settle(first.forceLeave("nobody"))).rejects.toMatchObject({
        code: "unknown-member",
      });
    });

    test("after it left, a member refuses requests; after it stopped, they end", async () => {
      const first = await open("a", []);
      await bench.settle(first.leave());
      await bench.settle(first.leave());
      await expect(bench.settle(first.setTags({}))).rejects.toMatchObject({ code: "left" });
      await bench.settle(first.stop());
      await bench.settle(first.stop());
      await expect(bench.settle(first.setTags({}))).rejects.toMatchObject({ code: "stopped" });
    });

    test("a handler that throws is reported and changes nothing", async () => {
      const first = await open("a", [], {
        handler: {
          join: () => {
            throw new Error("my own bug");
          },
          leave: told.handler.leave,
        },
      });
      const second = await open("b", [first]);
      await bench.until(() => first.members().length === 2, 3000);
      await bench.settle(second.leave());
      await bench.until(() => told.events.includes("leave b"), 3000);
    });
  });
}

describe("membership in the simulator", () => {
  test("keeps trying to join whom it was told to, until somebody is there", async () => {
    const bench = inTheSimulator("retry");
    const told = new Told();
    const second = await bench.open({
      nodeName: "b",
      startJoinAddrs: ["a"],
      retryJoinMs: 5000,
      handler: told.handler,
    });
    expect(second.members()).toHaveLength(1);
    bench.world.run(millis(60_000));
    await bench.open({ nodeName: "a" });
    await bench.until(() => told.count("join") === 1, 10_000);
    expect(second.members().map(({ name }) => name)).toEqual(["a", "b"]);
  });
});
