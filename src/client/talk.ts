// Events and queries of gossip for callers of the client: streams of one server's, from the first
// that answers. Owns back-pressure and the end of a stream; nothing is repeated once it has begun.

import type { ClientReadableStream, ServiceError } from "@grpc/grpc-js";

import {
  type AdminHeard,
  type AdminQueryNews,
  decodeHeard,
  decodeQueryNews,
  encodeQuery,
  encodeSendEvent,
} from "../proto/cairn-talk.ts";
import { Malformed } from "../proto/fields.ts";
import { EMPTY_MESSAGE } from "../proto/log-v1.ts";
import { type Call, callOf, nothing } from "./call.ts";
import type { Channel } from "./channel.ts";
import { CairnError, remedyOf } from "./errors.ts";
import type { Routes } from "./routes.ts";

/** Something that happened, for all that gossip. */
export interface GossipEvent {
  readonly name: string;
  /** With the name about 500 bytes. */
  readonly payload: Uint8Array;
  /** Of those of one name within a few seconds only the last is told; true. */
  readonly coalesce?: boolean;
}

/** A question to all that gossip. */
export interface GossipQuery {
  readonly name: string;
  /** With name and filters about 1000 bytes. */
  readonly payload: Uint8Array;
  /** Only members of these names. */
  readonly nodes?: readonly string[];
  /** Only members in whose tags these regular expressions (RE2) are found. */
  readonly tags?: Readonly<Record<string, string>>;
  /** How long answers are waited for; absent: as the number of members makes it. */
  readonly timeoutMs?: number;
  /** Each that is asked says that it was; true. */
  readonly ack?: boolean;
  /** Each answer comes through so many others besides; 0. */
  readonly relayFactor?: number;
}

const ADMIN = "/cairn.v1.Admin";
const USUAL_QUERY = { nodes: [], tags: {}, timeoutMs: 0, ack: true, relayFactor: 0 };
const CONNECT_MS = 5_000;
/** Servers that are tried for a stream. */
const ATTEMPTS = 3;

/** Made twice it would be two events. */
export function sendEventCall(
  event: GossipEvent,
  signal: AbortSignal | undefined,
): Call<undefined> {
  const rest = { signal, leader: false, isRepeatable: false };
  const bytes = encodeSendEvent({ coalesce: true, ...event });
  return callOf(`${ADMIN}/SendEvent`, bytes, nothing, rest);
}

/** What comes of a query, until its time is up. */
export function queryNews(
  routes: Routes,
  query: GossipQuery,
  signal: AbortSignal | null,
): AsyncGenerator<AdminQueryNews, void> {
  const bytes = encodeQuery({ ...USUAL_QUERY, ...query });
  return readStream(routes, `${ADMIN}/Query`, bytes, decodeQueryNews, signal);
}

/** What one server hears, until `signal` or the server ends it. */
export function heardTalk(
  routes: Routes,
  signal: AbortSignal | null,
): AsyncGenerator<AdminHeard, void> {
  return readStream(routes, `${ADMIN}/WatchEvents`, EMPTY_MESSAGE, decodeHeard, signal);
}

async function* readStream<Message>(
  routes: Routes,
  path: string,
  request: Buffer,
  decode: (bytes: Buffer) => Message | Malformed,
  signal: AbortSignal | null,
): AsyncGenerator<Message, void> {
  const { channel, call } = await open(routes, path, request);
  const abort = () => call.cancel();
  signal?.addEventListener("abort", abort, { once: true });
  if (signal?.aborted === true) abort();
  try {
    for await (const bytes of call as AsyncIterable<Buffer>) {
      const message = decode(bytes);
      if (message instanceof Malformed) {
        throw new CairnError("unreachable", `${channel.address}: ${path}: ${message.what}`);
      }
      yield message;
    }
  } catch (error) {
    if (signal?.aborted === true) throw new CairnError("cancelled", `${path}: aborted`);
    if (error instanceof CairnError) throw error;
    throw channel.errorOf(error as ServiceError);
  } finally {
    signal?.removeEventListener("abort", abort);
    call.cancel();
  }
}

/** Goes on to another server only where the first was never reached. */
async function open(
  routes: Routes,
  path: string,
  request: Buffer,
): Promise<{ readonly channel: Channel; readonly call: ClientReadableStream<Buffer> }> {
  const route = routes.toAny();
  for (let attempt = 1; ; attempt++) {
    const channel = route.next();
    try {
      return { channel, call: await channel.stream(path, request, CONNECT_MS) };
    } catch (error) {
      if (!(error instanceof CairnError)) throw error;
      if (attempt === ATTEMPTS || routes.isClosed || remedyOf(error) === "give-up") throw error;
      await route.failed(error);
    }
  }
}
