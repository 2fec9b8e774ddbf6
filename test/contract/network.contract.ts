// What every Network must do while nothing goes wrong, real or simulated: the promises of
// src/ports/network.ts as tests. Owns no network; the files that know one hand it in.

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { equalBytes, type FrozenBytes } from "../../src/base/bytes.ts";
import type { LinkId, NodeId } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import type { Network, NetworkInbox } from "../../src/ports/network.ts";

export interface NetworkEnd {
  /** Fresh, without an inbox. */
  readonly network: Network;
  readonly name: NodeId;
  readonly address: string;
}

export interface NetworkUnderTest {
  readonly a: NetworkEnd;
  readonly b: NetworkEnd;
  /** Where nobody listens. */
  readonly nobody: { readonly name: NodeId; readonly address: string };
  /** Frames up to this long pass. */
  readonly frameBytesMax: number;
  /** Lets the network's work go on: one step of virtual time, or one round of the event loop. */
  drive(): Promise<void>;
  close(): Promise<void>;
}

/** Hears one end of the network, and refuses frames while told to. */
export class Ear implements NetworkInbox {
  readonly opened: {
    link: LinkId;
    dialed: boolean;
    identity: readonly string[] | null;
  }[] = [];
  readonly frames: { link: LinkId; frame: FrozenBytes }[] = [];
  readonly closed: { link: LinkId; why: string }[] = [];
  refusals = 0;
  refusesNext = 0;
  #nextAccepted = 1;

  /** As src/node does: odd for accepted links, even for dialed ones. */
  nextLinkId(): LinkId {
    const link = this.#nextAccepted as LinkId;
    this.#nextAccepted += 2;
    return link;
  }

  linkOpened(link: LinkId, dialed: boolean, identity: readonly string[] | null): void {
    this.opened.push({ link, dialed, identity });
  }

  linkFrame(link: LinkId, frame: FrozenBytes): boolean {
    if (this.refusesNext > 0) {
      this.refusesNext--;
      this.refusals++;
      return false;
    }
    this.frames.push({ link, frame });
    return true;
  }

  linkClosed(link: LinkId, why: string): void {
    this.closed.push({ link, why });
  }

  /** Bytes heard on a link, frame by frame. */
  heardOn(link: LinkId): FrozenBytes[] {
    return this.frames.filter((heard) => heard.link === link).map(({ frame }) => frame);
  }
}

const FIRST = 2 as LinkId;
const SECOND = 4 as LinkId;

export function networkContract(name: string, make: () => Promise<NetworkUnderTest>): void {
  describe(`the network contract: ${name}`, () => {
    let bench: NetworkUnderTest;
    let a: Network;
    let b: Network;
    let atA: Ear;
    let atB: Ear;

    beforeEach(async () => {
      bench = await make();
      a = bench.a.network;
      b = bench.b.network;
      atA = new Ear();
      atB = new Ear();
      a.attach(atA);
      b.attach(atB);
    });
    afterEach(() => bench.close());

    const until = async (isDone: () => boolean): Promise<void> => {
      while (!isDone()) await bench.drive();
    };
    /** Time for whatever should not happen. */
    const aWhile = async (): Promise<void> => {
      for (let round = 0; round < 30; round++) await bench.drive();
    };
    /** A dials B; the id that B gave the link. */
    const open = async (link = FIRST): Promise<LinkId> => {
      const before = atB.opened.length;
      a.dial(link, bench.b.name, bench.b.address, "control");
      await until(() => atA.opened.some((opened) => opened.link === link));
      await until(() => atB.opened.length > before);
      return atB.opened[before]?.link as LinkId;
    };

    test("a dialed link opens once at both ends, not inside the call", async () => {
      a.dial(FIRST, bench.b.name, bench.b.address, "control");
      expect(atA.opened).toEqual([]);
      await until(() => atA.opened.length + atB.opened.length === 2);
      await aWhile();
      expect(atA.opened).toMatchObject([{ link: FIRST, dialed: true }]);
      expect(atB.opened).toMatchObject([{ link: 1, dialed: false }]);
      expect([...atA.closed, ...atB.closed]).toEqual([]);
    });

    test("frames of all sizes arrive whole, in order, their parts joined", async () => {
      const prng = new Prng("network contract");
      const link = await open();
      const sizes = [1, 3, 4, 5, 100, 4095, 4096, 70_000, 300_000, bench.frameBytesMax, 2];
      const sent = sizes.map((size) => prng.bytes(size));
      for (const frame of sent) {
        const middle = frame.length >> 1;
        const parts = [frame.subarray(0, middle), new Uint8Array(0), frame.subarray(middle)];
        await until(() => a.send(FIRST, parts));
      }
      await until(() => atB.frames.length === sent.length);
      const heard = atB.heardOn(link);
      expect(heard.map((frame) => frame.length)).toEqual(sizes);
      expect(heard.every((frame, at) => equalBytes(frame, sent[at] as Uint8Array))).toBe(true);
      expect(heard.every((frame) => frame.constructor === Uint8Array)).toBe(true);
    });

    test("the end that accepted answers on the same link", async () => {
      const link = await open();
      expect(a.send(FIRST, [Uint8Array.of(1)])).toBe(true);
      await until(() => atB.frames.length === 1);
      expect(b.send(link, [Uint8Array.of(2)])).toBe(true);
      await until(() => atA.frames.length === 1);
      expect(atA.frames).toEqual([{ link: FIRST, frame: Uint8Array.of(2) }]);
    });

    test("two links of one peer are two", async () => {
      const first = await open(FIRST);
      const second = await open(SECOND);
      expect(second).not.toBe(first);
      a.send(SECOND, [Uint8Array.of(2)]);
      a.send(FIRST, [Uint8Array.of(1)]);
      await until(() => atB.frames.length === 2);
      expect(atB.heardOn(first)).toEqual([Uint8Array.of(1)]);
      expect(atB.heardOn(second)).toEqual([Uint8Array.of(2)]);
      a.close(FIRST, "test");
      await until(() => atB.closed.length === 1);
      expect(atB.closed[0]?.link).toBe(first);
      expect(a.send(SECOND, [Uint8Array.of(3)])).toBe(true);
      await until(() => atB.frames.length === 3);
    });

    test("a refused frame is offered again, before those behind it", async () => {
      const link = await open();
      atB.refusesNext = 12;
      for (let value = 1; value <= 20; value++) {
        expect(a.send(FIRST, [Uint8Array.of(value)])).toBe(true);
      }
      await until(() => atB.frames.length === 20);
      await aWhile();
      expect(atB.refusals).toBe(12);
      const expected = Array.from({ length: 20 }, (_, at) => Uint8Array.of(at + 1));
      expect(atB.heardOn(link)).toEqual(expected);
    });

    test("a link takes a bounded amount at once, and more when that has left", async () => {
      await open();
      const part = new Uint8Array(32_768);
      let taken = 0;
      while (taken < 100_000 && a.send(FIRST, [part])) taken++;
      expect(taken).toBeGreaterThan(0);
      expect(taken).toBeLessThan(100_000);
      await until(() => atB.frames.length === taken);
      await until(() => a.send(FIRST, [part]));
      await until(() => atB.frames.length === taken + 1);
    });

    test("nothing is sent on a link that is not open", async () => {
      const frame = [Uint8Array.of(1)];
      expect(a.send(FIRST, frame)).toBe(false);
      a.dial(FIRST, bench.b.name, bench.b.address, "control");
      expect(a.send(FIRST, frame)).toBe(false);
      await until(() => atA.opened.length + atB.opened.length === 2);
      a.close(FIRST, "test");
      expect(a.send(FIRST, frame)).toBe(false);
      await until(() => atB.closed.length === 1);
      expect(b.send(1 as LinkId, frame)).toBe(false);
      expect(atB.frames).toEqual([]);
    });

    test("a closed link is heard of once at the other end, after what was sent", async () => {
      const link = await open();
      for (let value = 0; value < 5; value++) a.send(FIRST, [new Uint8Array(50_000)]);
      a.close(FIRST, "test");
      await until(() => atB.closed.length > 0);
      await aWhile();
      expect(atB.closed).toMatchObject([{ link }]);
      expect(atB.closed[0]?.why).not.toBe("");
      expect(atB.frames).toHaveLength(5);
      expect(atA.closed).toEqual([]);
    });

    test("the end that accepted may close too", async () => {
      const link = await open();
      b.close(link, "test");
      await until(() => atA.closed.length > 0);
      await aWhile();
      expect(atA.closed).toMatchObject([{ link: FIRST }]);
      expect(atB.closed).toEqual([]);
    });

    test("closing an unknown link, or one twice, is nothing", async () => {
      const link = await open();
      a.close(99 as LinkId, "test");
      a.close(FIRST, "test");
      a.close(FIRST, "test");
      await until(() => atB.closed.length > 0);
      b.close(link, "test");
      await aWhile();
      expect(atA.closed).toEqual([]);
      expect(atB.closed).toHaveLength(1);
    });

    test("a dial to nobody is closed once and never opens", async () => {
      a.dial(FIRST, bench.nobody.name, bench.nobody.address, "control");
      expect(atA.closed).toEqual([]);
      await until(() => atA.closed.length > 0);
      await aWhile();
      expect(atA.closed).toMatchObject([{ link: FIRST }]);
      expect(atA.closed[0]?.why).not.toBe("");
      expect(atA.opened).toEqual([]);
    });

    test("a dial that is taken back is heard of no more where it began", async () => {
      a.dial(FIRST, bench.b.name, bench.b.address, "control");
      a.close(FIRST, "test");
      await aWhile();
      await open(SECOND);
      await until(() => atB.closed.length === atB.opened.length - 1);
      expect(atA.opened).toMatchObject([{ link: SECOND }]);
      expect(atA.closed).toEqual([]);
    });
  });
}
