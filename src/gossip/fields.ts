// The fields of one decoded message: typed reads that take what is missing for zero, as Go does,
// and remember the first thing that no correct member sends. Owns these checks; which fields a
// message has is told by the codecs.

import type { Address } from "../base/address.ts";
import { canonicalIp } from "../base/address.ts";
import { EMPTY_BYTES, type FrozenBytes, freeze } from "../base/bytes.ts";
import { isCount, type NodeId } from "../base/ids.ts";
import { decodeUtf8 } from "../base/utf8.ts";
import {
  type Incarnation,
  type LamportTime,
  META_BYTES_MAX,
  NAME_BYTES_MAX,
  type Versions,
} from "./messages.ts";
import { type MsgpackValue, readMsgpack, readOnlyMap, type Short } from "./msgpack.ts";
import type { DropReason } from "./protocol.ts";

const U16_MAX = 0xffff;
export const U32_MAX = 0xffff_ffff;
const NO_ADDRESS: Address = { ip: EMPTY_BYTES, port: 0 };

/** The map that begins at `at` and where it ends, or why there is none. */
export function readFields(
  bytes: FrozenBytes,
  at: number,
): { readonly fields: Fields; readonly end: number } | Short | "malformed" {
  const reading = readMsgpack(bytes, at);
  if (reading === "malformed" || "neededBytes" in reading) return reading;
  const fields = Fields.of(reading.value);
  return fields === null ? "malformed" : { fields, end: reading.end };
}

/** The map that all of `bytes` from `at` on is; what follows it is ignored, as agents do. */
export function readOnlyFields(bytes: FrozenBytes, at: number): Fields | null {
  const map = readOnlyMap(bytes, at);
  return map === null ? null : new Fields(map);
}

export class Fields {
  readonly #map: ReadonlyMap<string, MsgpackValue>;
  #broken: DropReason | null = null;

  constructor(map: ReadonlyMap<string, MsgpackValue>) {
    this.#map = map;
  }

  static of(value: MsgpackValue): Fields | null {
    return value instanceof Map ? new Fields(value) : null;
  }

  /** `value`, unless a field that was read for it is broken. */
  finish<T extends object>(value: T): T | DropReason {
    return this.#broken ?? value;
  }

  has(key: string): boolean {
    return (this.#map.get(key) ?? null) !== null;
  }

  count(key: string, max: number): number {
    const value = this.#map.get(key) ?? 0;
    if (isCount(value) && value <= max) return value;
    return this.#break(0);
  }

  u32(key: string): number {
    return this.count(key, U32_MAX);
  }

  bool(key: string): boolean {
    const value = this.#map.get(key) ?? false;
    return typeof value === "boolean" ? value : this.#break(false);
  }

  /** Any number, floats too; missing is 0. */
  number(key: string): number {
    const value = this.#map.get(key) ?? 0;
    return typeof value === "number" ? value : this.#break(0);
  }

  raw(key: string): FrozenBytes {
    const value = this.#map.get(key) ?? EMPTY_BYTES;
    return value instanceof Uint8Array ? value : this.#break(EMPTY_BYTES);
  }

  text(key: string): string {
    return decodeUtf8(this.raw(key)) ?? this.#break("");
  }

  list(key: string): readonly MsgpackValue[] {
    const value = this.#map.get(key) ?? [];
    return Array.isArray(value) ? value : this.#break([]);
  }

  entries(key: string): ReadonlyMap<string, MsgpackValue> {
    const value = this.#map.get(key) ?? new Map();
    return value instanceof Map ? value : this.#break(new Map());
  }

  /** A name that must be there. */
  name(key: string): NodeId {
    return asName(this.raw(key)) ?? this.#break("" as NodeId);
  }

  /** A name, or null when it is empty or missing. */
  maybeName(key: string): NodeId | null {
    return this.raw(key).length === 0 ? null : this.name(key);
  }

  time(key: string): LamportTime {
    return this.count(key, Number.MAX_SAFE_INTEGER) as LamportTime;
  }

  incarnation(key: string): Incarnation {
    return this.u32(key) as Incarnation;
  }

  /** An address that must be there; a copy. */
  address(ipKey: string, portKey: string): Address {
    const ip = canonicalIp(freeze(this.raw(ipKey).slice()));
    const port = this.count(portKey, U16_MAX);
    return ip === null ? this.#break(NO_ADDRESS) : { ip, port };
  }

  /** An address, or null when its IP or its port is missing. */
  maybeAddress(ipKey: string, portKey: string): Address | null {
    if (this.raw(ipKey).length === 0 || this.count(portKey, U16_MAX) === 0) return null;
    return this.address(ipKey, portKey);
  }

  /** A copy, at most META_BYTES_MAX bytes. */
  meta(key: string): FrozenBytes {
    const meta = this.raw(key);
    return meta.length <= META_BYTES_MAX ? freeze(meta.slice()) : this.#break(EMPTY_BYTES);
  }

  /** Six bytes that hang together; one member without them stops all push/pulls of stock agents. */
  versions(key: string): Versions {
    const bytes = this.raw(key);
    const [protocolMin = 0, protocolMax = 0, protocolCurrent = 0] = bytes;
    const [, , , delegateMin = 0, delegateMax = 0, delegateCurrent = 0] = bytes;
    const isWhole =
      bytes.length === 6 &&
      isWithin(protocolMin, protocolCurrent, protocolMax) &&
      isWithin(delegateMin, delegateCurrent, delegateMax);
    if (!isWhole) this.#broken ??= "incompatible";
    return {
      protocolMin,
      protocolMax,
      protocolCurrent,
      delegateMin,
      delegateMax,
      delegateCurrent,
    };
  }

  /** Declares that the message is malformed. */
  refuse(): void {
    this.#broken ??= "malformed";
  }

  #break<T>(instead: T): T {
    this.refuse();
    return instead;
  }
}

function isWithin(min: number, current: number, max: number): boolean {
  return min >= 1 && min <= current && current <= max;
}

/** The name these bytes are; null when they are none that a log line could safely show. */
export function asName(bytes: MsgpackValue | Uint8Array): NodeId | null {
  if (!(bytes instanceof Uint8Array)) return null;
  if (bytes.length === 0 || bytes.length > NAME_BYTES_MAX) return null;
  const text = decodeUtf8(bytes);
  if (text === null) return null;
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code < 0x20 || (code >= 0x7f && code <= 0x9f)) return null;
  }
  return text as NodeId;
}
