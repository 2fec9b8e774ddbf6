// What operators ask of gossip beside membership: to tell of an event, to ask a query, and to watch
// what is heard. Owns the order of a stream's messages and its end; who may is access.ts.

import type { Fault } from "../base/faults.ts";
import type { Caller } from "./caller.ts";
import type { Shown, TalkWatch } from "./heard-talk.ts";
import type { QueryOptions, QueryReply, QuerySummary, RunningQuery } from "./membership-talk.ts";

/** This node's gossip, as far as it talks; what is refused rejects with an Error in plain words. */
export interface TalkControls {
  sendEvent(name: string, payload: Uint8Array, coalesce: boolean): Promise<void>;
  query(name: string, payload: Uint8Array, options: QueryOptions): Promise<RunningQuery>;
  /** Null when too many watch. */
  watch(): TalkWatch | null;
}

export type QueryNews =
  | { readonly kind: "begun"; readonly timeoutMs: number }
  | QueryReply
  | ({ readonly kind: "ended" } & QuerySummary);

export type TalkNews = { readonly kind: "begun"; readonly name: string } | Shown;

/** Where news go, one by one; a promise where that takes a while. */
export interface NewsSink<News> {
  write(news: News): Promise<void> | null;
}

/** Until its time is up, or the caller leaves. */
export async function tellQuery(
  caller: Caller,
  running: RunningQuery,
  sink: NewsSink<QueryNews>,
): Promise<void> {
  caller.whenGone(() => running.close({ acks: 0, answers: 0, duplicates: 0 }));
  await sink.write({ kind: "begun", timeoutMs: running.timeoutMs });
  for await (const reply of running) {
    if (caller.isGone) return;
    await sink.write(reply);
  }
  await sink.write({ kind: "ended", ...(await running.ended) });
}

/** Until the caller leaves, or the node stops; a fault when too many watch. */
export async function tellHeard(
  caller: Caller,
  name: string,
  watch: TalkWatch | null,
  sink: NewsSink<TalkNews>,
): Promise<Fault | null> {
  if (watch === null) return { code: "overloaded", what: "watchers", retryAfterMs: BUSY_RETRY_MS };
  caller.whenGone(() => watch.close());
  await sink.write({ kind: "begun", name });
  for await (const shown of watch) {
    if (caller.isGone) break;
    await sink.write(shown);
  }
  return null;
}

const BUSY_RETRY_MS = 1000;
