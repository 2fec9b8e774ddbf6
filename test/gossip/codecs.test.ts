// The codecs as laws: what is written is read back, and whatever else comes is dropped with a
// reason, in bounded memory.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { concat, type FrozenBytes, freeze, viewOf } from "../../src/base/bytes.ts";
import { decodeCoordinate } from "../../src/gossip/coordinate.ts";
import { crc32 } from "../../src/gossip/crc32.ts";
import { lzwDecode, lzwEncode } from "../../src/gossip/lzw.ts";
import { encodeMessage } from "../../src/gossip/message-codec.ts";
import type { PacketMessage } from "../../src/gossip/messages.ts";
import { type MsgpackValue, MsgpackWriter, readMsgpack } from "../../src/gossip/msgpack.ts";
import {
  encodeCompressed,
  PLAIN_BYTES_MAX,
  readPacket,
  sealPacket,
} from "../../src/gossip/packet-codec.ts";
import {
  decodeConflictResponse,
  decodeFilter,
  decodeKeyRequest,
  decodeKeyResponse,
} from "../../src/gossip/query-payloads.ts";
import { encodeStream, STREAM_BYTES_MAX, StreamReader } from "../../src/gossip/stream-codec.ts";
import { decodeTags, encodeTags } from "../../src/gossip/tags.ts";
import { frozenBytes, packetMessage, streamMessage, tags } from "./arbitraries.ts";
import { bytesOf, vectors } from "./vectors.ts";

const wrappers = fc.record({ crc: fc.boolean(), compress: fc.boolean() });

function readValue(hex: string): MsgpackValue {
  const reading = readMsgpack(bytesOf(hex), 0);
  if (reading === "malformed" || "neededBytes" in reading) throw new Error(hex);
  return reading.value;
}

describe("MessagePack", () => {
  test.each<[string, MsgpackValue]>([
    ["00", 0],
    ["7f", 127],
    ["cc80", 128],
    ["cdffff", 65_535],
    ["ceffffffff", 0xffff_ffff],
    ["cf001fffffffffffff", Number.MAX_SAFE_INTEGER],
    ["ff", -1],
    ["e0", -32],
    ["d0df", -33],
    ["d1ff7f", -129],
    ["d2ffff7fff", -32_769],
    ["d3ffffffff7fffffff", -2_147_483_649],
    ["c0", null],
    ["c2", false],
    ["c3", true],
    ["ca3fc00000", 1.5],
    ["cb3ff8000000000000", 1.5],
    ["c7020105060a", null],
    ["d40100", null],
    [`d8${"00".repeat(17)}`, null],
    ["9201c0", [1, null]],
    ["dc000101", [1]],
    ["dd0000000101", [1]],
    ["81a16101", new Map([["a", 1]])],
    ["de0001d9016101", new Map([["a", 1]])],
    ["df00000001c4016101", new Map([["a", 1]])],
    ["82a16101a16102", new Map([["a", 2]])],
    ["8201020303", new Map()],
    ["82a1ff01a16102", new Map([["a", 2]])],
  ])("%s is read", (hex, value) => {
    expect(readValue(hex)).toEqual(value);
  });

  test.each(["a161", "d90161", "da000161", "db0000000161", "c40161", "c5000161", "c60000000161"])(
    "%s is the text a, whatever its format",
    (hex) => {
      expect(readValue(hex)).toEqual(Uint8Array.of(0x61));
    },
  );

  test("a number above 2^53-1 is read as no count", () => {
    expect(Number.isSafeInteger(readValue("cf0020000000000000"))).toBe(false);
  });

  test("what is deeper than eight is malformed", () => {
    expect(readMsgpack(bytesOf(`${"91".repeat(9)}01`), 0)).toBe("malformed");
    expect(readMsgpack(bytesOf(`${"91".repeat(8)}01`), 0)).toMatchObject({ end: 9 });
    expect(readMsgpack(bytesOf("91".repeat(50_000)), 0)).toBe("malformed");
    expect(readMsgpack(bytesOf("c1"), 0)).toBe("malformed");
  });

  test.each([
    ["", 1],
    ["cd00", 3],
    ["a361", 4],
    ["db00ffffff61", 5 + 0xff_ffff],
    ["dd00ffffff", 6],
    ["82a16101a1", 6],
  ])("%j lacks bytes and says how many", (hex, neededBytes) => {
    expect(readMsgpack(bytesOf(hex), 0)).toEqual({ neededBytes });
  });

  test("a number is written in its shortest form and read back", () => {
    const edges = [0, 127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1];
    const lengths = [1, 1, 2, 2, 3, 3, 5, 5, 9, 9];
    for (const [at, value] of edges.entries()) {
      const bytes = new MsgpackWriter().uint(value).take();
      expect(bytes).toHaveLength(lengths[at] ?? 0);
      expect(readMsgpack(bytes, 0)).toEqual({ value, end: bytes.length });
    }
  });

  test("a run of bytes of any length is written in the old format and read back", () => {
    for (const length of [0, 31, 32, 255, 256, 65_535, 65_536]) {
      const bytes = new MsgpackWriter().raw(new Uint8Array(length)).take();
      expect(bytes[0]).toBe(length < 32 ? 0xa0 + length : length < 65_536 ? 0xda : 0xdb);
      expect(readMsgpack(bytes, 0)).toMatchObject({ end: bytes.length });
      const map = new MsgpackWriter().map(length).take();
      const marker = length < 16 ? 0x80 + length : length < 65_536 ? 0xde : 0xdf;
      expect(map[0]).toBe(marker);
    }
  });
});

describe("the checksum", () => {
  test.each([
    ["", 0],
    ["123456789", 0xcbf43926],
    ["The quick brown fox jumps over the lazy dog", 0x414fa339],
  ])("of %j is the one of zlib", (text, sum) => {
    expect(crc32(Buffer.from(text))).toBe(sum);
  });
});

describe("compression", () => {
  const repetitive = fc
    .array(fc.tuple(fc.nat(3), fc.integer({ min: 1, max: 3000 })), { maxLength: 20 })
    .map((runs) => concat(runs.map(([byte, length]) => new Uint8Array(length).fill(byte))));

  test("gives back what was compressed", () => {
    const plains = fc.oneof(fc.uint8Array({ maxLength: 6000 }), repetitive);
    fc.assert(
      fc.property(plains, (plain) => {
        expect(lzwDecode(lzwEncode(plain), PLAIN_BYTES_MAX)).toEqual(plain);
      }),
    );
  });

  test("clears its table when it is full, and goes on", () => {
    const noise = Uint8Array.from({ length: 60_000 }, (_, at) => (at * at * 7 + (at >> 3)) & 0xff);
    expect(lzwDecode(lzwEncode(noise), 60_000)).toEqual(noise);
    expect(lzwDecode(lzwEncode(noise), 59_999)).toBe("too-large");
  });

  test("never makes more bytes than it may", () => {
    const bomb = lzwEncode(new Uint8Array(1_000_000));
    expect(bomb.length).toBeLessThan(3000);
    expect(lzwDecode(bomb, 65_536)).toBe("too-large");
    expect(lzwDecode(lzwEncode(new Uint8Array(1)), 0)).toBe("too-large");
    expect(lzwDecode(lzwEncode(new Uint8Array(0)), 0)).toEqual(new Uint8Array(0));
  });

  test("of anything at all ends in bytes or in a reason", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (packed) => {
        const plain = lzwDecode(packed, 1000);
        if (typeof plain !== "string") expect(plain.length).toBeLessThanOrEqual(1000);
      }),
      { numRuns: 500 },
    );
  });

  test("without an end, or with a code that is not there yet, is malformed", () => {
    expect(lzwDecode(new Uint8Array(0), 10)).toBe("malformed");
    expect(lzwDecode(lzwEncode(Uint8Array.of(1, 2, 3)).subarray(0, 4), 10)).toBe("malformed");
    expect(lzwDecode(bytesOf("000703"), 10)).toBe("malformed");
  });
});

describe("a packet", () => {
  const someMessages = fc.array(packetMessage, { minLength: 1, maxLength: 127 });

  test("is read back as it was sealed, in whatever wrappers", () => {
    fc.assert(
      fc.property(someMessages, wrappers, (messages, wrapped) => {
        const encoded = messages.map(encodeMessage);
        const { parts, drops } = readPacket(sealPacket(encoded, wrapped));
        expect(drops).toEqual([]);
        expect(parts.map(({ message }) => message)).toEqual(messages);
        expect(parts.map(({ bytes }) => bytes)).toEqual(encoded);
      }),
    );
  });

  test("is compressed only where that makes it shorter", () => {
    const nack = encodeMessage({ kind: "nack", sequence: 1 });
    expect(sealPacket([nack], { crc: false, compress: true })).toEqual(nack);
    const many = Array.from({ length: 50 }, () => nack);
    const plain = sealPacket(many, { crc: false, compress: false });
    const packed = sealPacket(many, { crc: false, compress: true });
    expect(packed.length).toBeLessThan(plain.length);
  });

  test("may not have 128 parts", () => {
    const nack = encodeMessage({ kind: "nack", sequence: 1 });
    const parts = Array.from({ length: 128 }, () => nack);
    expect(() => sealPacket(parts, { crc: false, compress: false })).toThrow("127");
    expect(() => sealPacket([], { crc: false, compress: false })).toThrow("127");
  });

  test("that is any bytes at all never throws", () => {
    fc.assert(
      fc.property(frozenBytes(300), (bytes) => {
        const { parts, drops } = readPacket(bytes);
        expect(parts.length + drops.length).toBeGreaterThan(0);
      }),
      { numRuns: 2000 },
    );
  });

  const mutated = fc
    .tuple(
      fc.constantFrom(...vectors.messages.map(({ hex }) => bytesOf(hex))),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      fc.nat(),
    )
    .map(([golden, changes, cut]): FrozenBytes => {
      const bytes = golden.slice();
      for (const [at, value] of changes) bytes[at % bytes.length] = value;
      return freeze(cut % 3 === 0 ? bytes.subarray(0, cut % bytes.length) : bytes);
    });

  test("that was mutated on its way never throws, and what counts of it is sound", () => {
    fc.assert(
      fc.property(mutated, (bytes) => {
        for (const { message } of readPacket(bytes).parts) {
          const again = readPacket(sealPacket([encodeMessage(message)], plainly));
          expect(again.parts.map((part) => part.message)).toEqual([message]);
        }
        new StreamReader().take(bytes);
        decodeTags(bytes);
        decodeCoordinate(bytes);
        decodeFilter(bytes);
        decodeConflictResponse(bytes);
        decodeKeyRequest(bytes);
        decodeKeyResponse(bytes);
      }),
      { numRuns: 3000 },
    );
  });

  test("with a checksum loses nothing to a changed bit but itself", () => {
    const whole = sealPacket([encodeMessage({ kind: "nack", sequence: 7 })], {
      crc: true,
      compress: false,
    });
    for (let bit = 8; bit < 8 * whole.length; bit++) {
      const bytes = whole.slice();
      bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(readPacket(freeze(bytes))).toMatchObject({ parts: [], drops: ["crc-mismatch"] });
    }
  });

  test.each([
    ["", "empty"],
    ["0c00000000", "truncated"],
    ["0c", "truncated"],
    ["07", "empty"],
    ["0700", "empty"],
    ["070200", "truncated"],
    ["0701000a00", "truncated"],
    ["08", "empty"],
    ["0806", "unknown-type"],
    ["0809820000", "malformed"],
    ["0a00000062", "encrypted"],
    ["f40161", "labelled"],
    ["0e", "unknown-type"],
    ["63", "unknown-type"],
    ["06", "not-for-packets"],
    ["0d81a54572726f72a0", "not-for-packets"],
    ["0b81a55365714e6fcf00000001ffffffff", "malformed"],
    ["0b81a55365714e6fff", "malformed"],
    ["0b81a55365714e6fa131", "malformed"],
    ["0b90", "malformed"],
    ["0982a4416c676f01a3427566a3000302", "malformed"],
    ["0982a4416c676f00a342756600", "malformed"],
    ["0982a4416c676f00a3427566a3000302", "empty"],
  ])("%j is dropped because it is %s", (hex, reason) => {
    expect(readPacket(bytesOf(hex))).toMatchObject({ parts: [], drops: [reason] });
  });

  test("that ends before its parts do keeps those that are whole", () => {
    const nack = encodeMessage({ kind: "nack", sequence: 1 });
    const whole = sealPacket([nack, nack, nack], { crc: false, compress: false });
    const cut = readPacket(freeze(whole.subarray(0, whole.length - 1)));
    expect(cut.parts).toHaveLength(2);
    expect(cut.drops).toEqual(["truncated"]);
  });

  test("with wrappers in wrappers in wrappers is too deep", () => {
    let bytes: FrozenBytes = encodeMessage({ kind: "nack", sequence: 1 });
    for (let wrap = 1; wrap <= 5; wrap++) {
      bytes = wrapInCompound(bytes);
      const { parts, drops } = readPacket(bytes);
      expect([parts.length, drops]).toEqual(wrap <= 4 ? [1, []] : [0, ["too-deep"]]);
    }
  });

  test("of many bombs is decompressed no further than one packet's worth", () => {
    const bomb = encodeCompressed(new Uint8Array(60_000));
    const { parts, drops } = readPacket(
      sealPacket(
        Array.from({ length: 100 }, () => bomb),
        { crc: false, compress: false },
      ),
    );
    expect(parts).toEqual([]);
    expect(drops).toHaveLength(100);
    expect(drops.filter((reason) => reason === "too-large")).toHaveLength(99);
  });
});

const plainly = { crc: false, compress: false };

function wrapInCompound(bytes: FrozenBytes): FrozenBytes {
  const whole = new Uint8Array(4 + bytes.length);
  whole.set([7, 1]);
  viewOf(whole).setUint16(2, bytes.length);
  whole.set(bytes, 4);
  return freeze(whole);
}

describe("a claim", () => {
  const alive: PacketMessage & { kind: "alive" } = {
    kind: "alive",
    incarnation: 1 as never,
    node: "alpha" as never,
    address: { ip: freeze(Uint8Array.of(127, 0, 0, 1)), port: 7946 },
    meta: freeze(new Uint8Array(0)),
    versions: {
      protocolMin: 1,
      protocolMax: 5,
      protocolCurrent: 2,
      delegateMin: 2,
      delegateMax: 5,
      delegateCurrent: 5,
    },
  };
  const dropsOf = (change: Partial<typeof alive>) =>
    readPacket(encodeMessage({ ...alive, ...change })).drops;

  test("within its limits is taken", () => {
    expect(dropsOf({})).toEqual([]);
    expect(dropsOf({ meta: freeze(new Uint8Array(512)) })).toEqual([]);
  });

  test("beyond its limits is malformed", () => {
    expect(dropsOf({ meta: freeze(new Uint8Array(513)) })).toEqual(["malformed"]);
    expect(dropsOf({ node: "" as never })).toEqual(["malformed"]);
    expect(dropsOf({ node: "a".repeat(256) as never })).toEqual(["malformed"]);
    expect(dropsOf({ node: "a\u001b[31m" as never })).toEqual(["malformed"]);
    expect(dropsOf({ address: { ip: freeze(new Uint8Array(5)), port: 1 } })).toEqual(["malformed"]);
  });

  test("without versions that hang together is incompatible", () => {
    const { versions } = alive;
    expect(dropsOf({ versions: { ...versions, protocolMin: 0 } })).toEqual(["incompatible"]);
    expect(dropsOf({ versions: { ...versions, protocolCurrent: 6 } })).toEqual(["incompatible"]);
    expect(dropsOf({ versions: { ...versions, delegateMax: 4 } })).toEqual(["incompatible"]);
    const withoutVersions = bytesOf("0482a44e6f6465a161a441646472a47f000001");
    expect(readPacket(withoutVersions).drops).toEqual(["incompatible"]);
  });

  test("about a mapped IPv4 address is about the IPv4 address", () => {
    const mapped = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 127, 0, 0, 1]);
    const told = encodeMessage({ ...alive, address: { ip: freeze(mapped), port: 7946 } });
    expect(readPacket(told).parts.map(({ message }) => message)).toEqual([alive]);
  });
});

describe("a stream", () => {
  const flags = fc.record({ compress: fc.boolean() });

  test("is read back as it was written, in whatever pieces it comes", () => {
    fc.assert(
      fc.property(streamMessage, flags, fc.integer({ min: 1, max: 900 }), (message, flag, step) => {
        const bytes = encodeStream(message, flag);
        const reader = new StreamReader();
        let last: unknown = null;
        for (let at = 0; at < bytes.length; at += step) {
          last = reader.take(bytes.subarray(at, at + step));
        }
        expect(last).toEqual({ kind: "message", message });
      }),
      { numRuns: 200 },
    );
  });

  test("of a push/pull leaves out records that no correct member makes", () => {
    const golden = vectors.messages.find(({ id }) => id === "tcp-pushpull-minimal-request");
    const bytes = bytesOf(golden?.hex ?? "").slice();
    const versionsAt = Buffer.from(bytes).indexOf(Buffer.from("010502020505", "hex"));
    bytes[versionsAt] = 0;
    const reading = new StreamReader().take(bytes);
    expect(reading).toMatchObject({ message: { kind: "push-pull", nodes: [], nodesDropped: 1 } });
  });

  test("that promises too much is dropped before it is read", () => {
    const promise = new MsgpackWriter().byte(6).map(2).text("Nodes").uint(1);
    const bytes = promise.text("UserStateLen").uint(STREAM_BYTES_MAX).take();
    expect(new StreamReader().take(bytes)).toEqual({ kind: "dropped", reason: "too-large" });
    const raw = bytesOf("0982a4416c676f00a3427566dbffffffff");
    expect(new StreamReader().take(raw)).toEqual({ kind: "dropped", reason: "too-large" });
  });

  test("is given up when it is longer than any message", () => {
    const reader = new StreamReader();
    const chunk = bytesOf("0982a4416c676f00a3427566db003fff00");
    expect(reader.take(chunk)).toEqual({ kind: "more" });
    expect(reader.take(new Uint8Array(STREAM_BYTES_MAX))).toMatchObject({ reason: "too-large" });
  });

  test("of crumbs that are read again and again is given up", () => {
    const reader = new StreamReader();
    reader.take(bytesOf("09df00ffffff"));
    const crumbs = new Uint8Array(1500);
    let told = reader.take(crumbs);
    for (let crumb = 0; crumb < 2700 && told.kind === "more"; crumb++) told = reader.take(crumbs);
    expect(told).toEqual({ kind: "dropped", reason: "too-slow" });
  });

  test("is decompressed to at most one message's worth", () => {
    const bomb = encodeCompressed(new Uint8Array(STREAM_BYTES_MAX + 1));
    expect(new StreamReader().take(bomb)).toEqual({ kind: "dropped", reason: "too-large" });
  });

  test.each([
    ["0b81a55365714e6f01", "not-for-streams"],
    ["07", "not-for-streams"],
    ["0e", "unknown-type"],
    ["f4", "labelled"],
    ["0a", "encrypted"],
    ["0690", "malformed"],
    ["0683a44a6f696e07", "malformed"],
    ["00c1", "malformed"],
  ])("that begins with %s is dropped because it is %s", (hex, reason) => {
    expect(new StreamReader().take(bytesOf(`${hex}00000000`))).toEqual({ kind: "dropped", reason });
  });
});

describe("tags", () => {
  test("are read back as they were written", () => {
    fc.assert(
      fc.property(tags, (drawn) => {
        expect(decodeTags(encodeTags(drawn))).toEqual(drawn);
      }),
    );
  });
});
