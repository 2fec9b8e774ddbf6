// What the simulated network does to frames when it is told to be bad; what it does when all is
// well is in test/contract.

import { describe, expect, test } from "vitest";

import type { CrashKind } from "../../sim/observer.ts";
import type { NetworkProfile } from "../../sim/plan.ts";
import { planOf } from "../../sim/plan.ts";
import { type SimEndpoint, SimNetwork } from "../../sim/sim-network.ts";
import { Timeline } from "../../sim/timeline.ts";
import type { FrozenBytes } from "../../src/base/bytes.ts";
import type { LinkId, NodeId } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import type { NetworkInbox } from "../../src/ports/network.ts";

const A = "a" as NodeId;
const B = "b" as NodeId;
const LINK = 2 as LinkId;

/** Writes down what one end hears. */
class Ear implements NetworkInbox {
  readonly heard: string[] = [];
  hasRoom = true;
  #nextLink = 1;

  get frames(): string[] {
    return this.heard.filter((text) => /^[0-9]+$/.test(text));
  }

  nextLinkId(): LinkId {
    this.#nextLink += 2;
    return this.#nextLink as LinkId;
  }

  linkOpened(_link: LinkId, dialed: boolean, identity: readonly string[] | null): void {
    this.heard.push(`${dialed ? "reached" : "called by"} ${identity?.join()}`);
  }

  linkFrame(_link: LinkId, frame: FrozenBytes): boolean {
    if (this.hasRoom) this.heard.push(new TextDecoder().decode(frame));
    return this.hasRoom;
  }

  linkClosed(_link: LinkId, why: string): void {
    this.heard.push(`closed: ${why}`);
  }
}

class Bench {
  readonly timeline = new Timeline();
  readonly network: SimNetwork;
  readonly left: SimEndpoint;
  readonly ears = { a: new Ear(), b: new Ear() };

  constructor(trouble: Partial<NetworkProfile> = {}, seed = "sim network") {
    const calm = planOf({ format: 1, seed, nodes: 3, operations: [], mishaps: [], healAtMs: 0 });
    const profile = { ...calm.network, ...trouble };
    this.network = new SimNetwork(this.timeline, profile, new Prng(seed), () => undefined);
    this.left = this.plug(A, this.ears.a);
    this.plug(B, this.ears.b);
  }

  plug(name: NodeId, ear: Ear): SimEndpoint {
    const endpoint = this.network.plug(name);
    endpoint.attach(ear);
    return endpoint;
  }

  dial(): this {
    this.left.dial(LINK, B, "b.sim:1", "control");
    this.settle();
    return this;
  }

  send(text: string): boolean {
    const [first, rest] = [text.slice(0, 1), text.slice(1)];
    return this.left.send(LINK, [new TextEncoder().encode(first), new TextEncoder().encode(rest)]);
  }

  /** Dials, says hello, then sends the numbers from 1 on, one a millisecond. */
  sendMany(count: number): void {
    this.dial().send("hello");
    for (let at = 1; at <= count; at++) {
      this.timeline.advanceTo(this.timeline.now + 1000);
      this.send(String(at));
    }
    this.settle();
  }

  settle(): void {
    while (this.timeline.next !== Number.POSITIVE_INFINITY) this.timeline.advance();
  }
}

const numbers = (count: number) => Array.from({ length: count }, (_, at) => String(at + 1));
const sorted = (frames: readonly string[]) => [...frames].sort((a, b) => Number(a) - Number(b));

describe("a network with troubles", () => {
  test("loses some frames, and never the hello", () => {
    const bench = new Bench({ dropPerMille: 500 });
    bench.sendMany(200);
    const { frames } = bench.ears.b;
    expect(bench.ears.b.heard).toContain("hello");
    expect(frames.length).toBeGreaterThan(50);
    expect(frames.length).toBeLessThan(150);
    expect(frames).toEqual(sorted(frames));
  });

  test("repeats some frames, some of them long after", () => {
    const bench = new Bench({ duplicatePerMille: 200, replayPerMille: 500 });
    bench.sendMany(200);
    const { frames } = bench.ears.b;
    expect(frames.length).toBeGreaterThan(210);
    expect(sorted([...new Set(frames)])).toEqual(numbers(200));
    const late = frames.slice(frames.lastIndexOf("200") + 1);
    expect(late.length).toBeGreaterThan(0);
  });

  test("lets some frames overtake others, and none the hello", () => {
    const bench = new Bench({ reorderPerMille: 300, delayMeanMicros: 20_000 });
    bench.sendMany(200);
    const { frames, heard } = bench.ears.b;
    expect(frames).not.toEqual(numbers(200));
    expect(sorted(frames)).toEqual(numbers(200));
    expect(heard.indexOf("hello")).toBe(1);
  });

  test("refuses a frame when the link is full, and takes nothing of it", () => {
    const bench = new Bench({ linkFramesMax: 3 });
    bench.dial().send("hello");
    expect([bench.send("1"), bench.send("2"), bench.send("3")]).toEqual([true, true, false]);
    bench.settle();
    expect(bench.ears.b.frames).toEqual(["1", "2"]);
    expect(bench.send("4")).toBe(true);
  });

  test("offers a frame again, in order, to a node that had no room", () => {
    const bench = new Bench();
    bench.dial().send("hello");
    bench.settle();
    bench.ears.b.hasRoom = false;
    for (const text of ["1", "2", "3"]) bench.send(text);
    bench.timeline.advanceTo(bench.timeline.now + 50_000);
    bench.ears.b.hasRoom = true;
    bench.settle();
    expect(bench.ears.b.frames).toEqual(["1", "2", "3"]);
  });
});

describe("a path with little room", () => {
  /** What comes of five frames sent at once where there is room for two. */
  const arrived = (overflow: NetworkProfile["overflow"]) => {
    const evicted: string[] = [];
    for (let at = 0; at < 20; at++) {
      const bench = new Bench({ transitFramesMax: 2, overflow }, `room ${at}`);
      bench.network.evicted = (from, to) => void evicted.push(`${from}>${to}`);
      bench.dial().send("hello");
      bench.settle();
      for (const text of numbers(5)) expect(bench.send(text)).toBe(true);
      bench.settle();
      const { frames } = bench.ears.b;
      // Each path draws its room by itself: one frame, or two.
      if (frames.length === 1) continue;
      expect(evicted.slice(-3)).toEqual(["a>b", "a>b", "a>b"]);
      return frames;
    }
    return [];
  };

  test("throws away the oldest frame that is not on the wire, or the newest, as the plan says", () => {
    expect(arrived("oldest")).toEqual(["1", "5"]);
    expect(arrived("newest")).toEqual(["1", "2"]);
  });

  test("has room again when what was on the way has arrived, and never evicts the hello", () => {
    const bench = new Bench({ transitFramesMax: 1 });
    bench.sendMany(20);
    expect(bench.ears.b.heard[1]).toBe("hello");
    expect(bench.ears.b.frames.length).toBeGreaterThan(5);
  });

  test("throws nothing away once everything is healed", () => {
    const bench = new Bench({ transitFramesMax: 1 });
    bench.dial().send("hello");
    bench.settle();
    bench.network.calm();
    for (const text of numbers(5)) bench.send(text);
    bench.settle();
    expect(bench.ears.b.frames).toEqual(numbers(5));
  });
});

describe("a cut path", () => {
  test("carries nothing one way while the other way is open", () => {
    const bench = new Bench();
    bench.dial().send("hello");
    bench.settle();
    bench.network.cut(A, B);
    bench.send("1");
    bench.settle();
    expect(bench.ears.b.frames).toEqual([]);
    bench.network.mend(A, B);
    bench.send("2");
    bench.settle();
    expect(bench.ears.b.frames).toEqual(["2"]);
  });

  test("stays cut until each of two mishaps is over", () => {
    const bench = new Bench();
    bench.dial().send("hello");
    bench.network.cut(A, B);
    bench.network.cut(A, B);
    bench.network.mend(A, B);
    bench.send("1");
    bench.network.mend(A, B);
    bench.send("2");
    bench.settle();
    expect(bench.ears.b.frames).toEqual(["2"]);
  });

  test("makes dialing time out, whichever way is cut", () => {
    for (const [from, to] of [
      [A, B],
      [B, A],
    ] as const) {
      const bench = new Bench();
      bench.network.cut(from, to);
      bench.dial();
      expect(bench.ears.a.heard).toEqual(["closed: timed out"]);
      expect(bench.ears.b.heard).toEqual([]);
    }
  });
});

describe("a node that is gone", () => {
  const goneAfterHello = (kind: CrashKind) => {
    const bench = new Bench();
    bench.dial().send("hello");
    bench.settle();
    const before = bench.timeline.now;
    bench.network.unplug(B, kind);
    bench.settle();
    expect(bench.ears.a.heard.at(-1)).toMatch(/^closed: /);
    return bench.timeline.now - before;
  };

  test("closes its links at once when its process died, and after a silence without power", () => {
    expect(goneAfterHello("process")).toBeLessThan(20_000);
    expect(goneAfterHello("power")).toBeGreaterThan(20_000);
  });

  test("refuses who dials it, until it is there again", () => {
    const bench = new Bench();
    bench.network.unplug(B, "process");
    bench.dial();
    expect(bench.ears.a.heard).toEqual(["closed: refused"]);
    const ear = new Ear();
    bench.plug(B, ear);
    bench.left.dial(4 as LinkId, B, "b.sim:1", "bulk");
    bench.settle();
    expect(ear.heard).toEqual(["called by a.peer.cairn"]);
    expect(bench.ears.a.heard.at(-1)).toBe("reached b.peer.cairn");
  });

  test("hears nothing that was on the way to it", () => {
    const bench = new Bench();
    bench.dial().send("hello");
    bench.settle();
    bench.send("1");
    bench.network.unplug(B, "process");
    bench.settle();
    expect(bench.ears.b.frames).toEqual([]);
  });
});

describe("a network under a mishap", () => {
  test("holds what comes to a clog, and lets all of it go in order at the end", () => {
    const bench = new Bench();
    bench.dial().send("hello");
    bench.settle();
    bench.network.clog(A, B);
    for (const text of numbers(5)) bench.send(text);
    bench.settle();
    expect(bench.ears.b.frames).toEqual([]);
    bench.network.unclog(A, B);
    bench.settle();
    expect(bench.ears.b.frames).toEqual(numbers(5));
  });

  test("keeps a clog until as many ended as began", () => {
    const bench = new Bench();
    bench.dial().send("hello");
    bench.settle();
    for (let left = 2; left > 0; left--) bench.network.clog(A, B);
    bench.send("1");
    bench.network.unclog(A, B);
    bench.settle();
    expect(bench.ears.b.frames).toEqual([]);
    bench.network.unclog(A, B);
    bench.settle();
    expect(bench.ears.b.frames).toEqual(["1"]);
  });

  test("makes connections to a mute node on which it never says hello", () => {
    const bench = new Bench();
    bench.network.mute(A, 1);
    bench.dial().send("hello");
    bench.settle();
    expect(bench.ears.a.heard).toEqual(["reached b.peer.cairn"]);
    expect(bench.ears.b.heard).toEqual(["called by a.peer.cairn"]);
  });

  test("leaves one end of a half-closed link in its belief until it is told", () => {
    const bench = new Bench();
    bench.dial().send("hello");
    bench.settle();
    const tell = bench.network.at(B)?.halfClose("reset by peer");
    bench.settle();
    expect(bench.ears.b.heard.at(-1)).toBe("closed: reset by peer");
    expect(bench.send("1")).toBe(true);
    bench.settle();
    expect(bench.ears.a.heard).toEqual(["reached b.peer.cairn"]);
    expect(bench.ears.b.frames).toEqual([]);
    tell?.();
    bench.settle();
    expect(bench.ears.a.heard.at(-1)).toBe("closed: reset by peer");
  });

  test("flips bits of some frames, and of no other's copy", () => {
    const bench = new Bench();
    bench.dial().send("hello");
    bench.network.setCorruption(500);
    const text = "a frame of forty bytes, more or less so.";
    for (let left = 100; left > 0; left--) {
      bench.send(text);
      bench.settle();
    }
    const frames = bench.ears.b.heard.slice(2);
    const whole = frames.filter((frame) => frame === text).length;
    expect(frames.length).toBe(100);
    expect(whole).toBeGreaterThan(25);
    expect(whole).toBeLessThan(75);
  });

  test("leaves whoever dials, or is dialed by, an unanswering node without a word", () => {
    for (const name of [A, B]) {
      const bench = new Bench();
      bench.network.leaveUnanswered(name, 1);
      bench.dial();
      expect([bench.ears.a.heard, bench.ears.b.heard]).toEqual([[], []]);
      bench.network.leaveUnanswered(name, -1);
      bench.left.dial(4 as LinkId, B, "b.sim:1", "bulk");
      bench.settle();
      expect(bench.ears.a.heard).toEqual(["reached b.peer.cairn"]);
    }
  });

  test("holds nothing, changes nothing and is silent to nobody when all has ended", () => {
    const bench = new Bench();
    bench.network.mute(A, 1);
    bench.network.mute(A, -1);
    bench.network.setCorruption(1000);
    bench.network.setCorruption(0);
    bench.sendMany(50);
    expect(bench.ears.b.frames).toEqual(numbers(50));
  });
});
