// A span a call, as OpenTelemetry wants it of a client: child of whatever the program is doing, and
// sent along so that the server's is a child of it. Nothing is kept unless the program has an SDK.

import { Metadata, status as Status } from "@grpc/grpc-js";
import {
  context,
  propagation,
  SpanKind,
  SpanStatusCode,
  type TextMapSetter,
  trace,
} from "@opentelemetry/api";

const setter: TextMapSetter<Metadata> = {
  set: (metadata, key, value) => metadata.set(key, value),
};

export interface BegunSpan {
  /** What to send with the call. */
  readonly metadata: Metadata;
  /** To be called once, with the gRPC status that the call ended with. */
  ended(code: number): void;
}

/** `path` as on the wire, `address` of the server that is called. */
export function beginSpan(path: string, address: string): BegunSpan {
  const [, service = "", method = ""] = path.split("/");
  const attributes = {
    "rpc.system": "grpc",
    "rpc.service": service,
    "rpc.method": method,
    "server.address": address,
  };
  const options = { kind: SpanKind.CLIENT, attributes };
  const span = trace.getTracer("cairnlog").startSpan(path.slice(1), options);
  const metadata = new Metadata();
  propagation.inject(trace.setSpan(context.active(), span), metadata, setter);
  return {
    metadata,
    ended: (code) => {
      span.setAttribute("rpc.grpc.status_code", code);
      if (code !== Status.OK) {
        span.setStatus({ code: SpanStatusCode.ERROR, message: Status[code] ?? String(code) });
      }
      span.end();
    },
  };
}
