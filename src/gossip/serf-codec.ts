// Serf's messages as bytes: a type byte and a map. They ride in memberlist's user messages and, one
// of them, in a push/pull. Owns these forms; what they mean is the machine's business.

import { EMPTY_BYTES, type FrozenBytes } from "../base/bytes.ts";
import { isCount, type NodeId } from "../base/ids.ts";
import { asName, Fields, readFields, readOnlyFields, U32_MAX } from "./fields.ts";
import type {
  EventSlot,
  LamportTime,
  Query,
  QueryResponse,
  Relay,
  SerfMessage,
  SerfState,
  UserEvent,
} from "./messages.ts";
import { type MsgpackValue, MsgpackWriter } from "./msgpack.ts";
import type { DropReason } from "./protocol.ts";

const LEAVE_INTENT = 0;
const JOIN_INTENT = 1;
const STATE = 2;
const USER_EVENT = 3;
const QUERY = 4;
const QUERY_RESPONSE = 5;
const RELAY = 9;

/** The bytes of one message, its type first, as stock agents write them. */
export function encodeSerf(message: SerfMessage): FrozenBytes {
  const writer = new MsgpackWriter();
  writeSerf(writer, message);
  return writer.take();
}

function writeSerf(to: MsgpackWriter, message: SerfMessage): void {
  switch (message.kind) {
    case "leave-intent":
      to.byte(LEAVE_INTENT).map(3).text("LTime").uint(message.time);
      to.text("Node").text(message.node).text("Prune").bool(message.prune);
      return;
    case "join-intent":
      to.byte(JOIN_INTENT).map(2).text("LTime").uint(message.time);
      to.text("Node").text(message.node);
      return;
    case "state":
      writeState(to, message);
      return;
    case "user-event":
      to.byte(USER_EVENT).map(4).text("CC").bool(message.coalesce);
      to.text("LTime").uint(message.time).text("Name").text(message.name);
      to.text("Payload").rawOrNil(message.payload);
      return;
    case "query":
      writeQuery(to, message);
      return;
    case "query-response":
      to.byte(QUERY_RESPONSE).map(5).text("Flags").uint(message.flags);
      to.text("From").text(message.from).text("ID").uint(message.id);
      to.text("LTime").uint(message.time).text("Payload").rawOrNil(message.payload);
      return;
    case "relay":
      to.byte(RELAY).map(2).text("DestAddr").map(3).text("IP").raw(message.to.ip);
      to.text("Port").uint(message.to.port).text("Zone").text(message.zone);
      to.text("DestName").text(message.node ?? "");
      writeSerf(to, message.message);
  }
}

function writeState(to: MsgpackWriter, state: SerfState): void {
  to.byte(STATE).map(6).text("EventLTime").uint(state.eventTime);
  to.text("Events").array(state.events.length);
  for (const slot of state.events) writeSlot(to, slot);
  to.text("LTime").uint(state.time);
  to.text("LeftMembers").array(state.left.length);
  for (const name of state.left) to.text(name);
  to.text("QueryLTime").uint(state.queryTime);
  to.text("StatusLTimes").map(state.statusTimes.size);
  for (const [name, time] of state.statusTimes) to.text(name).uint(time);
}

function writeSlot(to: MsgpackWriter, slot: EventSlot | null): void {
  if (slot === null) {
    to.nil();
    return;
  }
  to.map(2).text("Events").array(slot.events.length);
  for (const { name, payload } of slot.events) {
    to.map(2).text("Name").text(name).text("Payload").rawOrNil(payload);
  }
  to.text("LTime").uint(slot.time);
}

function writeQuery(to: MsgpackWriter, query: Query): void {
  to.byte(QUERY).map(11).text("Addr").raw(query.source.ip).text("Filters");
  if (query.filters.length === 0) to.nil();
  else to.array(query.filters.length);
  for (const filter of query.filters) to.raw(filter);
  to.text("Flags").uint(query.flags).text("ID").uint(query.id);
  to.text("LTime").uint(query.time).text("Name").text(query.name);
  to.text("Payload").rawOrNil(query.payload).text("Port").uint(query.source.port);
  to.text("RelayFactor").uint(query.relayFactor);
  to.text("SourceNode").text(query.sourceNode ?? "");
  to.text("Timeout").uint(query.timeoutNanos);
}

/** The message that `bytes` from `at` on is; what follows it is ignored. Never throws. */
export function decodeSerf(bytes: FrozenBytes, at: number): SerfMessage | DropReason {
  const type = bytes[at];
  if (type === undefined) return "empty";
  if (type === RELAY) return decodeRelay(bytes, at + 1);
  if (type > QUERY_RESPONSE) return "unknown-type";
  const fields = readOnlyFields(bytes, at + 1);
  return fields === null ? "malformed" : decodeByType(type, fields);
}

function decodeByType(type: number, fields: Fields): SerfMessage | DropReason {
  switch (type) {
    case LEAVE_INTENT:
      return fields.finish({
        kind: "leave-intent",
        time: fields.time("LTime"),
        node: fields.name("Node"),
        prune: fields.bool("Prune"),
      });
    case JOIN_INTENT:
      return fields.finish({
        kind: "join-intent",
        time: fields.time("LTime"),
        node: fields.name("Node"),
      });
    case STATE:
      return decodeState(fields);
    case USER_EVENT:
      return decodeUserEvent(fields);
    case QUERY:
      return decodeQuery(fields);
    default:
      return decodeResponse(fields);
  }
}

function decodeState(fields: Fields): SerfState | DropReason {
  const events = fields.list("Events").map((slot) => {
    return slot === null ? null : decodeSlot(slot, fields);
  });
  const state: SerfState = {
    kind: "state",
    time: fields.time("LTime"),
    statusTimes: timesOf(fields),
    left: namesOf(fields.list("LeftMembers"), fields),
    eventTime: fields.time("EventLTime"),
    events,
    queryTime: fields.time("QueryLTime"),
  };
  return fields.finish(state);
}

function timesOf(fields: Fields): ReadonlyMap<NodeId, LamportTime> {
  const times = new Map<NodeId, LamportTime>();
  for (const [name, time] of fields.entries("StatusLTimes")) {
    if (isCount(time)) times.set(name as NodeId, time as LamportTime);
    else fields.refuse();
  }
  return times;
}

function namesOf(values: readonly MsgpackValue[], fields: Fields): readonly NodeId[] {
  const names: NodeId[] = [];
  for (const value of values) {
    const name = asName(value);
    if (name === null) fields.refuse();
    else names.push(name);
  }
  return names;
}

function decodeSlot(value: MsgpackValue, state: Fields): EventSlot | null {
  const fields = Fields.of(value);
  const slot = fields?.finish({
    time: fields.time("LTime"),
    events: fields.list("Events").map((event) => decodeSlotEvent(event, state)),
  });
  if (slot !== undefined && typeof slot !== "string") return slot;
  state.refuse();
  return null;
}

function decodeSlotEvent(value: MsgpackValue, state: Fields): EventSlot["events"][number] {
  const fields = Fields.of(value);
  const event = fields?.finish({ name: fields.text("Name"), payload: fields.raw("Payload") });
  if (event !== undefined && typeof event !== "string") return event;
  state.refuse();
  return { name: "", payload: EMPTY_BYTES };
}

function decodeUserEvent(fields: Fields): UserEvent | DropReason {
  return fields.finish({
    kind: "user-event",
    time: fields.time("LTime"),
    name: fields.text("Name"),
    payload: fields.raw("Payload"),
    coalesce: fields.bool("CC"),
  });
}

function decodeQuery(fields: Fields): Query | DropReason {
  const filters: FrozenBytes[] = [];
  for (const filter of fields.list("Filters")) {
    if (filter instanceof Uint8Array) filters.push(filter);
    else fields.refuse();
  }
  return fields.finish({
    kind: "query",
    time: fields.time("LTime"),
    id: fields.u32("ID"),
    name: fields.text("Name"),
    payload: fields.raw("Payload"),
    source: fields.address("Addr", "Port"),
    sourceNode: fields.maybeName("SourceNode"),
    filters,
    flags: fields.u32("Flags"),
    relayFactor: fields.count("RelayFactor", 0xff),
    timeoutNanos: fields.count("Timeout", Number.MAX_SAFE_INTEGER),
  });
}

function decodeResponse(fields: Fields): QueryResponse | DropReason {
  return fields.finish({
    kind: "query-response",
    time: fields.time("LTime"),
    id: fields.count("ID", U32_MAX),
    from: fields.name("From"),
    flags: fields.u32("Flags"),
    payload: fields.raw("Payload"),
  });
}

function decodeRelay(bytes: FrozenBytes, at: number): Relay | DropReason {
  const reading = readFields(bytes, at);
  if (reading === "malformed" || !("fields" in reading)) return "malformed";
  const message = decodeSerf(bytes, reading.end);
  if (typeof message === "string") return message;
  if (message.kind === "relay") return "too-deep";
  const { fields } = reading;
  const destination = new Fields(fields.entries("DestAddr"));
  const place = destination.finish({
    to: destination.address("IP", "Port"),
    zone: destination.text("Zone"),
  });
  if (typeof place === "string") return place;
  return fields.finish({
    kind: "relay",
    ...place,
    node: fields.maybeName("DestName"),
    message,
  });
}
