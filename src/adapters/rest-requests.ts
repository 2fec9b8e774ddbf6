// The REST endpoints' requests and answers as text: routes, queries, JSON bodies, and a record as
// JSON. Owns no sockets and no access.

import type { Fault } from "../base/faults.ts";
import type { ConsumedRecord } from "../service/records.ts";

/** A request whose line was understood; its body, if it has one, comes later. */
export type RestRequest =
  | { readonly route: "POST /" }
  | { readonly route: "GET /" }
  | { readonly route: "GET /records"; readonly query: URLSearchParams }
  | { readonly route: "GET /records/{offset}"; readonly offset: string };

/** Every route, as the access table calls it. */
export const REST_ROUTES: readonly RestRequest["route"][] = [
  "POST /",
  "GET /",
  "GET /records",
  "GET /records/{offset}",
];

/** Null for a path or method that is none of ours. */
export function routeOf(method: string, target: string): RestRequest | null {
  const at = target.indexOf("?");
  const path = at < 0 ? target : target.slice(0, at);
  if (path === "/" && method === "POST") return { route: "POST /" };
  if (method !== "GET") return null;
  if (path === "/") return { route: "GET /" };
  if (path === "/records") {
    const query = new URLSearchParams(at < 0 ? "" : target.slice(at + 1));
    return { route: "GET /records", query };
  }
  const offset = /^\/records\/([^/]+)$/.exec(path)?.[1];
  return offset === undefined ? null : { route: "GET /records/{offset}", offset };
}

export function malformed(what: string): Fault {
  return { code: "malformed", what };
}

/** A whole number that JSON and JavaScript can hold, or what is wrong with the text. */
export function numberOf(name: string, text: string, max = Number.MAX_SAFE_INTEGER) {
  const value = Number(text);
  return /^\d{1,16}$/.test(text) && value <= max
    ? value
    : malformed(`${name}: expected a whole number from 0 to ${max}`);
}

export const LIMIT_DEFAULT = 1000;
export const LIMIT_MAX = 1_000_000;

export interface RecordsQuery {
  readonly from: number;
  readonly limit: number;
}

export function recordsQueryOf(query: URLSearchParams): RecordsQuery | Fault {
  for (const name of query.keys()) {
    if (name !== "from" && name !== "limit") return malformed(`${name}: no such parameter`);
  }
  const from = numberOf("from", query.get("from") ?? "0");
  if (typeof from !== "number") return from;
  const limit = numberOf("limit", query.get("limit") ?? String(LIMIT_DEFAULT), LIMIT_MAX);
  return typeof limit === "number" ? { from, limit } : limit;
}

/** `{"record":{"value":"<base64>"}}`; whatever offset stands there is the log's to give. */
export function produceBodyOf(body: Buffer): Uint8Array | Fault {
  const object = objectOf(body);
  if ("code" in object) return object;
  const { record } = object.fields;
  if (!isObject(record)) return malformed('expected {"record":{"value":"<base64>"}}');
  const { value = "" } = record;
  if (typeof value !== "string" || !isBase64(value)) {
    return malformed("record.value: expected base64 text");
  }
  return Buffer.from(value, "base64");
}

/** `{"offset":N}`; no offset is the first one, as in the book. */
export function consumeBodyOf(body: Buffer): number | Fault {
  const object = objectOf(body);
  if ("code" in object) return object;
  const { offset = 0 } = object.fields;
  return typeof offset === "number" && Number.isSafeInteger(offset) && offset >= 0
    ? offset
    : malformed("offset: expected a whole number");
}

type Fields = Readonly<Record<string, unknown>>;

function objectOf(body: Buffer): { readonly fields: Fields } | Fault {
  try {
    const parsed: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
    if (isObject(parsed)) return { fields: parsed };
  } catch {
    // Said below: what exactly is wrong with it, its sender can see.
  }
  return malformed("the body is no JSON object");
}

function isObject(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Node decodes anything; what is not base64 must not become other bytes than were meant. */
function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z0-9+/]*={0,2}$/.test(text);
}

/** A record as its JSON object; key and headers where it has them. */
export function jsonOfRecord({ offset, value, key, headers }: ConsumedRecord): string {
  const base64 = (bytes: Uint8Array) =>
    Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("base64");
  const more = {
    ...(key === undefined ? {} : { key: base64(key) }),
    ...(headers === undefined || headers.length === 0
      ? {}
      : { headers: headers.map((header) => ({ ...header, value: base64(header.value) })) }),
  };
  return JSON.stringify({ value: base64(value), offset, ...more });
}
