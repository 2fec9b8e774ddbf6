// What watching a call costs, by who watches: the interceptor of every call over a call that does
// nothing. Owns the stand-in; the watchers are the agent's own.

import {
  Metadata,
  type ServerInterceptingCallInterface,
  type ServerMethodDefinition,
} from "@grpc/grpc-js";
import pino from "pino";

import { LogWatcher, MetricsWatcher, TraceWatcher } from "../src/adapters/call-watchers.ts";
import { type CallWatcher, watchCalls } from "../src/adapters/grpc-watch.ts";
import { Metrics } from "../src/adapters/metrics.ts";
import { type Row, row } from "./row.ts";

const CALLS = 20_000;
const ROUNDS = 9;
const VERSION = "0.0.0";

const METHOD: ServerMethodDefinition<Buffer, Buffer> = {
  path: "/log.v1.Log/Produce",
  requestStream: false,
  responseStream: false,
  requestDeserialize: (bytes) => bytes,
  responseSerialize: (bytes) => bytes,
};

type Listener = Parameters<ServerInterceptingCallInterface["start"]>[0];

/** Takes a call through all its moments: headers, one message, its end, one answer, the status. */
class StandInCall {
  listener: Listener | null = null;

  start(listener: Listener): void {
    this.listener = listener;
  }

  sendMetadata(): void {}
  sendMessage(_: unknown, callback: () => void): void {
    callback();
  }
  sendStatus(): void {}
  startRead(): void {}
  getPeer(): string {
    return "127.0.0.1:1";
  }
  getDeadline(): number {
    return Number.POSITIVE_INFINITY;
  }
  getHost(): string {
    return "localhost";
  }
  getAuthContext(): Record<string, never> {
    return {};
  }
}

const LISTENER: Listener = {
  onReceiveMetadata: () => undefined,
  onReceiveMessage: () => undefined,
  onReceiveHalfClose: () => undefined,
  onCancel: () => undefined,
};

const OK = { code: 0, details: "OK", metadata: null };
const MESSAGE = Buffer.alloc(256);

function oneCall(interceptor: ReturnType<typeof watchCalls>, metadata: Metadata): void {
  const below = new StandInCall();
  const watched = interceptor(METHOD, below as unknown as ServerInterceptingCallInterface);
  watched.start(LISTENER);
  const listener = below.listener;
  if (listener === null) throw new Error("the interceptor does not listen");
  listener.onReceiveMetadata(metadata);
  listener.onReceiveMessage(MESSAGE);
  listener.onReceiveHalfClose();
  watched.sendMessage(MESSAGE, () => undefined);
  watched.sendStatus(OK as Parameters<typeof watched.sendStatus>[0]);
}

/** Microseconds a call for each set of watchers, in turn; the median of the rounds. */
export function measureWatchers(): Row[] {
  const [metrics, logger] = [new Metrics(VERSION), pino({ level: "info" })];
  const [counting, tracing] = [new MetricsWatcher(metrics), new TraceWatcher(VERSION)];
  const logging = new LogWatcher(logger);
  const sets: readonly (readonly [string, readonly CallWatcher[]])[] = [
    ["interceptor alone, a call", []],
    ["with traces (no SDK) and logs, a call", [tracing, logging]],
    ["with metrics, too, a call", [counting, tracing, logging]],
  ];
  const metadata = new Metadata();
  const seen = sets.map((): number[] => []);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [at, [, watchers]] of sets.entries()) {
      const interceptor = watchCalls(watchers);
      const before = process.cpuUsage();
      for (let count = 0; count < CALLS; count++) oneCall(interceptor, metadata);
      const { user, system } = process.cpuUsage(before);
      seen[at]?.push((user + system) / CALLS);
    }
  }
  return sets.map(([what], at) => {
    const sorted = (seen[at] ?? []).sort((a, b) => a - b);
    return row("cluster", what, sorted[Math.floor(sorted.length / 2)] ?? 0, "us");
  });
}
