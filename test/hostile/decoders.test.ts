// Every decoder that faces a network, fed with bytes that were valid once and were changed since:
// none throws, whatever comes, and what one takes it takes within its bounds. For so many seconds
// each as CAIRN_HOSTILE_SECONDS says (.ci/run: 10), with the seed CAIRN_HOSTILE_SEED.

import { readFileSync } from "node:fs";
import type protobuf from "protobufjs";
import { describe, expect, test } from "vitest";

import { LinkDecoder } from "../../src/adapters/link-decoder.ts";
import { consumeBodyOf, produceBodyOf, routeOf } from "../../src/adapters/rest-requests.ts";
import { concat, freeze } from "../../src/base/bytes.ts";
import { LOG_START } from "../../src/base/entry.ts";
import type { LogIndex, NodeId, Term, WallMs } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import { decodeBatch, draftOf, encodeBatch } from "../../src/base/record-batch.ts";
import { decodeCompressed, PLAIN_BYTES_MAX, readPacket } from "../../src/gossip/packet-codec.ts";
import { STREAM_BYTES_MAX, StreamReader } from "../../src/gossip/stream-codec.ts";
import { sealFrame } from "../../src/log/frame.ts";
import { encodeRaft } from "../../src/node/raft-wire.ts";
import { encodeSnapshot } from "../../src/node/snapshot-wire.ts";
import { decodeMessage, encodeHello } from "../../src/node/wire.ts";
import { headCrc, RouteBytes } from "../../src/node/wire-head.ts";
import * as admin from "../../src/proto/cairn-admin.ts";
import * as backup from "../../src/proto/cairn-backup.ts";
import * as cursors from "../../src/proto/cairn-cursors.ts";
import * as reads from "../../src/proto/cairn-read.ts";
import * as talk from "../../src/proto/cairn-talk.ts";
import * as appends from "../../src/proto/cairn-v1.ts";
import * as book from "../../src/proto/log-v1.ts";
import type { RaftMessage } from "../../src/raft/protocol.ts";
import { bytesOf, vectors } from "../gossip/vectors.ts";
import { messageType } from "../proto/reference-proto.ts";
import { Mutator } from "./mutations.ts";

const SECONDS = Number(process.env["CAIRN_HOSTILE_SECONDS"] ?? "0.1");
const SEED = process.env["CAIRN_HOSTILE_SEED"] ?? "hostile";
const SAMPLES = 40;
const BODY_BYTES_MAX = 1 << 20;

interface Target {
  readonly samples: readonly Uint8Array[];
  /** Throws only where it is wrong. */
  readonly read: (bytes: Uint8Array) => unknown;
}

// ---- protobuf ----

const WORDS = ["", "n1", "cursor/ä", "10.0.0.1:8400", "x".repeat(300)];
const NUMBERS = [0, 1, 127, 128, 300, 65_536, 2 ** 31, 2 ** 53 - 1];

/** Any message of a type, with fields left out at will. */
function messageOf(type: protobuf.Type, prng: Prng, depth = 0): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const field of type.fieldsArray) {
    if (prng.chance(1, 4)) continue;
    const value = () => fieldOf(field.resolve(), prng, depth);
    const several = () => Array.from({ length: prng.below(4) }, value);
    if (field.map) fields[field.name] = Object.fromEntries(several().map((each, at) => [at, each]));
    else fields[field.name] = field.repeated ? several() : value();
  }
  return fields;
}

function fieldOf(field: protobuf.Field, prng: Prng, depth: number): unknown {
  const { resolvedType } = field;
  if (resolvedType !== null && "fieldsArray" in resolvedType) {
    return depth > 3 ? {} : messageOf(resolvedType, prng, depth + 1);
  }
  if (resolvedType !== null) return prng.below(5);
  if (field.type === "string") return prng.pick(WORDS);
  if (field.type === "bytes") return prng.bytes(prng.below(80));
  if (field.type === "bool") return prng.chance(1, 2);
  return prng.pick(NUMBERS);
}

function samplesOf(name: string): Uint8Array[] {
  const type = messageType(name);
  const prng = new Prng(`${SEED}/${name}`);
  return Array.from({ length: SAMPLES }, () =>
    type.encode(type.fromObject(messageOf(type, prng))).finish(),
  );
}

const MESSAGES: Readonly<Record<string, (bytes: Uint8Array) => unknown>> = {
  "log.v1.ProduceRequest": book.decodeProduceRequest,
  "log.v1.ProduceResponse": book.decodeProduceResponse,
  "log.v1.ConsumeRequest": book.decodeConsumeRequest,
  "log.v1.ConsumeResponse": book.decodeConsumeResponse,
  "log.v1.GetServersRequest": (bytes) => book.decodeEmptyRequest("GetServersRequest", bytes),
  "log.v1.GetServersResponse": book.decodeGetServersResponse,
  "cairn.v1.AppendRequest": appends.decodeAppendRequest,
  "cairn.v1.AppendResponse": appends.decodeAppendResponse,
  "cairn.v1.CheckTailResponse": appends.decodeCheckTailResponse,
  "cairn.v1.ReadRequest": reads.decodeReadRequest,
  "cairn.v1.ReadResponse": reads.decodeReadResponse,
  "cairn.v1.CommitCursorRequest": cursors.decodeCommitCursorRequest,
  "cairn.v1.FetchCursorRequest": (bytes) =>
    cursors.decodeCursorsRequest("FetchCursorRequest", bytes),
  "cairn.v1.ListCursorsRequest": (bytes) =>
    cursors.decodeCursorsRequest("ListCursorsRequest", bytes),
  "cairn.v1.ListCursorsResponse": cursors.decodeCursors,
  "cairn.v1.DeleteCursorRequest": cursors.decodeDeleteCursorRequest,
  "cairn.v1.FenceRequest": cursors.decodeFenceRequest,
  "cairn.v1.StatusResponse": admin.decodeStatusResponse,
  "cairn.v1.ChangeMembershipRequest": admin.decodeChange,
  "cairn.v1.TransferLeadershipRequest": admin.decodeTransferRequest,
  "cairn.v1.LeaveRequest": (bytes) => admin.decodeDeparture("LeaveRequest", bytes),
  "cairn.v1.ForceLeaveRequest": (bytes) => admin.decodeDeparture("ForceLeaveRequest", bytes),
  "cairn.v1.GossipKeysRequest": admin.decodeKeysRequest,
  "cairn.v1.GossipKeysResponse": admin.decodeKeysResponse,
  "cairn.v1.RoundTripRequest": admin.decodeRoundTripRequest,
  "cairn.v1.RoundTripResponse": admin.decodeRoundTrip,
  "cairn.v1.SendEventRequest": talk.decodeSendEvent,
  "cairn.v1.QueryRequest": talk.decodeQuery,
  "cairn.v1.QueryResponse": talk.decodeQueryNews,
  "cairn.v1.WatchEventsRequest": (bytes) => book.decodeEmptyRequest("WatchEventsRequest", bytes),
  "cairn.v1.WatchEventsResponse": talk.decodeHeard,
  "cairn.v1.StatusRequest": (bytes) => book.decodeEmptyRequest("StatusRequest", bytes),
  "cairn.v1.CheckTailRequest": (bytes) => book.decodeEmptyRequest("CheckTailRequest", bytes),
  "cairn.v1.TrimRequest": admin.decodeTrimRequest,
  "cairn.v1.TrimResponse": admin.decodeTrimResponse,
  "cairn.v1.BackupRequest": (bytes) => book.decodeEmptyRequest("BackupRequest", bytes),
  "cairn.v1.BackupResponse": backup.decodeBackupResponse,
};

// ---- peers ----

const route = new RouteBytes({
  clusterId: "00112233445566778899aabbccddeeff",
  from: "n1" as NodeId,
  to: "n2" as NodeId,
});

function entryBytes() {
  const draft = draftOf([{ value: new TextEncoder().encode("an entry") }], 5 as WallMs);
  const { bytes, ...stamp } = draft;
  const place = { index: 1 as LogIndex, term: 3 as Term, prevTerm: LOG_START.term };
  const head = { ...stamp, ...place, offset: LOG_START.endOffset, bodyLength: bytes.length - 96 };
  return { ...head, frame: sealFrame(head, bytes) };
}

const index = (value: number) => value as LogIndex;
const term = (value: number) => value as Term;
const RAFT: readonly RaftMessage[] = [
  ...[true, false].map((preVote) => ({
    kind: "vote-request" as const,
    ...{ term: term(7), lastIndex: index(5), lastTerm: term(6), preVote, transfer: !preVote },
  })),
  { kind: "vote-reply", term: term(7), granted: true, preVote: false },
  {
    kind: "append-request",
    ...{ term: term(7), prevIndex: index(0), prevTerm: term(0), entries: [entryBytes()] },
    ...{ commitIndex: index(0), round: 3 },
  },
];

function peerFrames(): Uint8Array[] {
  const hello = {
    ...{ protocolMin: 2, protocolMax: 2, instanceId: "00".repeat(16), address: "10.0.0.1:8400" },
    ...{ lane: "control" as const, awaits: true },
  };
  const name = { at: { ...LOG_START, index: index(9), term: term(2) }, length: 500, crc: 7 };
  const part = { kind: "snapshot-part" as const, term: term(7), round: 1, name, position: 0 };
  return [
    encodeHello(route, hello),
    ...RAFT.map((message) => encodeRaft(route, message)),
    encodeSnapshot(route, { ...part, bytes: freeze(new Uint8Array(40)) }),
    encodeSnapshot(route, { kind: "snapshot-reply", index: index(9), crc: 7, position: 40 }),
  ].map((parts) => concat(parts));
}

/** Its checksum put right again: what is behind it must bear anything, too. */
function resealed(bytes: Uint8Array): Uint8Array {
  if (bytes.length < 8) return bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const headLength = view.getUint16(2);
  if (headLength >= 8 && headLength <= bytes.length) view.setUint32(4, headCrc(bytes, headLength));
  return bytes;
}

function readLink(bytes: Uint8Array): void {
  const decoder = new LinkDecoder(1000);
  for (let at = 0; at < bytes.length; at += 7) {
    decoder.push(bytes.slice(at, at + 7));
    for (let frame = decoder.next(); frame !== null; frame = decoder.next()) {
      if ("kind" in frame) return;
      expect(frame.length).toBeLessThanOrEqual(1000);
    }
  }
}

const framed = (frame: Uint8Array) => {
  const length = new Uint8Array(4);
  new DataView(length.buffer).setUint32(0, frame.length);
  return concat([length, frame]);
};

// ---- gossip, bodies, REST ----

const byTransport = (transport: "udp" | "tcp") =>
  vectors.messages.filter((each) => each.transport === transport).map(({ hex }) => bytesOf(hex));

function readStream(bytes: Uint8Array): void {
  expect(bytes.length).toBeLessThan(STREAM_BYTES_MAX);
  const reader = new StreamReader();
  for (let at = 0; at < bytes.length; at += 97) reader.take(bytes.slice(at, at + 97));
}

const json = (value: unknown) => Buffer.from(JSON.stringify(value));

const TARGETS: Readonly<Record<string, Target>> = {
  ...Object.fromEntries(
    Object.entries(MESSAGES).map(([name, read]): [string, Target] => [
      name,
      { read, samples: samplesOf(name) },
    ]),
  ),
  "a record batch": {
    read: decodeBatch,
    samples: [1, 3, 40].map((count) =>
      encodeBatch(
        Array.from({ length: count }, (_, at) => ({
          value: new Uint8Array(at),
          key: new Uint8Array(2),
          headers: [{ name: "h", value: new Uint8Array(1) }],
        })),
      ),
    ),
  },
  "a peer's frame": {
    read: (bytes) => decodeMessage(freeze(bytes), BODY_BYTES_MAX),
    samples: peerFrames(),
  },
  "a peer's frame with its checksum put right": {
    read: (bytes) => decodeMessage(freeze(resealed(bytes)), BODY_BYTES_MAX, route),
    samples: peerFrames(),
  },
  "a peer's stream": { read: readLink, samples: peerFrames().map(framed) },
  "a gossip packet": { read: (bytes) => readPacket(freeze(bytes)), samples: byTransport("udp") },
  "a gossip stream": { read: readStream, samples: byTransport("tcp") },
  "compressed gossip": {
    read: (bytes) => {
      const plain = decodeCompressed(freeze(bytes), PLAIN_BYTES_MAX);
      if (typeof plain !== "string") expect(plain.length).toBeLessThanOrEqual(PLAIN_BYTES_MAX);
    },
    samples: vectors.lzw.map(({ lzw }) => bytesOf(lzw)),
  },
  "a REST body": {
    read: (bytes) => [produceBodyOf(Buffer.from(bytes)), consumeBodyOf(Buffer.from(bytes))],
    samples: [json({ record: { value: "aGVsbG8=" } }), json({ offset: 12 })],
  },
  "a REST target": {
    read: (bytes) => routeOf("GET", Buffer.from(bytes).toString("latin1")),
    samples: [Buffer.from("/records?from=0&limit=10"), Buffer.from("/records/12")],
  },
};

describe("the list of what is sent", () => {
  const files = ["log/v1/log", "cairn/v1/log", "cairn/v1/admin"];

  test.each(files)("has every request of proto/%s.proto", (file) => {
    const text = readFileSync(`proto/${file}.proto`, "utf8");
    const scope = /^package ([\w.]+);/m.exec(text)?.[1] ?? "";
    const requests = [...text.matchAll(/^ {2}rpc \w+\((?:stream )?(\w+)\)/gm)];
    const missing = requests
      .map(([, name]) => `${scope}.${name}`)
      .filter((name) => !MESSAGES[name]);
    expect(requests.length).toBeGreaterThan(0);
    expect(missing).toEqual([]);
  });
});

describe("whatever is sent", () => {
  test.each(Object.entries(TARGETS))(
    "as %s, its decoder does not throw",
    (name, { samples, read }) => {
      expect(samples.length).toBeGreaterThan(0);
      for (const sample of samples) read(Uint8Array.from(sample));
      const mutator = new Mutator(`${SEED}/${name}`, samples);
      const until = performance.now() + SECONDS * 1000;
      let tried = 0;
      do {
        const bytes = mutator.next();
        const sent = Buffer.from(bytes).toString("hex");
        try {
          read(bytes);
        } catch (error) {
          throw new Error(`${name}: these bytes made it throw: ${sent}`, { cause: error });
        }
        tried++;
      } while (performance.now() < until);
      expect(tried).toBeGreaterThan(0);
    },
    60_000 + SECONDS * 2000,
  );
});
