// Every golden message of stock agents decodes to its listed meaning and, where the bytes are
// canonical, is encoded to them again.
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { FrozenBytes } from "../../src/base/bytes.ts";
import { decodeCoordinate, encodeCoordinate } from "../../src/gossip/coordinate.ts";
import { lzwDecode, lzwEncode } from "../../src/gossip/lzw.ts";
import { encodeMessage } from "../../src/gossip/message-codec.ts";
import type { PacketMessage, StreamMessage } from "../../src/gossip/messages.ts";
import { PLAIN_BYTES_MAX, readPacket, sealPacket } from "../../src/gossip/packet-codec.ts";
import type { Tags } from "../../src/gossip/protocol.ts";
import {
  decodeConflictResponse,
  decodeFilter,
  decodeKeyRequest,
  decodeKeyResponse,
  encodeConflictResponse,
  encodeFilter,
  encodeKeyRequest,
  encodeKeyResponse,
} from "../../src/gossip/query-payloads.ts";
import { encodeStream, StreamReader } from "../../src/gossip/stream-codec.ts";
import { decodeTags, encodeTags } from "../../src/gossip/tags.ts";
import { bytesOf, expectedParts, hexOf, tellMessage, vectors } from "./vectors.ts";

/** Written by the test member with the new format: read, never written. */
const NOT_CANONICAL = ["tcp-pushpull-newspec-msgpack"];

const packets = vectors.messages.filter(({ transport }) => transport === "udp");
const streams = vectors.messages.filter(({ transport }) => transport === "tcp");

function messagesOf(bytes: FrozenBytes): readonly PacketMessage[] {
  const { parts, drops } = readPacket(bytes);
  expect(drops).toEqual([]);
  return parts.map(({ message }) => message);
}

function readWhole(bytes: Uint8Array): StreamMessage {
  const reading = new StreamReader().take(bytes);
  if (reading.kind !== "message") throw new Error(JSON.stringify(reading));
  return reading.message;
}

describe("a packet of a stock agent", () => {
  test("is among those that are tested", () => {
    expect([packets.length, streams.length]).toEqual([26, 10]);
  });

  test.each(packets)("$id means what is listed", ({ hex, decoded }) => {
    expect(messagesOf(bytesOf(hex)).map(tellMessage)).toEqual(expectedParts(decoded));
  });

  test.each(packets)("$id is encoded to the same bytes", ({ hex, decoded }) => {
    const names: unknown[] = [];
    for (let at: unknown = decoded; at !== undefined; at = (at as { inner?: unknown }).inner) {
      names.push((at as { name?: unknown }).name);
    }
    const parts = messagesOf(bytesOf(hex)).map(encodeMessage);
    const wrappers = { crc: names.includes("hasCrc"), compress: names.includes("compress") };
    expect(hexOf(sealPacket(parts, wrappers))).toBe(hex);
  });

  test("carries parts that are passed on as they came", () => {
    for (const { hex } of packets) {
      for (const { message, bytes } of readPacket(bytesOf(hex)).parts) {
        expect(hexOf(bytes)).toBe(hexOf(encodeMessage(message)));
      }
    }
  });
});

describe("a stream of a stock agent", () => {
  test.each(streams)("$id means what is listed", ({ hex, decoded }) => {
    expect([readWhole(bytesOf(hex))].map(tellMessage)).toEqual(expectedParts(decoded));
  });

  test.each(streams.filter(({ id }) => !NOT_CANONICAL.includes(id)))(
    "$id is encoded to the same bytes",
    ({ hex }) => {
      const compress = hex.startsWith("09");
      expect(hexOf(encodeStream(readWhole(bytesOf(hex)), { compress }))).toBe(hex);
    },
  );

  test.each(streams)("$id is complete with its last byte, however it is cut", ({ hex }) => {
    const bytes = bytesOf(hex);
    for (const step of [1, 7, 100]) {
      const reader = new StreamReader();
      for (let at = 0; at < bytes.length; at += step) {
        const { kind } = reader.take(bytes.subarray(at, at + step));
        expect(kind).toBe(at + step >= bytes.length ? "message" : "more");
      }
      expect(reader.take(Uint8Array.of(1, 2, 3))).toEqual({ kind: "more" });
    }
  });
});

describe("compression", () => {
  test.each(vectors.lzw)("$id reads and writes the bytes of Go's encoder", (vector) => {
    const plain = lzwDecode(bytesOf(vector.lzw), PLAIN_BYTES_MAX);
    if (typeof plain === "string") throw new Error(plain);
    if (vector.plain !== undefined) expect(hexOf(plain)).toBe(vector.plain);
    if (vector.plainSha256 !== undefined) {
      expect(plain).toHaveLength(vector.plainLength ?? 0);
      expect(createHash("sha256").update(plain).digest("hex")).toBe(vector.plainSha256);
    }
    expect(hexOf(lzwEncode(plain))).toBe(vector.lzw);
  });
});

describe("what rides in messages", () => {
  const responses = packets.flatMap(({ hex }) => {
    return readPacket(bytesOf(hex)).parts.flatMap(({ message }) => {
      return message.kind === "user" ? [message.message] : [];
    });
  });

  test("a coordinate is encoded to the same bytes", () => {
    const acks = packets
      .flatMap(({ hex }) => messagesOf(bytesOf(hex)))
      .flatMap((message) => {
        return message.kind === "ack" ? [message.payload] : [];
      });
    expect(acks).toHaveLength(2);
    for (const payload of acks) {
      const coordinate = decodeCoordinate(payload);
      expect(coordinate).not.toBeNull();
      if (coordinate !== null) expect(encodeCoordinate(coordinate)).toEqual(payload);
    }
  });

  test("filters are encoded to the same bytes", () => {
    const filters = responses.flatMap((message) => {
      return message.kind === "query" ? message.filters : [];
    });
    expect(filters).toHaveLength(2);
    for (const bytes of filters) {
      const filter = decodeFilter(bytes);
      if (filter === null) throw new Error(hexOf(bytes));
      expect(hexOf(encodeFilter(filter))).toBe(hexOf(bytes));
    }
  });

  test("payloads of Serf's own queries are encoded to the same bytes", () => {
    const seen: string[] = [];
    for (const message of responses) {
      if (message.kind !== "query" && message.kind !== "query-response") continue;
      const { payload } = message;
      const conflict = decodeConflictResponse(payload);
      const keys = decodeKeyResponse(payload);
      const key = decodeKeyRequest(payload);
      if (conflict !== null) seen.push(hexOf(encodeConflictResponse(conflict)));
      if (keys !== null) seen.push(hexOf(encodeKeyResponse(keys)));
      if (key !== null) seen.push(hexOf(encodeKeyRequest(key)));
      if (/^0[678]/.test(hexOf(payload))) expect(seen.at(-1)).toBe(hexOf(payload));
    }
    expect(seen).toHaveLength(3);
  });

  test("tags are encoded in the order of their keys", () => {
    const tags: Tags = new Map([
      ["role", "web"],
      ["dc", "east"],
    ]);
    expect(hexOf(encodeTags(tags))).toBe("ff82a26463a465617374a4726f6c65a3776562");
  });

  test("a meta without map is the role, whatever its bytes", () => {
    expect(decodeTags(bytesOf("776562"))).toEqual(new Map([["role", "web"]]));
    expect(decodeTags(bytesOf("77ff62"))).toEqual(new Map([["role", "w\ufffdb"]]));
    expect(decodeTags(bytesOf(""))).toEqual(new Map());
    expect(decodeTags(bytesOf("ff83a1"))).toEqual(new Map());
  });
});

describe("what is encrypted", () => {
  test.each(vectors.encryption)("$id is dropped with its reason", ({ id, hex }) => {
    if (id.includes("tcp")) {
      const dropped = { kind: "dropped", reason: "encrypted" };
      expect(new StreamReader().take(bytesOf(hex))).toEqual(dropped);
    } else {
      const { parts, drops } = readPacket(bytesOf(hex));
      expect(parts).toEqual([]);
      expect(drops).toHaveLength(1);
    }
  });
});
