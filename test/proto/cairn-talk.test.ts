// The codecs of events and queries of gossip against protobufjs, which reads the same .proto file.

import fc from "fast-check";
import { expect, test } from "vitest";
import {
  decodeHeard,
  decodeQuery,
  decodeQueryNews,
  decodeSendEvent,
  encodeHeard,
  encodeQuery,
  encodeQueryNews,
  encodeSendEvent,
} from "../../src/proto/cairn-talk.ts";
import { Malformed } from "../../src/proto/fields.ts";
import { plain, texts, theirBytes } from "./both-sides.ts";

/** With payloads as numbers, so that kinds of arrays make no difference. */
function plainly(message: Malformed | { readonly payload: Uint8Array }): unknown {
  if (message instanceof Malformed) return message;
  return { ...message, payload: plain(message.payload) };
}

test("events and queries of gossip read the same on both sides", () => {
  const payloads = fc.uint8Array({ maxLength: 20 });
  const tags = fc.dictionary(texts, texts, { maxKeys: 3 });
  const event = fc.record({ name: texts, payload: payloads, coalesce: fc.boolean() });
  const query = fc.record({
    name: texts,
    payload: payloads,
    nodes: fc.array(texts, { maxLength: 3 }),
    tags,
    timeoutMs: fc.nat(),
    ack: fc.boolean(),
    relayFactor: fc.nat(255),
  });
  fc.assert(
    fc.property(event, query, (sent, asked) => {
      expect(plainly(decodeSendEvent(theirBytes("cairn.v1.SendEventRequest", sent)))).toEqual(
        plainly(sent),
      );
      expect(plainly(decodeSendEvent(encodeSendEvent(sent)))).toEqual(plainly(sent));
      expect(plainly(decodeQuery(theirBytes("cairn.v1.QueryRequest", asked)))).toEqual(
        plainly(asked),
      );
      expect(plainly(decodeQuery(encodeQuery(asked)))).toEqual(plainly(asked));
    }),
  );
  const news = fc.record({
    kind: texts,
    from: texts,
    payload: payloads,
    timeoutMs: fc.nat(),
    acks: fc.nat(),
    answers: fc.nat(),
    duplicates: fc.nat(),
  });
  const heard = fc.record({
    kind: texts,
    name: texts,
    payload: payloads,
    from: texts,
    time: fc.maxSafeNat(),
    coalesced: fc.boolean(),
    missed: fc.nat(),
  });
  fc.assert(
    fc.property(news, heard, (came, told) => {
      expect(plainly(decodeQueryNews(theirBytes("cairn.v1.QueryResponse", came)))).toEqual(
        plainly(came),
      );
      expect(plainly(decodeQueryNews(encodeQueryNews(came)))).toEqual(plainly(came));
      expect(plainly(decodeHeard(theirBytes("cairn.v1.WatchEventsResponse", told)))).toEqual(
        plainly(told),
      );
      expect(plainly(decodeHeard(encodeHeard(told)))).toEqual(plainly(told));
    }),
  );
});

test("a query of very many filters is malformed", () => {
  const many = (count: number) => Array.from({ length: count }, (_, at) => `n${at}`);
  const none = { name: "q", payload: new Uint8Array(0), timeoutMs: 0, ack: true, relayFactor: 0 };
  const nodes = encodeQuery({ ...none, nodes: many(257), tags: {} });
  expect(decodeQuery(nodes)).toBeInstanceOf(Malformed);
  const pairs = Object.fromEntries(many(65).map((name) => [name, "x"]));
  expect(decodeQuery(encodeQuery({ ...none, nodes: [], tags: pairs }))).toBeInstanceOf(Malformed);
});
