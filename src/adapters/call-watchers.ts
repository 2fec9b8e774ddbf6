// Who watches calls: the metrics, the tracer of OpenTelemetry, and the log of a node that tells
// every call. Owns what each of them says of a call; how a call is watched is grpc-watch.ts.

import { type Metadata, status as Status } from "@grpc/grpc-js";
import {
  context,
  propagation,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  type TextMapGetter,
  type Tracer,
  trace,
} from "@opentelemetry/api";
import type { Logger } from "pino";

import { requestIdOf } from "./grpc-gate.ts";
import { REQUEST_ID } from "./grpc-status.ts";
import type { BegunCall, CallWatch, CallWatcher } from "./grpc-watch.ts";
import type { Metrics } from "./metrics.ts";
import { subjectOf } from "./subject.ts";

const nameOfStatus = (code: number) => Status[code] ?? String(code);

/** The four golden signals of each method: traffic, errors, latency, and what is under way. */
export class MetricsWatcher implements CallWatcher {
  readonly #metrics: Metrics;

  constructor(metrics: Metrics) {
    this.#metrics = metrics;
  }

  began({ path }: BegunCall): CallWatch {
    const { rpcStarted, rpcHandled, rpcSeconds, rpcInFlight, rpcMessages } = this.#metrics;
    // Without the slash that begins it: that is how dashboards name methods.
    const method = path.slice(1);
    const begunMs = performance.now();
    rpcStarted.inc({ method });
    rpcInFlight.inc({ method });
    return {
      received: () => rpcMessages.inc({ method, direction: "received" }),
      sent: () => rpcMessages.inc({ method, direction: "sent" }),
      ended: (code) => {
        rpcInFlight.dec({ method });
        rpcHandled.inc({ method, code: nameOfStatus(code) });
        rpcSeconds.observe({ method }, (performance.now() - begunMs) / 1000);
      },
    };
  }
}

/** Words of OpenTelemetry's conventions for RPC. */
function rpcAttributes(path: string): Record<string, string> {
  const [, service = "", method = ""] = path.split("/");
  return { "rpc.system": "grpc", "rpc.service": service, "rpc.method": method };
}

const metadataGetter: TextMapGetter<Metadata> = {
  keys: (metadata) => Object.keys(metadata.getMap()),
  get: (metadata, key) => metadata.get(key).filter((value) => typeof value === "string"),
};

/** A span a call, child of the caller's; nothing is kept unless the program has an SDK. */
export class TraceWatcher implements CallWatcher {
  readonly #tracer: Tracer;

  constructor(version: string) {
    this.#tracer = trace.getTracer("cairnlog", version);
  }

  began({ path, metadata }: BegunCall): CallWatch {
    const parent = propagation.extract(ROOT_CONTEXT, metadata, metadataGetter);
    const attributes = rpcAttributes(path);
    const options = { kind: SpanKind.SERVER, attributes };
    const span = this.#tracer.startSpan(path.slice(1), options, parent);
    const surroundings = trace.setSpan(parent, span);
    return {
      within: (run) => context.with(surroundings, run),
      ended: (code) => {
        span.setAttribute("rpc.grpc.status_code", code);
        if (code !== Status.OK) {
          span.setStatus({ code: SpanStatusCode.ERROR, message: nameOfStatus(code) });
        }
        span.end();
      },
    };
  }
}

/** A line a call at the level debug: who called what from where, and how it ended. */
export class LogWatcher implements CallWatcher {
  readonly #logger: Logger;

  constructor(logger: Logger) {
    this.#logger = logger;
  }

  began({ path, metadata, call }: BegunCall): CallWatch | null {
    if (!this.#logger.isLevelEnabled("debug")) return null;
    const begunMs = performance.now();
    const [given] = metadata.get(REQUEST_ID);
    const requestId = requestIdOf(typeof given === "string" ? given : undefined);
    // What the audit says of this call names it alike.
    metadata.set(REQUEST_ID, requestId);
    const subject = subjectOf(call.getAuthContext().sslPeerCertificate);
    const facts = { method: path, subject, peer: call.getPeer(), requestId };
    return {
      ended: (code) => {
        const ms = Math.round((performance.now() - begunMs) * 1000) / 1000;
        this.#logger.debug({ ...facts, code: nameOfStatus(code), ms }, "call");
      },
    };
  }
}
