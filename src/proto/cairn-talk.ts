// The messages of proto/cairn/v1/admin.proto about events and queries of gossip: their shapes and
// their bytes, for both ends.

import { encodeFields, type Malformed, MessageReader } from "./fields.ts";

export interface AdminEvent {
  readonly name: string;
  readonly payload: Uint8Array;
  readonly coalesce: boolean;
}

export interface AdminQuery {
  readonly name: string;
  readonly payload: Uint8Array;
  /** None: members of any name. */
  readonly nodes: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
  /** 0: as the number of members makes it. */
  readonly timeoutMs: number;
  readonly ack: boolean;
  readonly relayFactor: number;
}

/** What comes of a query; admin.proto tells what each means. */
export interface AdminQueryNews {
  readonly kind: string;
  readonly from: string;
  readonly payload: Uint8Array;
  readonly timeoutMs: number;
  readonly acks: number;
  readonly answers: number;
  readonly duplicates: number;
}

/** What a member hears; admin.proto tells what each means. */
export interface AdminHeard {
  readonly kind: string;
  readonly name: string;
  readonly payload: Uint8Array;
  readonly from: string;
  readonly time: number;
  readonly coalesced: boolean;
  readonly missed: number;
}

const NOTHING: Uint8Array = new Uint8Array(0);
export const NO_QUERY_NEWS: AdminQueryNews = {
  kind: "",
  from: "",
  payload: NOTHING,
  timeoutMs: 0,
  acks: 0,
  answers: 0,
  duplicates: 0,
};
export const NOTHING_HEARD: AdminHeard = {
  kind: "",
  name: "",
  payload: NOTHING,
  from: "",
  time: 0,
  coalesced: false,
  missed: 0,
};
/** Of one query: what fits into a packet of gossip is fewer. */
const NODES_MAX = 256;
const TAGS_MAX = 64;

export function encodeSendEvent({ name, payload, coalesce }: AdminEvent): Buffer {
  return encodeFields([
    [1, name],
    [2, payload],
    [3, coalesce ? 1 : 0],
  ]);
}

export function decodeSendEvent(bytes: Uint8Array): AdminEvent | Malformed {
  const reader = MessageReader.over("SendEventRequest", bytes, [0x0a, 0x12, 0x18]);
  let event: AdminEvent = { name: "", payload: NOTHING, coalesce: false };
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) event = { ...event, name: reader.string() };
    else if (tag === 0x12) event = { ...event, payload: reader.bytes() };
    else event = { ...event, coalesce: reader.bool() };
  }
  return reader.malformed ?? event;
}

export function encodeQuery(query: AdminQuery): Buffer {
  const tags = Object.entries(query.tags).map(([tag, expression]) => {
    const entry = encodeFields([
      [1, tag],
      [2, expression],
    ]);
    return [4, entry, true] as const;
  });
  return encodeFields([
    [1, query.name],
    [2, query.payload],
    ...query.nodes.map((node) => [3, node, true] as const),
    ...tags,
    [5, query.timeoutMs],
    [6, query.ack ? 1 : 0],
    [7, query.relayFactor],
  ]);
}

export function decodeQuery(bytes: Uint8Array): AdminQuery | Malformed {
  const known = [0x0a, 0x12, 0x1a, 0x22, 0x28, 0x30, 0x38];
  const reader = MessageReader.over("QueryRequest", bytes, known);
  let [name, payload] = ["", NOTHING];
  let [timeoutMs, ack, relayFactor] = [0, false, 0];
  const nodes: string[] = [];
  const tags = new Map<string, string>();
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) name = reader.string();
    else if (tag === 0x12) payload = reader.bytes();
    else if (tag === 0x1a) nodes.push(reader.string());
    else if (tag === 0x22) tags.set(...decodeEntry(reader));
    else if (tag === 0x28) timeoutMs = reader.uint();
    else if (tag === 0x30) ack = reader.bool();
    else relayFactor = reader.uint();
    if (nodes.length > NODES_MAX || tags.size > TAGS_MAX) reader.refuse("too many filters");
  }
  const rest = { timeoutMs, ack, relayFactor };
  return reader.malformed ?? { name, payload, nodes, tags: Object.fromEntries(tags), ...rest };
}

function decodeEntry(reader: MessageReader): [tag: string, expression: string] {
  const entry = reader.message("QueryRequest.TagsEntry", [0x0a, 0x12]);
  let [tag, expression] = ["", ""];
  for (let field = entry.next(); field !== 0; field = entry.next()) {
    if (field === 0x0a) tag = entry.string();
    else expression = entry.string();
  }
  reader.close(entry);
  return [tag, expression];
}

export function encodeQueryNews(news: AdminQueryNews): Buffer {
  return encodeFields([
    [1, news.kind],
    [2, news.from],
    [3, news.payload],
    [4, news.timeoutMs],
    [5, news.acks],
    [6, news.answers],
    [7, news.duplicates],
  ]);
}

export function decodeQueryNews(bytes: Uint8Array): AdminQueryNews | Malformed {
  const known = [0x0a, 0x12, 0x1a, 0x20, 0x28, 0x30, 0x38];
  const reader = MessageReader.over("QueryResponse", bytes, known);
  let news = NO_QUERY_NEWS;
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) news = { ...news, kind: reader.string() };
    else if (tag === 0x12) news = { ...news, from: reader.string() };
    else if (tag === 0x1a) news = { ...news, payload: reader.bytes() };
    else if (tag === 0x20) news = { ...news, timeoutMs: reader.uint() };
    else if (tag === 0x28) news = { ...news, acks: reader.uint() };
    else if (tag === 0x30) news = { ...news, answers: reader.uint() };
    else news = { ...news, duplicates: reader.uint() };
  }
  return reader.malformed ?? news;
}

export function encodeHeard(heard: AdminHeard): Buffer {
  return encodeFields([
    [1, heard.kind],
    [2, heard.name],
    [3, heard.payload],
    [4, heard.from],
    [5, heard.time],
    [6, heard.coalesced ? 1 : 0],
    [7, heard.missed],
  ]);
}

export function decodeHeard(bytes: Uint8Array): AdminHeard | Malformed {
  const known = [0x0a, 0x12, 0x1a, 0x22, 0x28, 0x30, 0x38];
  const reader = MessageReader.over("WatchEventsResponse", bytes, known);
  let heard = NOTHING_HEARD;
  for (let tag = reader.next(); tag !== 0; tag = reader.next()) {
    if (tag === 0x0a) heard = { ...heard, kind: reader.string() };
    else if (tag === 0x12) heard = { ...heard, name: reader.string() };
    else if (tag === 0x1a) heard = { ...heard, payload: reader.bytes() };
    else if (tag === 0x22) heard = { ...heard, from: reader.string() };
    else if (tag === 0x28) heard = { ...heard, time: reader.uint() };
    else if (tag === 0x30) heard = { ...heard, coalesced: reader.bool() };
    else heard = { ...heard, missed: reader.uint() };
  }
  return reader.malformed ?? heard;
}
