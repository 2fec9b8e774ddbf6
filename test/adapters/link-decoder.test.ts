// The cutting of a byte stream into frames, however the bytes arrive.

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { LinkDecoder } from "../../src/adapters/link-decoder.ts";
import { concat, equalBytes, type FrozenBytes } from "../../src/base/bytes.ts";
import { Prng } from "../../src/base/prng.ts";

function streamOf(frames: readonly Uint8Array[]): Uint8Array {
  return concat(
    frames.flatMap((frame) => {
      const prefix = new Uint8Array(4);
      new DataView(prefix.buffer).setUint32(0, frame.length);
      return [prefix, frame];
    }),
  );
}

function framesIn(decoder: LinkDecoder, chunk: Uint8Array): FrozenBytes[] {
  decoder.push(chunk);
  const frames: FrozenBytes[] = [];
  for (;;) {
    const next = decoder.next();
    if (next === null) return frames;
    if ("kind" in next) throw new Error(`oversized: ${next.length}`);
    frames.push(next);
  }
}

/** As toEqual, but in no time. */
function expectEqual(heard: readonly Uint8Array[], sent: readonly Uint8Array[]): void {
  expect(heard.map((frame) => frame.length)).toEqual(sent.map((frame) => frame.length));
  expect(equalBytes(concat(heard), concat(sent))).toBe(true);
}

const pinnedBy = (frame: Uint8Array): number => frame.buffer.byteLength;

describe("the link decoder", () => {
  const prng = new Prng("link decoder");

  test("frames that come one byte at a time come whole", () => {
    const sent = [0, 1, 5, 0, 300, 70_000].map((size) => prng.bytes(size));
    const decoder = new LinkDecoder(100_000);
    const heard = [...streamOf(sent)].flatMap((byte) => framesIn(decoder, Uint8Array.of(byte)));
    expectEqual(heard, sent);
  });

  test("frames are the same however the stream is cut", () => {
    const sizes = fc.array(fc.nat({ max: 9000 }), { maxLength: 12 });
    const cuts = fc.array(fc.nat(), { maxLength: 20 });
    fc.assert(
      fc.property(sizes, cuts, (frameSizes, cutSeeds) => {
        const sent = frameSizes.map((size) => prng.bytes(size));
        const stream = streamOf(sent);
        const at = cutSeeds.map((seed) => seed % (stream.length + 1)).sort((a, b) => a - b);
        const decoder = new LinkDecoder(10_000);
        const heard = [0, ...at].flatMap((start, index) =>
          framesIn(decoder, stream.slice(start, at[index] ?? stream.length)),
        );
        expectEqual(heard, sent);
        for (const frame of heard) expect(pinnedBy(frame)).toBeLessThanOrEqual(2 * frame.length);
      }),
      { numRuns: 200 },
    );
  });

  test("a large frame that lies in one chunk is not copied", () => {
    const chunk = streamOf([prng.bytes(60_000)]);
    const [frame] = framesIn(new LinkDecoder(100_000), chunk);
    expect(frame?.buffer).toBe(chunk.buffer);
  });

  test("a small frame does not pin the chunk it came in", () => {
    const chunk = streamOf([prng.bytes(5000), prng.bytes(60_000)]);
    const [small] = framesIn(new LinkDecoder(100_000), chunk);
    expect(small).toHaveLength(5000);
    expect(small && pinnedBy(small)).toBe(5000);
  });

  test("frames are plain bytes even when chunks are Buffers", () => {
    const chunk = Buffer.from(streamOf([prng.bytes(10), prng.bytes(8000)]));
    for (const frame of framesIn(new LinkDecoder(10_000), chunk)) {
      expect(frame.constructor).toBe(Uint8Array);
    }
  });

  test("a frame at the limit passes, and one beyond is refused by its length alone", () => {
    const decoder = new LinkDecoder(10);
    expect(framesIn(decoder, streamOf([prng.bytes(10)]))).toHaveLength(1);
    decoder.push(Uint8Array.of(0, 0, 0, 11));
    expect(decoder.next()).toEqual({ kind: "oversized", length: 11 });
    expect(decoder.next()).toEqual({ kind: "oversized", length: 11 });
    const other = new LinkDecoder(10);
    other.push(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 1));
    expect(other.next()).toEqual({ kind: "oversized", length: 0xffff_ffff });
  });
});
