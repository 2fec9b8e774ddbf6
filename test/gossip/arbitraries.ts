// Drawn messages: everything that members may say, inside the limits that messages.ts names.
import fc from "fast-check";
import type { Address } from "../../src/base/address.ts";
import { canonicalIp } from "../../src/base/address.ts";
import { type FrozenBytes, freeze } from "../../src/base/bytes.ts";
import type { NodeId } from "../../src/base/ids.ts";
import {
  type EventSlot,
  type Incarnation,
  type LamportTime,
  META_BYTES_MAX,
  type NodeRecord,
  OUR_VERSIONS,
  type PacketMessage,
  type PushPull,
  type Relay,
  type SerfMessage,
  type SerfState,
  type StreamMessage,
  type Versions,
} from "../../src/gossip/messages.ts";
import type { Tags } from "../../src/gossip/protocol.ts";

const U32_MAX = 0xffff_ffff;

export const frozenBytes = (maxLength: number): fc.Arbitrary<FrozenBytes> =>
  fc.uint8Array({ maxLength }).map((bytes) => freeze(bytes));

const isShowable = (text: string): boolean => !/\p{Cc}/u.test(text);

export const name: fc.Arbitrary<NodeId> = fc
  .oneof(
    fc.stringMatching(/^[a-z][a-z0-9.-]{0,40}$/),
    fc.string({ unit: "binary", minLength: 1, maxLength: 60 }).filter(isShowable),
  )
  .map((text) => text as NodeId);

/** Texts as they come back: a lone surrogate has no UTF-8. */
const text = fc.string({ unit: "binary", maxLength: 40 });
const u32 = fc.oneof(fc.nat(300), fc.integer({ min: 0, max: U32_MAX }));
const incarnation = u32.map((value) => value as Incarnation);
export const lamportTime: fc.Arbitrary<LamportTime> = fc
  .oneof(fc.nat(70_000), fc.maxSafeNat())
  .map((value) => value as LamportTime);

const ip = fc.constantFrom(4, 16).chain((length) =>
  fc
    .uint8Array({ minLength: length, maxLength: length })
    .filter((bytes) => canonicalIp(freeze(bytes)) === bytes)
    .map((bytes) => freeze(bytes)),
);
export const address: fc.Arbitrary<Address> = fc.record({
  ip,
  port: fc.integer({ min: 0, max: 65_535 }),
});
/** A source's port is never 0: that means that there is none. */
const source = fc.option(fc.record({ ip, port: fc.integer({ min: 1, max: 65_535 }) }), {
  nil: null,
});
const maybeName = fc.option(name, { nil: null });

const threeAscending = fc
  .tuple(...[1, 2, 3].map(() => fc.integer({ min: 1, max: 255 })))
  .map((drawn) => drawn.toSorted((a, b) => a - b) as [number, number, number]);
const versions: fc.Arbitrary<Versions> = fc.oneof(
  fc.constant(OUR_VERSIONS),
  fc.tuple(threeAscending, threeAscending).map(([protocol, delegate]) => ({
    protocolMin: protocol[0],
    protocolCurrent: protocol[1],
    protocolMax: protocol[2],
    delegateMin: delegate[0],
    delegateCurrent: delegate[1],
    delegateMax: delegate[2],
  })),
);

export const tags: fc.Arbitrary<Tags> = fc
  .dictionary(text, text, { maxKeys: 5 })
  .map((drawn) => new Map(Object.entries(drawn)));

const event = fc.record({ name: text, payload: frozenBytes(40) });
const slot: fc.Arbitrary<EventSlot> = fc.record({
  time: lamportTime,
  events: fc.array(event, { maxLength: 3 }),
});
export const serfState: fc.Arbitrary<SerfState> = fc.record({
  kind: fc.constant("state"),
  time: lamportTime,
  statusTimes: fc
    .array(fc.tuple(name, lamportTime), { maxLength: 5 })
    .map((entries) => new Map(entries)),
  left: fc.array(name, { maxLength: 4 }),
  eventTime: lamportTime,
  events: fc.array(fc.option(slot, { nil: null }), { maxLength: 20 }),
  queryTime: lamportTime,
});

const plainSerf: fc.Arbitrary<Relay["message"]> = fc.oneof(
  fc.record({
    kind: fc.constant("leave-intent" as const),
    time: lamportTime,
    node: name,
    prune: fc.boolean(),
  }),
  fc.record({ kind: fc.constant("join-intent" as const), time: lamportTime, node: name }),
  fc.record({
    kind: fc.constant("user-event" as const),
    time: lamportTime,
    name: text,
    payload: frozenBytes(60),
    coalesce: fc.boolean(),
  }),
  fc.record({
    kind: fc.constant("query" as const),
    time: lamportTime,
    id: u32,
    name: text,
    payload: frozenBytes(60),
    source: address,
    sourceNode: maybeName,
    filters: fc.array(frozenBytes(20), { maxLength: 3 }),
    flags: u32,
    relayFactor: fc.nat(255),
    timeoutNanos: fc.maxSafeNat(),
  }),
  fc.record({
    kind: fc.constant("query-response" as const),
    time: lamportTime,
    id: u32,
    from: name,
    flags: u32,
    payload: frozenBytes(60),
  }),
  serfState,
);

export const serfMessage: fc.Arbitrary<SerfMessage> = fc.oneof(
  { weight: 5, arbitrary: plainSerf },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("relay" as const),
      to: address,
      zone: text,
      node: maybeName,
      message: plainSerf,
    }),
  },
);

const ask = { sequence: u32, node: maybeName, source, sourceNode: maybeName };
const ping = fc.record({ kind: fc.constant("ping" as const), ...ask });
const ack = fc.record({
  kind: fc.constant("ack" as const),
  sequence: u32,
  payload: frozenBytes(150),
});

export const packetMessage: fc.Arbitrary<PacketMessage> = fc.oneof(
  ping,
  fc.record({
    kind: fc.constant("indirect-ping" as const),
    ...ask,
    target: address,
    nack: fc.boolean(),
  }),
  ack,
  fc.record({ kind: fc.constant("nack" as const), sequence: u32 }),
  fc.record({
    kind: fc.constantFrom("suspect" as const, "dead" as const),
    incarnation,
    node: name,
    from: name,
  }),
  fc.record({
    kind: fc.constant("alive" as const),
    incarnation,
    node: name,
    address,
    meta: frozenBytes(META_BYTES_MAX),
    versions,
  }),
  serfMessage.map((message) => ({ kind: "user" as const, message })),
);

const nodeRecord: fc.Arbitrary<NodeRecord> = fc.record({
  node: name,
  address,
  incarnation,
  meta: frozenBytes(60),
  state: fc.constantFrom("alive", "suspect", "dead", "left"),
  versions,
});

export const pushPull: fc.Arbitrary<PushPull> = fc.record({
  kind: fc.constant("push-pull"),
  join: fc.boolean(),
  nodes: fc.array(nodeRecord, { maxLength: 20 }),
  nodesDropped: fc.constant(0),
  serf: fc.option(serfState, { nil: null }),
});

export const streamMessage: fc.Arbitrary<StreamMessage> = fc.oneof(
  { weight: 4, arbitrary: pushPull },
  { weight: 1, arbitrary: ping },
  { weight: 1, arbitrary: ack },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("error" as const), text }) },
);
