// What every GossipNetwork must do while nothing goes wrong, real or simulated: the promises of
// src/ports/gossip.ts as tests. Owns no network; the files that know one hand it in.

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { type Address, describeAddress, sameAddress } from "../../src/base/address.ts";
import { concat, equalBytes, type FrozenBytes, freeze } from "../../src/base/bytes.ts";
import type { StreamId } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import type { GossipInbox, GossipNetwork } from "../../src/ports/gossip.ts";

export interface GossipNetworkUnderTest {
  /** Fresh, without an inbox. */
  readonly a: GossipNetwork;
  readonly b: GossipNetwork;
  /** Where nobody listens. */
  readonly nobody: Address;
  /** Accepts two streams at once. */
  readonly narrow: GossipNetwork;
  /** Lets the network's work go on: one step of virtual time, or one round of the event loop. */
  drive(): Promise<void>;
  close(): Promise<void>;
}

/** Hears one end, and refuses the bytes of streams while told to. */
class Ear implements GossipInbox {
  readonly packets: { from: Address; bytes: FrozenBytes }[] = [];
  readonly opened: { streamId: StreamId; peer: Address; dialed: boolean }[] = [];
  readonly pieces: { streamId: StreamId; bytes: FrozenBytes }[] = [];
  readonly closed: { streamId: StreamId; why: string }[] = [];
  readonly overflows: string[] = [];
  refuses = false;
  #nextAccepted = 2;

  nextStreamId(): StreamId {
    const streamId = this.#nextAccepted as StreamId;
    this.#nextAccepted += 2;
    return streamId;
  }

  packet(from: Address, bytes: FrozenBytes): void {
    this.packets.push({ from, bytes });
  }

  streamOpened(streamId: StreamId, peer: Address, dialed: boolean): void {
    this.opened.push({ streamId, peer, dialed });
  }

  streamBytes(streamId: StreamId, bytes: FrozenBytes): boolean {
    if (this.refuses) return false;
    expect(this.closed.some((closed) => closed.streamId === streamId)).toBe(false);
    this.pieces.push({ streamId, bytes });
    return true;
  }

  streamClosed(streamId: StreamId, why: string): void {
    this.closed.push({ streamId, why });
  }

  overflowed(_peer: Address, what: string): void {
    this.overflows.push(what);
  }

  /** Everything heard on a stream. */
  heardOn(streamId: StreamId): Uint8Array {
    const pieces = this.pieces.filter((piece) => piece.streamId === streamId);
    return concat(pieces.map(({ bytes }) => bytes));
  }
}

const FIRST = 1 as StreamId;
const SECOND = 3 as StreamId;
const text = (words: string): FrozenBytes => freeze(new TextEncoder().encode(words));

export function gossipNetworkContract(
  title: string,
  make: () => Promise<GossipNetworkUnderTest>,
): void {
  describe(`the gossip network contract: ${title}`, () => {
    let bench: GossipNetworkUnderTest;
    let a: GossipNetwork;
    let b: GossipNetwork;
    let atA: Ear;
    let atB: Ear;

    beforeEach(async () => {
      bench = await make();
      ({ a, b } = bench);
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
    /** A dials B; the id that B gave the stream. */
    const open = async (streamId = FIRST): Promise<StreamId> => {
      const before = atB.opened.length;
      a.dial(streamId, b.address);
      await until(() => atA.opened.some((opened) => opened.streamId === streamId));
      await until(() => atB.opened.length > before);
      return atB.opened[before]?.streamId as StreamId;
    };

    test("a packet comes whole, from where it was sent", async () => {
      const bytes = freeze(new Prng("packet").bytes(1405));
      a.sendPacket(b.address, bytes);
      await until(() => atB.packets.length === 1);
      expect(atB.packets[0]?.bytes).toEqual(bytes);
      const from = atB.packets[0]?.from;
      expect(from && sameAddress(from, a.address)).toBe(true);
      if (from !== undefined) b.sendPacket(from, text("back"));
      await until(() => atA.packets.length === 1);
      expect(atA.packets[0]?.bytes).toEqual(text("back"));
    });

    test("a large packet comes whole, and one to itself comes too", async () => {
      const bytes = freeze(new Prng("large").bytes(60_000));
      a.sendPacket(a.address, bytes);
      await until(() => atA.packets.length === 1);
      expect(atA.packets[0]?.bytes).toEqual(bytes);
    });

    test("a packet to nobody is lost without a word", async () => {
      a.sendPacket(bench.nobody, text("hello"));
      a.sendPacket(b.address, text("after"));
      await until(() => atB.packets.length === 1);
      await aWhile();
      expect(atA.packets).toEqual([]);
      expect(atA.overflows).toEqual([]);
    });

    test("a stream opens at both ends, and the dialer names whom it dialed", async () => {
      const accepted = await open();
      expect(atA.opened).toMatchObject([{ streamId: FIRST, peer: b.address, dialed: true }]);
      expect(atB.opened).toMatchObject([{ streamId: accepted, dialed: false }]);
      expect(atB.opened[0]?.peer.ip).toEqual(a.address.ip);
      expect(accepted).toBe(2);
    });

    test("bytes come in order, both ways, however they are cut", async () => {
      const accepted = await open();
      a.write(FIRST, text("one "));
      a.write(FIRST, text("two "));
      a.write(FIRST, text("three"));
      await until(() => atB.heardOn(accepted).length === 13);
      expect(atB.heardOn(accepted)).toEqual(text("one two three"));
      b.write(accepted, text("four"));
      await until(() => atA.heardOn(FIRST).length === 4);
      expect(atA.heardOn(FIRST)).toEqual(text("four"));
    });

    test("streams do not mix", async () => {
      const first = await open(FIRST);
      const second = await open(SECOND);
      a.write(SECOND, text("second"));
      a.write(FIRST, text("first"));
      await until(() => atB.heardOn(first).length === 5 && atB.heardOn(second).length === 6);
      expect(atB.heardOn(second)).toEqual(text("second"));
    });

    test("what was written before a close comes whole, then the end, once", async () => {
      const accepted = await open();
      const bytes = freeze(new Prng("stream").bytes(1_000_000));
      a.write(FIRST, bytes);
      a.closeStream(FIRST);
      await until(() => atB.closed.length > 0);
      expect(equalBytes(atB.heardOn(accepted), bytes)).toBe(true);
      b.closeStream(accepted);
      await aWhile();
      expect(atB.closed).toMatchObject([{ streamId: accepted }]);
      expect(atB.closed[0]?.why).not.toBe("");
      expect(atA.closed).toEqual([]);
    });

    test("the end that accepted may answer and close", async () => {
      const accepted = await open();
      b.write(accepted, text("answer"));
      b.closeStream(accepted);
      await until(() => atA.closed.length > 0);
      expect(atA.heardOn(FIRST)).toEqual(text("answer"));
      a.closeStream(FIRST);
      await aWhile();
      expect(atA.closed).toMatchObject([{ streamId: FIRST }]);
      expect(atB.closed).toEqual([]);
    });

    test("a dial to nobody is closed once and never opens", async () => {
      a.dial(FIRST, bench.nobody);
      expect(atA.closed).toEqual([]);
      await until(() => atA.closed.length > 0);
      await aWhile();
      expect(atA.closed).toMatchObject([{ streamId: FIRST }]);
      expect(atA.closed[0]?.why).not.toBe("");
      expect(atA.opened).toEqual([]);
    });

    test("a dial that is taken back is heard of no more where it began", async () => {
      a.dial(FIRST, b.address);
      a.closeStream(FIRST);
      await aWhile();
      await open(SECOND);
      await until(() => atB.closed.length === atB.opened.length - 1);
      expect(atA.opened).toMatchObject([{ streamId: SECOND }]);
      expect(atA.closed).toEqual([]);
    });

    test("writing to, or closing, what is not open is nothing", async () => {
      a.write(FIRST, text("early"));
      a.closeStream(FIRST);
      const accepted = await open();
      a.closeStream(FIRST);
      a.closeStream(FIRST);
      a.write(FIRST, text("late"));
      await until(() => atB.closed.length === 1);
      await aWhile();
      expect(atB.heardOn(accepted)).toHaveLength(0);
      expect(atA.closed).toEqual([]);
    });

    test("a stream whose bytes are refused is closed, and no more of it is heard", async () => {
      const accepted = await open();
      atB.refuses = true;
      a.write(FIRST, text("too much"));
      await until(() => atA.closed.length === 1);
      atB.refuses = false;
      a.write(FIRST, text("more"));
      await aWhile();
      expect(atB.heardOn(accepted)).toHaveLength(0);
      expect(atB.closed).toEqual([]);
    });

    test("more streams than there is room for are turned away and told of", async () => {
      const atNarrow = new Ear();
      bench.narrow.attach(atNarrow);
      const ids = [1, 3, 5].map((id) => id as StreamId);
      for (const id of ids.slice(0, 2)) {
        a.dial(id, bench.narrow.address);
        await until(() => atA.opened.length === ids.indexOf(id) + 1);
      }
      a.dial(5 as StreamId, bench.narrow.address);
      await until(() => atA.closed.length === 1 && atNarrow.overflows.length === 1);
      expect(atA.closed[0]?.streamId).toBe(5);
      expect(atNarrow.overflows).toEqual(["too-many-streams"]);
      expect(atNarrow.opened).toHaveLength(2);
      a.closeStream(1 as StreamId);
      await until(() => atNarrow.closed.length === 1);
      bench.narrow.closeStream(atNarrow.closed[0]?.streamId as StreamId);
      await aWhile();
      a.dial(7 as StreamId, bench.narrow.address);
      await until(() => atNarrow.opened.length === 3);
    });

    test("an end is found where it says that it is", () => {
      expect(describeAddress(a.address)).not.toBe(describeAddress(b.address));
      expect(a.address.port).toBeGreaterThan(0);
    });
  });
}
