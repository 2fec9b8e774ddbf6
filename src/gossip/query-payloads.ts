// What rides inside queries and their responses: the filters that say whom a query is for, and the
// payloads of Serf's own queries (name conflicts, keys). Owns the bytes; who answers what is the
// machine's business.

import type { Address } from "../base/address.ts";
import type { FrozenBytes } from "../base/bytes.ts";
import type { NodeId } from "../base/ids.ts";
import { decodeUtf8 } from "../base/utf8.ts";
import { asName, readOnlyFields } from "./fields.ts";
import type { QueryFilter } from "./messages.ts";
import { type MsgpackValue, MsgpackWriter, readMsgpack } from "./msgpack.ts";
import type { Tags } from "./protocol.ts";

const NODE_FILTER = 0;
const TAG_FILTER = 1;
const CONFLICT_RESPONSE = 6;
const KEY_REQUEST = 7;
const KEY_RESPONSE = 8;

export function encodeFilter(filter: QueryFilter): FrozenBytes {
  const to = new MsgpackWriter();
  if (filter.kind === "nodes") {
    to.byte(NODE_FILTER).array(filter.nodes.length);
    for (const node of filter.nodes) to.text(node);
  } else {
    to.byte(TAG_FILTER).map(2).text("Expr").text(filter.expression).text("Tag").text(filter.tag);
  }
  return to.take();
}

/** Null when it is none that is known here: nobody matches such a filter. */
export function decodeFilter(bytes: FrozenBytes): QueryFilter | null {
  if (bytes[0] === NODE_FILTER) {
    const reading = readMsgpack(bytes, 1);
    if (reading === "malformed" || "neededBytes" in reading) return null;
    if (!Array.isArray(reading.value)) return null;
    const names = (reading.value as readonly MsgpackValue[]).map((value) => asName(value));
    const nodes = names.filter((name) => name !== null);
    return nodes.length === names.length ? { kind: "nodes", nodes } : null;
  }
  const fields = bytes[0] === TAG_FILTER ? readOnlyFields(bytes, 1) : null;
  if (fields === null) return null;
  const filter = fields.finish({
    kind: "tag" as const,
    tag: fields.text("Tag"),
    expression: fields.text("Expr"),
  });
  return typeof filter === "string" ? null : filter;
}

/** A member as somebody else knows it, told when two bear its name. */
export interface ConflictResponse {
  readonly node: NodeId;
  readonly address: Address;
  readonly tags: Tags;
  /** 0 none, 1 alive, 2 leaving, 3 left, 4 failed. */
  readonly status: number;
  readonly protocolMin: number;
  readonly protocolMax: number;
  readonly protocolCurrent: number;
  readonly delegateMin: number;
  readonly delegateMax: number;
  readonly delegateCurrent: number;
}

export function encodeConflictResponse(response: ConflictResponse): FrozenBytes {
  const { address, tags } = response;
  const to = new MsgpackWriter().byte(CONFLICT_RESPONSE).map(11).text("Addr").raw(address.ip);
  to.text("DelegateCur").uint(response.delegateCurrent);
  to.text("DelegateMax").uint(response.delegateMax);
  to.text("DelegateMin").uint(response.delegateMin);
  to.text("Name").text(response.node).text("Port").uint(address.port);
  to.text("ProtocolCur").uint(response.protocolCurrent);
  to.text("ProtocolMax").uint(response.protocolMax);
  to.text("ProtocolMin").uint(response.protocolMin);
  to.text("Status").uint(response.status).text("Tags").map(tags.size);
  for (const key of [...tags.keys()].sort()) to.text(key).text(tags.get(key) ?? "");
  return to.take();
}

export function decodeConflictResponse(payload: FrozenBytes): ConflictResponse | null {
  const fields = payload[0] === CONFLICT_RESPONSE ? readOnlyFields(payload, 1) : null;
  if (fields === null) return null;
  const tags = new Map<string, string>();
  for (const [key, value] of fields.entries("Tags")) {
    const text = value instanceof Uint8Array ? decodeUtf8(value) : null;
    if (text !== null) tags.set(key, text);
  }
  const response = fields.finish({
    node: fields.name("Name"),
    address: fields.address("Addr", "Port"),
    tags,
    status: fields.count("Status", 0xff),
    protocolMin: fields.count("ProtocolMin", 0xff),
    protocolMax: fields.count("ProtocolMax", 0xff),
    protocolCurrent: fields.count("ProtocolCur", 0xff),
    delegateMin: fields.count("DelegateMin", 0xff),
    delegateMax: fields.count("DelegateMax", 0xff),
    delegateCurrent: fields.count("DelegateCur", 0xff),
  });
  return typeof response === "string" ? null : response;
}

/** The key that a key query is about; empty where it is about none. */
export function encodeKeyRequest(key: Uint8Array): FrozenBytes {
  return new MsgpackWriter().byte(KEY_REQUEST).map(1).text("Key").raw(key).take();
}

export function decodeKeyRequest(payload: FrozenBytes): FrozenBytes | null {
  const fields = payload[0] === KEY_REQUEST ? readOnlyFields(payload, 1) : null;
  const key = fields?.finish(fields.raw("Key"));
  return key === undefined || typeof key === "string" ? null : key;
}

export interface KeyResponse {
  /** All keys, base64. */
  readonly keys: readonly string[];
  /** Why it failed, for people. */
  readonly message: string;
  readonly primaryKey: string;
  readonly succeeded: boolean;
}

export function encodeKeyResponse(response: KeyResponse): FrozenBytes {
  const to = new MsgpackWriter().byte(KEY_RESPONSE).map(4).text("Keys");
  if (response.keys.length === 0) to.nil();
  else to.array(response.keys.length);
  for (const key of response.keys) to.text(key);
  to.text("Message").text(response.message).text("PrimaryKey").text(response.primaryKey);
  return to.text("Result").bool(response.succeeded).take();
}

export function decodeKeyResponse(payload: FrozenBytes): KeyResponse | null {
  const fields = payload[0] === KEY_RESPONSE ? readOnlyFields(payload, 1) : null;
  if (fields === null) return null;
  const keys: string[] = [];
  for (const value of fields.list("Keys")) {
    const key = value instanceof Uint8Array ? decodeUtf8(value) : null;
    if (key === null) return null;
    keys.push(key);
  }
  const response = fields.finish({
    keys,
    message: fields.text("Message"),
    primaryKey: fields.text("PrimaryKey"),
    succeeded: fields.bool("Result"),
  });
  return typeof response === "string" ? null : response;
}
