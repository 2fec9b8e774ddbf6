// The one way by which a gRPC method comes into the server: each call is made a caller's, and goes
// on only when the access table lets it. Owns who calls, the request's id and the refusal; what a
// method does is grpc-methods.ts.

import { randomBytes } from "node:crypto";
import type {
  Metadata,
  MethodDefinition,
  Server,
  ServerDuplexStream,
  ServerUnaryCall,
  ServerWritableStream,
  sendUnaryData,
  UntypedHandleCall,
} from "@grpc/grpc-js";
import { trace } from "@opentelemetry/api";
import { type Micros, millis } from "../base/ids.ts";
import { Caller, type CallOrigin, type CallSpan } from "../service/caller.ts";
import type { LogService } from "../service/log-service.ts";
import { grpcStatusOf, REQUEST_ID } from "./grpc-status.ts";
import type { BegunCall, CallGuard } from "./grpc-watch.ts";
import { subjectOf } from "./subject.ts";

export type UnaryCall = ServerUnaryCall<Buffer, Buffer>;
export type WritableCall = ServerWritableStream<Buffer, Buffer>;
export type DuplexCall = ServerDuplexStream<Buffer, Buffer>;

/** A method by its kind, for callers who may make the call. */
export type ServedMethod =
  | {
      readonly kind: "unary";
      readonly serve: (caller: Caller, call: UnaryCall, respond: sendUnaryData<Buffer>) => void;
    }
  | {
      readonly kind: "server-stream";
      readonly serve: (caller: Caller, call: WritableCall) => void;
    }
  | { readonly kind: "duplex"; readonly serve: (caller: Caller, call: DuplexCall) => void };

/** By path on the wire. */
export type ServedMethods = Readonly<Record<string, ServedMethod>>;

/** Puts the methods into the server, each behind its row of the access table. */
export function serveMethods(server: Server, service: LogService, methods: ServedMethods): void {
  const definition: Record<string, MethodDefinition<Buffer, Buffer>> = {};
  const gated: Record<string, UntypedHandleCall> = {};
  for (const [path, method] of Object.entries(methods)) {
    definition[path] = definitionOf(path, method);
    gated[path] = gate(service, path, method);
  }
  server.addService(definition, gated);
}

/** Messages pass grpc-js as bytes, so that what cannot be decoded is answered by our own table. */
function definitionOf(path: string, { kind }: ServedMethod): MethodDefinition<Buffer, Buffer> {
  const asIs = (bytes: Buffer) => bytes;
  return {
    path,
    requestStream: kind === "duplex",
    responseStream: kind !== "unary",
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
}

function gate(service: LogService, path: string, method: ServedMethod): UntypedHandleCall {
  switch (method.kind) {
    case "unary":
      return (call: UnaryCall, respond: sendUnaryData<Buffer>) => {
        const caller = callerOf(call, path);
        const refused = service.refusal(caller, path);
        if (refused === null) method.serve(caller, call, respond);
        else respond(grpcStatusOf(refused, caller.origin.requestId));
      };
    case "server-stream":
      return (call: WritableCall) => {
        const caller = callerOf(call, path);
        const refused = service.refusal(caller, path);
        if (refused === null) method.serve(caller, call);
        else call.emit("error", grpcStatusOf(refused, caller.origin.requestId));
      };
    case "duplex":
      return (call: DuplexCall) => {
        const caller = callerOf(call, path);
        const refused = service.refusal(caller, path);
        if (refused === null) {
          method.serve(caller, call);
          return;
        }
        call.emit("error", grpcStatusOf(refused, caller.origin.requestId));
        call.resume();
      };
  }
}

/** What all kinds of calls have. */
interface AnyCall
  extends Pick<UnaryCall, "getAuthContext" | "getDeadline" | "getPeer" | "metadata"> {
  on(event: "cancelled", listener: () => void): unknown;
}

/** Keeps out of other people's services whom the access table does not let into their methods. */
export function guardOf(service: LogService, paths: readonly string[]): CallGuard {
  const guarded = new Set(paths);
  return ({ path, metadata, call }: BegunCall) => {
    if (!guarded.has(path)) return null;
    const certificate = call.getAuthContext().sslPeerCertificate;
    const from = { metadata, getPeer: () => call.getPeer() };
    const origin = new GrpcOrigin(from, path, certificate !== undefined);
    const refused = service.refusal(new Caller(subjectOf(certificate), origin), path);
    return refused === null ? null : grpcStatusOf(refused, origin.requestId);
  };
}

/** Who calls, from the certificate that the TLS layer verified; see tls-door.ts on its cost. */
function callerOf(call: AnyCall, path: string): Caller {
  const certificate = call.getAuthContext().sslPeerCertificate;
  const origin = new GrpcOrigin(call, path, certificate !== undefined);
  const caller = new Caller(subjectOf(certificate), origin, patienceOf(call));
  call.on("cancelled", () => caller.leave());
  return caller;
}

/** What is left until the caller's deadline. */
function patienceOf(call: AnyCall): Micros | null {
  const until = Number(call.getDeadline());
  return Number.isFinite(until) ? millis(Math.max(0, until - Date.now())) : null;
}

class GrpcOrigin implements CallOrigin {
  readonly method: string;
  readonly isSecure: boolean;
  readonly #call: Pick<AnyCall, "getPeer" | "metadata">;
  readonly #span = spanOfCall();
  #requestId: string | null = null;

  constructor(call: Pick<AnyCall, "getPeer" | "metadata">, method: string, isSecure: boolean) {
    this.method = method;
    this.isSecure = isSecure;
    this.#call = call;
  }

  get peer(): string {
    return this.#call.getPeer();
  }

  get span(): CallSpan | null {
    return this.#span;
  }

  get requestId(): string {
    this.#requestId ??= requestIdOf(textOf(this.#call.metadata));
    return this.#requestId;
  }
}

/** Of the call whose work this is: whoever traces calls has put it there (call-watchers.ts). */
function spanOfCall(): CallSpan | null {
  const span = trace.getActiveSpan();
  if (span?.isRecording() !== true) return null;
  return {
    event: (name, ago) => void span.addEvent(name, Date.now() - ago / 1000),
  };
}

function textOf(metadata: Metadata): string | undefined {
  const [value] = metadata.get(REQUEST_ID);
  return typeof value === "string" ? value : undefined;
}

const processId = randomBytes(6).toString("hex");
let drawn = 0;

/** The caller's own id when it is fit for a log line, else a new one. */
export function requestIdOf(given: string | undefined): string {
  return given !== undefined && /^[\w.:/+=@-]{1,128}$/.test(given)
    ? given
    : `${processId}-${(++drawn).toString(36)}`;
}
