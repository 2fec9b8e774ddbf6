// Where a member is, as bytes, as text and as a key: the one form of each, so that equal addresses
// compare equal. Owns no names: what DNS says about a host is the adapter's business.

import { equalBytes, type FrozenBytes, freeze } from "./bytes.ts";

/** Where a member hears packets and streams: the same port for both. */
export interface Address {
  /** 4 bytes of IPv4, or 16 of IPv6 that are not a mapped IPv4: each address has one form. */
  readonly ip: FrozenBytes;
  /** 0 .. 65535. */
  readonly port: number;
}

const IPV4_BYTES = 4;
const IPV6_BYTES = 16;
const PORT_MAX = 65_535;

/**
 * The one form of an IP address: 4 or 16 bytes, a mapped IPv4 (::ffff:a.b.c.d) as 4. Null for any
 * other length. May share memory with `bytes`.
 */
export function canonicalIp(bytes: FrozenBytes): FrozenBytes | null {
  if (bytes.length === IPV4_BYTES) return bytes;
  if (bytes.length !== IPV6_BYTES) return null;
  const mapped = bytes.every((byte, at) => at >= 12 || byte === (at < 10 ? 0 : 0xff));
  return mapped ? freeze(bytes.subarray(12)) : bytes;
}

/** True when both are the same place. */
export function sameAddress(a: Address, b: Address): boolean {
  return a.port === b.port && equalBytes(a.ip, b.ip);
}

/** `127.0.0.1:7946` or `[2001:db8:0:0:0:0:0:1]:7946`: for people, and a key of maps. */
export function describeAddress({ ip, port }: Address): string {
  const text = describeIp(ip);
  return ip.length === IPV4_BYTES ? `${text}:${port}` : `[${text}]:${port}`;
}

/** The IP alone, dotted or as eight hexadecimal groups. */
export function describeIp(ip: FrozenBytes): string {
  if (ip.length === IPV4_BYTES) return ip.join(".");
  const groups: string[] = [];
  for (let at = 0; at < ip.length; at += 2) {
    groups.push((((ip[at] ?? 0) << 8) | (ip[at + 1] ?? 0)).toString(16));
  }
  return groups.join(":");
}

/**
 * `host:port` or `[v6]:port` taken apart; without a port it has the one that is usual. The host is
 * not looked at further. Null when it is neither.
 */
export function splitHostPort(
  text: string,
  portUsual: number,
): { readonly host: string; readonly port: number } | null {
  const match = /^(?:\[([0-9A-Fa-f:.%]+)\]|([^\s:[\]/,=]+))(?::(\d{1,5}))?$/.exec(text);
  const host = match?.[1] ?? match?.[2];
  const port = match?.[3] === undefined ? portUsual : Number(match[3]);
  return host === undefined || port > PORT_MAX ? null : { host, port };
}

/** Reads an IP in any of its usual written forms; null when it is none, such as a host name. */
export function parseIp(text: string): FrozenBytes | null {
  if (!text.includes(":")) return parseIpv4(text);
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const head = parseGroups(halves[0] ?? "", halves.length === 1);
  const tail = parseGroups(halves[1] ?? "", true);
  if (head === null || tail === null) return null;
  const missing = IPV6_BYTES - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 2) return null;
  const bytes = new Uint8Array(IPV6_BYTES);
  bytes.set(head, 0);
  bytes.set(tail, IPV6_BYTES - tail.length);
  return canonicalIp(freeze(bytes));
}

function parseIpv4(text: string): FrozenBytes | null {
  const parts = text.split(".");
  if (parts.length !== IPV4_BYTES) return null;
  const bytes = parts.map((part) => (/^(?:0|[1-9]\d{0,2})$/.test(part) ? Number(part) : 256));
  return bytes.every((byte) => byte <= 255) ? freeze(Uint8Array.from(bytes)) : null;
}

/** The bytes of groups between colons; the address's last may be a dotted IPv4. */
function parseGroups(text: string, isEnd: boolean): readonly number[] | null {
  if (text === "") return [];
  const bytes: number[] = [];
  const groups = text.split(":");
  for (const [at, group] of groups.entries()) {
    const isLast = isEnd && at === groups.length - 1;
    const dotted = isLast && group.includes(".") ? parseIpv4(group) : null;
    if (dotted !== null) bytes.push(...dotted);
    else if (/^[0-9a-f]{1,4}$/i.test(group)) {
      const value = Number.parseInt(group, 16);
      bytes.push(value >> 8, value & 0xff);
    } else return null;
  }
  return bytes;
}
