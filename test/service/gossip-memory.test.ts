// What a gossip member keeps for its next life: the bytes, what damage to them costs, and that a
// life begins where the last one ended.

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";

import { GossipWorld, USUAL_NETWORK } from "../../sim/gossip-world.ts";
import { GossipFile } from "../../src/adapters/gossip-file.ts";
import { millis } from "../../src/base/ids.ts";
import type { Notice } from "../../src/base/notice.ts";
import type { Incarnation } from "../../src/gossip/messages.ts";
import {
  decodeRemembered,
  encodeRemembered,
  type GossipMemory,
  type Remembered,
} from "../../src/service/gossip-memory.ts";
import { Membership, openMembership } from "../../src/service/membership.ts";

const remembered: Remembered = {
  incarnation: 7 as Incarnation,
  members: [{ name: "n2", addr: "10.0.0.2:7946" }],
};

describe("a memory as bytes", () => {
  test("is two lines that say what they are", () => {
    const text = Buffer.from(encodeRemembered(remembered)).toString();
    expect(text).toBe(
      'cairn-gossip 1 292adb81\n{"incarnation":7,"members":[{"name":"n2","addr":"10.0.0.2:7946"}]}\n',
    );
    expect(decodeRemembered(Buffer.from(text))).toEqual(remembered);
  });

  test("with any byte changed, or cut anywhere, is none", () => {
    const whole = encodeRemembered(remembered);
    const spot = fc.nat({ max: whole.length - 1 });
    fc.assert(
      fc.property(spot, fc.integer({ min: 1, max: 255 }), (place, by) => {
        const spoilt = Uint8Array.from(whole);
        spoilt[place] = (spoilt[place] ?? 0) ^ by;
        expect(decodeRemembered(spoilt)).toBeNull();
        expect(decodeRemembered(whole.subarray(0, place))).toBeNull();
      }),
    );
  });
});

describe("a memory as a file", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "gossip-memory-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const file = path.join(folder, ".gossip");
  const notices: Notice[] = [];
  const telemetry = { notice: (notice: Notice) => void notices.push(notice) };

  test("keeps the latest for the next life", async () => {
    const first = new GossipFile(file, telemetry);
    expect(first.remembered).toBeNull();
    for (const incarnation of [1, 2, 3]) {
      first.keep({ ...remembered, incarnation: incarnation as Incarnation });
    }
    first.keep(remembered);
    await first.settled();
    expect(new GossipFile(file, telemetry).remembered).toEqual(remembered);
    expect(notices).toEqual([]);
  });

  test("that is damaged is none, and the operator is told", async () => {
    writeFileSync(file, readFileSync(file).subarray(3));
    expect(new GossipFile(file, telemetry).remembered).toBeNull();
    expect(notices.splice(0)).toMatchObject([
      { what: "gossip-memory", facts: { file, how: "unreadable" } },
    ]);
  });

  test("that cannot be written costs a notice and nothing else", async () => {
    const nowhere = new GossipFile(path.join(folder, "missing", ".gossip"), telemetry);
    nowhere.keep(remembered);
    await nowhere.settled();
    expect(notices.splice(0)).toMatchObject([{ facts: { how: "unwritten" } }]);
  });
});

/** Kept in memory, as a file would. */
class Kept implements GossipMemory {
  remembered: Remembered | null = null;
  last: Remembered | null = null;

  keep(kept: Remembered): void {
    this.last = kept;
  }

  /** For the next life. */
  reopen(): this {
    this.remembered = this.last;
    return this;
  }
}

describe("a member with a memory", () => {
  function twoMembers() {
    const world = new GossipWorld({ seed: "memory", network: USUAL_NETWORK, driftPpmMax: 0 });
    const kept = new Kept();
    const open = () => {
      const ports = { ...world.seat("a").ports, memory: kept.reopen() };
      return openMembership({ nodeName: "a" }, ports);
    };
    const b = new Membership({ nodeName: "b" }, world.seat("b").ports);
    return { world, kept, open, b };
  }
  /** Lets time pass until the promise is kept, a while at most. */
  async function until<Value>(world: GossipWorld, promise: Promise<Value>): Promise<Value> {
    let isDone = false;
    const done = () => {
      isDone = true;
    };
    promise.then(done, done);
    for (let turn = 0; turn < 1000 && !isDone; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      world.run(millis(50));
    }
    return promise;
  }
  const statusAt = (membership: Membership, name: string) =>
    membership.members().find((member) => member.name === name)?.status;

  test("finds the others after a crash although it is told of nobody", async () => {
    const { world, kept, open, b } = twoMembers();
    const a = await open();
    await until(world, a.join([b.localAddr]));
    expect(kept.last?.members).toEqual([{ name: "b", addr: b.localAddr }]);
    world.crash("a");
    world.run(millis(30_000));
    expect(statusAt(b, "a")).toBe("failed");
    const again = await open();
    for (let turn = 0; turn < 20; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
      world.run(millis(50));
    }
    expect(statusAt(again, "b")).toBe("alive");
    expect(statusAt(b, "a")).toBe("alive");
  });

  test("begins above every incarnation of its life before, so that nobody believes it dead", async () => {
    const { world, kept, open } = twoMembers();
    const a = await open();
    for (const life of ["1", "2", "3"]) void a.setTags({ life });
    world.run(millis(100));
    const { incarnation } = a.status();
    expect(incarnation).toBe(4);
    world.crash("a");
    const again = await open();
    expect(again.status().incarnation).toBe(5);
    expect(kept.last?.incarnation).toBe(5);
  });

  test("that said good-bye looks for nobody in its next life", async () => {
    const { world, kept, open, b } = twoMembers();
    const a = await open();
    await until(world, a.join([b.localAddr]));
    await until(world, a.leave());
    expect(kept.last?.members).toEqual([]);
    expect(kept.last?.incarnation).toBeGreaterThan(0);
  });
});
