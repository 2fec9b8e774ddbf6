// User events and queries of members that are killed, cut apart, paused and lose packets at random;
// then the trouble ends. Held all the while: nobody is told of an event twice, acks come only from
// whom a query is for, once a name, and each query ends once. Held in the end: everybody hears.
import { describe, expect, test } from "vitest";
import { freeze } from "../../src/base/bytes.ts";
import type { Micros } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import { encodeUtf8 } from "../../src/base/utf8.ts";
import { retransmitLimit } from "../../src/gossip/formulas.ts";
import { LAN_PROFILE } from "../../src/gossip/profiles.ts";
import type { GossipRequestId, Heard } from "../../src/gossip/protocol.ts";
import { Fleet, type FleetNode, seconds } from "./fleet.ts";

const SEEDS = Number(process.env["CAIRN_GOSSIP_SEEDS"] ?? 8);
/**
 * Rumors come to most members within a second or two; whom they pass by is told by a push/pull, of
 * which each member begins one in this time, with somebody who is most likely told already.
 */
const PUSH_PULLS = 3;
const DISSEMINATION = (PUSH_PULLS * LAN_PROFILE.pushPullInterval) as Micros;

interface Asked {
  readonly asker: FleetNode;
  readonly life: number;
  readonly meant: ReadonlySet<string>;
  readonly acks: string[];
  readonly answers: string[];
  ends: number;
}

/** A fleet that talks, and what is held of it. */
class Talkers {
  readonly fleet: Fleet;
  readonly prng: Prng;
  /** By member and life: events told, and how far its list was read. */
  readonly #told = new Map<string, Set<string>>();
  readonly #read = new Map<FleetNode, number>();
  readonly #asked = new Map<GossipRequestId, Asked>();
  #events = 0;

  constructor(seed: string, size: number) {
    this.fleet = new Fleet(seed);
    this.prng = new Prng(seed);
    for (let at = 1; at <= size; at++) {
      const tags = new Map([["role", at % 3 === 0 ? "db" : "web"]]);
      const node = this.fleet.start(`n${at}`, { tags });
      if (at > 1) this.fleet.join(node, this.fleet.nodes[0] as FleetNode);
    }
  }

  toldTo(node: FleetNode): ReadonlySet<string> {
    return this.#told.get(`${node.name}/${node.life}`) ?? new Set();
  }

  get asked(): readonly Asked[] {
    return [...this.#asked.values()];
  }

  fire(node: FleetNode): string {
    this.#events += 1;
    const name = `e${this.#events}`;
    const payload = freeze(encodeUtf8(node.name));
    this.fleet.ask(node, (requestId) => {
      return { kind: "user-event", requestId, name, payload, coalesce: false };
    });
    return name;
  }

  ask(asker: FleetNode): void {
    const role = this.prng.pick(["^web$", "^db$", "b"]);
    const relayFactor = this.prng.pick([0, 0, 1, 3]);
    const meant = new Set(this.fleet.nodes.filter((node) => isMeant(node, role)).map(nameOf));
    const none = { acks: [], answers: [], ends: 0 };
    const filters = [{ kind: "tag", tag: "role", expression: role } as const];
    const requestId = this.fleet.ask(asker, (asked) => ({
      kind: "query",
      requestId: asked,
      question: {
        ...{ name: "who", payload: freeze(new Uint8Array(0)), filters },
        ...{ timeout: null, requestAck: true, relayFactor },
      },
    }));
    this.#asked.set(requestId, { asker, life: asker.life, meant, ...none });
  }

  /** Lets time pass; hosts answer what they are asked, and all that is held is looked at. */
  run(span: Micros): void {
    const end = this.fleet.now + span;
    while (this.fleet.now < end) {
      this.fleet.run(Math.min(seconds(0.25), end - this.fleet.now) as Micros);
      for (const node of this.fleet.nodes) this.#look(node);
    }
  }

  #look(node: FleetNode): void {
    const from = this.#read.get(node) ?? 0;
    this.#read.set(node, node.heard.length);
    for (const heard of node.heard.slice(from)) this.#heard(node, heard);
  }

  #heard(node: FleetNode, heard: Heard): void {
    if (heard.kind === "user-event") {
      const key = `${node.name}/${node.life}`;
      const told = this.#told.get(key) ?? new Set();
      expect(told.has(heard.name), `${key} is told of ${heard.name} twice`).toBe(false);
      this.#told.set(key, told.add(heard.name));
    } else if (heard.kind === "query") {
      const { queryId } = heard;
      const payload = freeze(encodeUtf8(node.name));
      this.fleet.ask(node, (requestId) => {
        return { kind: "answer-query", requestId, queryId, payload };
      });
    } else this.#replied(heard);
  }

  #replied(heard: Extract<Heard, { requestId: unknown }>): void {
    const asked = this.#asked.get(heard.requestId);
    if (asked === undefined) throw new Error("a reply to nothing that was asked");
    expect(asked.ends, "nothing comes of a query that has ended").toBe(0);
    if (heard.kind === "query-ended") {
      asked.ends += 1;
      const { acks, answers } = heard.tally;
      expect([acks, answers]).toEqual([asked.acks.length, asked.answers.length]);
      return;
    }
    const names = heard.kind === "query-ack" ? asked.acks : asked.answers;
    expect(names, "one of each a name").not.toContain(heard.from);
    expect([...asked.meant], "only whom it is for").toContain(heard.from);
    names.push(heard.from);
  }
}

const nameOf = ({ name }: FleetNode) => name;
const isMeant = ({ options }: FleetNode, role: string) =>
  new RegExp(role).test(options.tags.get("role") ?? "");

type Mishap = (talkers: Talkers, node: FleetNode) => void;

const MISHAPS: readonly Mishap[] = [
  ({ fleet }, node) => fleet.kill(node),
  ({ fleet, prng }, node) => {
    fleet.restart(node);
    fleet.join(node, ...prng.shuffled(fleet.up.filter((other) => other !== node)).slice(0, 3));
  },
  ({ fleet, prng }, node) => fleet.pause(node, prng.between(0, seconds(5)) as Micros),
  ({ fleet, prng }) => {
    const side = new Set(fleet.nodes.filter(() => prng.chance(1, 2)).map(nameOf));
    fleet.isOpen = (from, to) => side.has(from) === side.has(to);
  },
  ({ fleet }) => {
    fleet.isOpen = () => true;
  },
  ({ fleet, prng }) => {
    fleet.lossPercent = prng.below(40);
  },
];
const DOINGS: readonly Mishap[] = [
  (talkers, node) => void (node.isUp && talkers.fire(node)),
  (talkers, node) => {
    if (node.isUp && talkers.fleet.now >= node.pausedUntil) talkers.ask(node);
  },
];

/** Members after a while of trouble, all of them up and together again. */
function troubled(seed: string): Talkers {
  const prng = new Prng(`${seed}/plan`);
  const talkers = new Talkers(seed, prng.between(4, 9));
  const { fleet } = talkers;
  talkers.run(seconds(8));
  for (let count = 0; count < 40; count++) {
    const choices = prng.chance(1, 3) ? MISHAPS : DOINGS;
    prng.pick(choices)(talkers, prng.pick(fleet.nodes));
    talkers.run(prng.between(0, seconds(3)) as Micros);
  }
  fleet.isOpen = () => true;
  fleet.lossPercent = 0;
  for (const node of fleet.nodes.filter(({ isUp }) => !isUp)) fleet.restart(node);
  return talkers;
}

/** Whoever knows nobody asks again, as with a list of seeds. */
function settle(talkers: Talkers): void {
  const { fleet } = talkers;
  const began = fleet.now;
  while (fleet.now - began < seconds(400) && !fleet.isWhole()) {
    const [first, second] = fleet.nodes as [FleetNode, FleetNode];
    for (const node of fleet.up) fleet.join(node, node === first ? second : first);
    talkers.run(seconds(10));
  }
  // No join is under way any more: whoever joins hears of nothing before.
  talkers.run(seconds(15));
  expect(fleet.isWhole()).toBe(true);
}

describe("after the trouble", () => {
  for (let at = 1; at <= SEEDS; at++) {
    test(`of seed ${at} each event comes to everybody once, and queries to whom they are for`, () => {
      const talkers = troubled(`talk/${at}`);
      settle(talkers);
      const { fleet, prng } = talkers;
      const events = Array.from({ length: 6 }, () => talkers.fire(prng.pick(fleet.nodes)));
      const before = talkers.asked.length;
      for (let count = 0; count < 4; count++) talkers.ask(prng.pick(fleet.nodes));
      talkers.run(seconds(4));
      const soon = fleet.nodes.map((node) => events.filter((one) => talkers.toldTo(node).has(one)));
      // Rumors alone pass few by.
      expect(soon.flat().length).toBeGreaterThan(0.8 * events.length * fleet.nodes.length);
      const asked = talkers.asked.slice(before);
      const meant = asked.reduce((sum, one) => sum + one.meant.size, 0);
      const acked = asked.reduce((sum, one) => sum + one.acks.length, 0);
      expect(acked).toBeGreaterThan(0.8 * meant);
      talkers.run(DISSEMINATION);
      for (const node of fleet.nodes) {
        expect(events.filter((one) => !talkers.toldTo(node).has(one))).toEqual([]);
      }
      const lost = talkers.asked.filter(
        ({ asker, life, ends }) => asker.life === life && ends !== 1,
      );
      expect(lost).toEqual([]);
    });
  }
});

test("an event costs a member its share of rumors, however large the cluster", () => {
  const perEvent = [8, 32, 64].map((size) => {
    const talkers = new Talkers(`cost/${size}`, size);
    talkers.run(seconds(20));
    expect(talkers.fleet.isWhole()).toBe(true);
    const { fleet } = talkers;
    const sent = () => fleet.nodes.reduce((sum, node) => sum + node.packetsSent, 0) / size;
    const packetsIn = (run: () => void) => {
      const before = sent();
      run();
      return sent() - before;
    };
    const atRest = packetsIn(() => talkers.run(seconds(20)));
    const talking = packetsIn(() => {
      for (let count = 0; count < 10; count++) {
        talkers.fire(talkers.prng.pick(fleet.nodes));
        talkers.run(seconds(2));
      }
    });
    return { size, packets: (talking - atRest) / 10 };
  });
  for (const { size, packets } of perEvent) {
    const limit = retransmitLimit(LAN_PROFILE.retransmitMult, size);
    expect(packets, `${size} members`).toBeLessThanOrEqual(limit);
    expect(packets, `${size} members`).toBeGreaterThan(limit / 3);
  }
});
