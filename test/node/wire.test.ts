// Peer messages as bytes: round trips, golden bytes, and bytes that are no message.

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import { concat, freeze } from "../../src/base/bytes.ts";
import { type Entry, LOG_START, type LogPoint, pointAfter } from "../../src/base/entry.ts";
import type { LogIndex, NodeId, Term, WallMs } from "../../src/base/ids.ts";
import { draftOf } from "../../src/base/record-batch.ts";
import { sealFrame } from "../../src/log/frame.ts";
import { encodeRaft } from "../../src/node/raft-wire.ts";
import { decodeMessage, encodeHello } from "../../src/node/wire.ts";
import { hexOf, RouteBytes } from "../../src/node/wire-head.ts";
import type { RaftMessage } from "../../src/raft/protocol.ts";

const route = new RouteBytes({
  clusterId: "00112233445566778899aabbccddeeff",
  from: "n1" as NodeId,
  to: "knoten-ü" as NodeId,
});

function entryAfter(before: LogPoint, text: string): Entry {
  const draft = draftOf([{ value: new TextEncoder().encode(text) }], 5 as WallMs);
  const { bytes, ...stamp } = draft;
  const head = {
    ...stamp,
    index: (before.index + 1) as LogIndex,
    term: 3 as Term,
    prevTerm: before.term,
    offset: before.endOffset,
    bodyLength: bytes.length - 96,
  };
  return { ...head, frame: sealFrame(head, bytes) };
}

function chain(texts: readonly string[]): Entry[] {
  const entries: Entry[] = [];
  let at = LOG_START;
  for (const text of texts) {
    const entry = entryAfter(at, text);
    entries.push(entry);
    at = pointAfter(entry);
  }
  return entries;
}

const count = fc.maxSafeNat();
const term = count.map((value) => value as Term);
const index = count.map((value) => value as LogIndex);
const conflict = fc.record({ prevIndex: index, hintIndex: index, hintTerm: term });
const message: fc.Arbitrary<RaftMessage> = fc.oneof(
  fc.record({
    kind: fc.constant("vote-request" as const),
    term,
    lastIndex: index,
    lastTerm: term,
    preVote: fc.boolean(),
    transfer: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant("vote-reply" as const),
    term,
    granted: fc.boolean(),
    preVote: fc.boolean(),
  }),
  fc
    .record({
      kind: fc.constant("append-request" as const),
      term,
      prevIndex: index,
      prevTerm: term,
      commitIndex: index,
      round: count,
      entries: fc.array(fc.string(), { maxLength: 4 }).map(chain),
      mend: fc.option(fc.record({ loss: count, index })),
    })
    .map(({ mend, ...message }) => (mend === null ? message : { ...message, mend })),
  fc
    .record({
      kind: fc.constant("append-reply" as const),
      term,
      round: count,
      matchIndex: index,
      conflict: fc.option(conflict),
      loss: fc.option(count),
    })
    .map(({ loss, ...message }) => (loss === null ? message : { ...message, loss })),
  fc.record({ kind: fc.constant("timeout-now" as const), term, lastIndex: index }),
  fc.record({ kind: fc.constant("read-request" as const), term, sequence: count }),
  fc.record({
    kind: fc.constant("read-reply" as const),
    term,
    sequence: count,
    readIndex: fc.option(index),
  }),
);

const frameOf = (sent: RaftMessage) => freeze(concat(encodeRaft(route, sent)));

describe("a peer message", () => {
  test("comes back as it went, with its route, whatever its kind", () => {
    fc.assert(
      fc.property(message, (sent) => {
        const decoded = decodeMessage(frameOf(sent), 1 << 20);
        expect(decoded).toEqual({ kind: "raft", route: route.route, message: sent });
      }),
    );
  });

  test("has these bytes for ever", () => {
    const vote: RaftMessage = {
      kind: "vote-request",
      term: 7 as Term,
      lastIndex: 0x1_0000_0002 as LogIndex,
      lastTerm: 6 as Term,
      preVote: true,
      transfer: false,
    };
    expect(hexOf(frameOf(vote))).toBe(
      "0102003e" + // version, type, head length
        "03d549a5" + // checksum
        "00112233445566778899aabbccddeeff" +
        "026e31" + // from
        "096b6e6f74656e2dc3bc" + // to
        "0000000000000007" +
        "0000000100000002" +
        "0000000000000006" +
        "01",
    );
  });

  test("says of a loss what is documented, and nothing where there is none", () => {
    const nothing = { round: 2, matchIndex: 5 as LogIndex, conflict: null };
    const reply = { kind: "append-reply", term: 7 as Term, ...nothing } as const;
    const fieldsOf = (message: RaftMessage) => hexOf(frameOf(message)).slice(2 * 37);
    const whole = fieldsOf(reply);
    expect(whole).toHaveLength(2 * 49);
    expect(fieldsOf({ ...reply, loss: 9 })).toBe(`${whole}0000000000000009`);
    const head = { prevIndex: 5 as LogIndex, prevTerm: 7 as Term, commitIndex: 5 as LogIndex };
    const heartbeat = { kind: "append-request", term: 7 as Term, ...head } as const;
    const beat = { ...heartbeat, round: 2, entries: [] };
    const plain = fieldsOf(beat);
    expect(plain).toHaveLength(2 * 44);
    const mend = { loss: 9, index: 6 as LogIndex };
    expect(fieldsOf({ ...beat, mend })).toBe(`${plain}00000000000000090000000000000006`);
  });

  test("with any byte changed, lost or added is malformed or says the same", () => {
    fc.assert(
      fc.property(message, fc.nat(), fc.integer({ min: 1, max: 255 }), (sent, at, flip) => {
        const frame = frameOf(sent);
        const flipped = frame.slice();
        flipped[at % frame.length] = (flipped[at % frame.length] ?? 0) ^ flip;
        expect(decodeMessage(freeze(flipped), 1 << 20).kind).toBe("malformed");
        const cut = frame.subarray(0, at % frame.length);
        expect(decodeMessage(freeze(cut), 1 << 20).kind).toBe("malformed");
        const grown = concat([frame, new Uint8Array([flip])]);
        expect(decodeMessage(freeze(grown), 1 << 20).kind).toBe("malformed");
      }),
    );
  });

  test("with its type changed is malformed, whatever other type has as many fields", () => {
    fc.assert(
      fc.property(message, fc.integer({ min: 0, max: 255 }), (sent, type) => {
        const frame = frameOf(sent).slice();
        fc.pre(frame[1] !== type);
        frame[1] = type;
        expect(decodeMessage(freeze(frame), 1 << 20)).toEqual({
          kind: "malformed",
          what: "head checksum",
        });
      }),
    );
  });

  test("made of any bytes never throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(decodeMessage(freeze(bytes), 1 << 20).kind).toBe("malformed");
      }),
    );
  });

  test("with an entry over the limit is malformed", () => {
    const sent: RaftMessage = {
      kind: "append-request",
      term: 3 as Term,
      prevIndex: 0 as LogIndex,
      prevTerm: 0 as Term,
      commitIndex: 0 as LogIndex,
      round: 0,
      entries: chain(["x".repeat(1000)]),
    };
    expect(decodeMessage(frameOf(sent), 2000).kind).toBe("raft");
    expect(decodeMessage(frameOf(sent), 100).kind).toBe("malformed");
  });
});

test("a hello carries versions, instance, lane, address and whether its sender waits", () => {
  const hello = {
    protocolMin: 1,
    protocolMax: 3,
    instanceId: "ffeeddccbbaa99887766554433221100",
    lane: "bulk" as const,
    awaits: true,
    address: "10.0.0.7:8400",
  };
  const frame = freeze(concat(encodeHello(route, hello)));
  expect(decodeMessage(frame, 0)).toEqual({ kind: "hello", route: route.route, hello });
});
