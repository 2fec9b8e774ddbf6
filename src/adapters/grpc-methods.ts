// The methods of log.v1.Log and cairn.v1.Log as grpc-js calls them: bytes to requests, answers to
// bytes, cancellation and back-pressure passed on. Decides nothing; the service does.

import type {
  handleBidiStreamingCall,
  handleServerStreamingCall,
  handleUnaryCall,
  MethodDefinition,
  ServerUnaryCall,
  ServerWritableStream,
  ServiceDefinition,
  UntypedServiceImplementation,
} from "@grpc/grpc-js";
import type { Fault } from "../base/faults.ts";
import { decodeReadRequest, encodeReadResponse } from "../proto/cairn-read.ts";
import {
  decodeAppendRequest,
  encodeAppendResponse,
  encodeCheckTailResponse,
} from "../proto/cairn-v1.ts";
import { Malformed } from "../proto/fields.ts";
import {
  decodeConsumeRequest,
  decodeEmptyRequest,
  decodeProduceRequest,
  encodeConsumeResponse,
  encodeGetServersResponse,
  encodeProduceResponse,
} from "../proto/log-v1.ts";
import type { Action } from "../service/access.ts";
import { Caller } from "../service/caller.ts";
import type { Faulted, LogService } from "../service/log-service.ts";
import { type ProduceSink, ProduceStream } from "../service/produce-stream.ts";
import { grpcStatusOf } from "./grpc-status.ts";
import { subjectOf } from "./subject.ts";

type Method = MethodDefinition<Buffer, Buffer>;
type WritableCall = ServerWritableStream<Buffer, Buffer>;
/** What all kinds of calls have. */
interface AnyCall {
  getAuthContext(): ReturnType<ServerUnaryCall<Buffer, Buffer>["getAuthContext"]>;
  on(event: "cancelled", listener: () => void): unknown;
}

/** Messages pass grpc-js as bytes, so that what cannot be decoded is answered by our own table. */
function method(path: string, requestStream: boolean, responseStream: boolean): Method {
  const asIs = (bytes: Buffer) => bytes;
  return {
    path,
    requestStream,
    responseStream,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
}

export const LOG_V1: ServiceDefinition = {
  Produce: method("/log.v1.Log/Produce", false, false),
  Consume: method("/log.v1.Log/Consume", false, false),
  ConsumeStream: method("/log.v1.Log/ConsumeStream", false, true),
  ProduceStream: method("/log.v1.Log/ProduceStream", true, true),
  GetServers: method("/log.v1.Log/GetServers", false, false),
  // One of the seeds calls it so; the bytes are the same.
  GetServer: method("/log.v1.Log/GetServer", false, false),
};

export const CAIRN_V1: ServiceDefinition = {
  Append: method("/cairn.v1.Log/Append", false, false),
  AppendStream: method("/cairn.v1.Log/AppendStream", true, true),
  Read: method("/cairn.v1.Log/Read", false, false),
  ReadStream: method("/cairn.v1.Log/ReadStream", false, true),
  CheckTail: method("/cairn.v1.Log/CheckTail", false, false),
};

export function logV1Methods(service: LogService): UntypedServiceImplementation {
  const getServers = unary(
    service,
    {
      action: "describe",
      decode: (bytes) => decodeEmptyRequest("GetServersRequest", bytes) ?? {},
    },
    async (caller) => service.getServers(caller),
    ({ servers }) =>
      encodeGetServersResponse(
        servers.map(({ id, address, isLeader }) => ({ id, rpcAddr: address, isLeader })),
      ),
  );
  return {
    Produce: unary(
      service,
      { action: "produce", decode: decodeProduceRequest },
      (caller, value) => service.produce(caller, value),
      ({ offset }) => encodeProduceResponse(offset),
    ),
    Consume: unary(
      service,
      { action: "consume", decode: decodeConsumeRequest },
      (caller, offset) => service.consume(caller, offset),
      ({ record }) => encodeConsumeResponse(record),
    ),
    ConsumeStream: consumeStream(service),
    ProduceStream: produceStream(service),
    GetServers: getServers,
    GetServer: getServers,
  };
}

export function cairnV1Methods(service: LogService): UntypedServiceImplementation {
  return {
    Append: unary(
      service,
      { action: "produce", decode: decodeAppendRequest },
      (caller, request) => service.append(caller, request),
      encodeAppendResponse,
    ),
    AppendStream: inOrder(
      (caller, sink) => service.appendStream(caller, sink),
      decodeAppendRequest,
      encodeAppendResponse,
    ),
    Read: unary(
      service,
      { action: "consume", decode: decodeReadRequest },
      (caller, request) => service.read(caller, request),
      encodeReadResponse,
    ),
    ReadStream: readStream(service),
    CheckTail: unary(
      service,
      {
        action: "describe",
        decode: (bytes) => decodeEmptyRequest("CheckTailRequest", bytes) ?? {},
      },
      (caller) => service.checkTail(caller),
      ({ endOffset }) => encodeCheckTailResponse(endOffset),
    ),
  };
}

/** Who calls, from the certificate that the TLS layer verified; see tls-door.ts on its cost. */
function callerOf(call: AnyCall): Caller {
  const caller = new Caller(subjectOf(call.getAuthContext().sslPeerCertificate));
  call.on("cancelled", () => caller.leave());
  return caller;
}

function malformed({ what }: Malformed): Fault {
  return { code: "malformed", what };
}

/** A method before its answer: what it needs the right to, and how its request is read. */
interface Entrance<Request> {
  readonly action: Action;
  readonly decode: (bytes: Buffer) => Request | Malformed;
}

/** The request, decoded only for those who may make it; else the fault to answer with. */
function admit<Request>(
  service: LogService,
  caller: Caller,
  bytes: Buffer,
  { action, decode }: Entrance<Request>,
): { readonly request: Request } | Faulted {
  const refused = service.refusal(caller, action);
  if (refused !== null) return { kind: "fault", fault: refused };
  const request = decode(bytes);
  if (request instanceof Malformed) return { kind: "fault", fault: malformed(request) };
  return { request };
}

/**
 * A unary method. It is async so that a bug in the service rejects, which stops the process, rather
 * than throwing into grpc-js, which would answer UNKNOWN and go on.
 */
function unary<Request, Answer>(
  service: LogService,
  entrance: Entrance<Request>,
  run: (caller: Caller, request: Request) => Promise<Answer | Faulted>,
  encode: (answer: Answer) => Buffer,
): handleUnaryCall<Buffer, Buffer> {
  return (call, respond) => {
    const answer = async () => {
      const caller = callerOf(call);
      const admitted = admit(service, caller, call.request, entrance);
      const answered = isFaulted(admitted) ? admitted : await run(caller, admitted.request);
      if (isFaulted(answered)) respond(grpcStatusOf(answered.fault));
      else respond(null, encode(answered));
    };
    void answer();
  };
}

function isFaulted<Answer>(answer: Answer | Faulted): answer is Faulted {
  return (answer as Faulted).kind === "fault";
}

/** A stream of answers to one request. `run` ends with null where the stream ends in order. */
function serverStream<Request>(
  service: LogService,
  entrance: Entrance<Request>,
  run: (caller: Caller, request: Request, call: WritableCall) => Promise<Fault | null>,
): handleServerStreamingCall<Buffer, Buffer> {
  return (call) => {
    const stream = async () => {
      const caller = callerOf(call);
      const admitted = admit(service, caller, call.request, entrance);
      const fault = isFaulted(admitted)
        ? admitted.fault
        : await run(caller, admitted.request, call);
      if (call.cancelled) return;
      if (fault === null) call.end();
      else call.emit("error", grpcStatusOf(fault));
    };
    void stream();
  };
}

function consumeStream(service: LogService): handleServerStreamingCall<Buffer, Buffer> {
  return serverStream(
    service,
    { action: "consume", decode: decodeConsumeRequest },
    (caller, offset, call) => {
      const writer = new StreamWriter(call, encodeConsumeResponse);
      return service.consumeStream(caller, offset, writer);
    },
  );
}

function readStream(service: LogService): handleServerStreamingCall<Buffer, Buffer> {
  return serverStream(
    service,
    { action: "consume", decode: decodeReadRequest },
    (caller, request, call) => {
      const writer = new StreamWriter(call, encodeReadResponse);
      return service.readStream(caller, request, { write: (batches) => writer.write([batches]) });
    },
  );
}

/** grpc-js counts the messages that wait to be sent; long ones are counted here, in bytes. */
const LONG_MESSAGE_BYTES = 16 * 1024;
const UNSENT_BYTES_MAX = 1024 * 1024;

/** Writes messages to a call and waits whenever enough of them are unsent. */
class StreamWriter<Message> {
  readonly #call: WritableCall;
  readonly #encode: (message: Message) => Buffer;
  #unsentBytes = 0;
  #resolve: (() => void) | null = null;

  constructor(call: WritableCall, encode: (message: Message) => Buffer) {
    this.#call = call;
    this.#encode = encode;
    const go = () => {
      const resolve = this.#resolve;
      this.#resolve = null;
      resolve?.();
    };
    call.on("drain", go);
    call.on("cancelled", go);
  }

  /** Null when all were taken at once; else resolves when they are, or the caller is gone. */
  write(messages: readonly Message[]): Promise<void> | null {
    const written = this.#writeFrom(messages, 0);
    return written === messages.length && !this.#isFull ? null : this.#writeRest(messages, written);
  }

  get #isFull(): boolean {
    return this.#call.writableNeedDrain || this.#unsentBytes >= UNSENT_BYTES_MAX;
  }

  async #writeRest(messages: readonly Message[], from: number): Promise<void> {
    let at = from;
    do {
      while (this.#isFull) {
        if (this.#call.cancelled) return;
        await new Promise<void>((resolve) => {
          this.#resolve = resolve;
        });
      }
      at = this.#writeFrom(messages, at);
    } while (at < messages.length);
  }

  /** Writes until it is enough; returns where to go on. */
  #writeFrom(messages: readonly Message[], from: number): number {
    for (let at = from; at < messages.length; at++) {
      if (this.#call.cancelled) return messages.length;
      const message = messages[at];
      if (message !== undefined && !this.#send(this.#encode(message))) return at + 1;
    }
    return messages.length;
  }

  /** False: no more for now. */
  #send(bytes: Buffer): boolean {
    if (bytes.length < LONG_MESSAGE_BYTES) return this.#call.write(bytes) && !this.#isFull;
    this.#unsentBytes += bytes.length;
    this.#call.write(bytes, () => {
      this.#unsentBytes -= bytes.length;
      const resolve = this.#resolve;
      this.#resolve = null;
      resolve?.();
    });
    return !this.#isFull;
  }
}

function produceStream(service: LogService): handleBidiStreamingCall<Buffer, Buffer> {
  return inOrder(
    (caller, sink) => service.produceStream(caller, sink),
    decodeProduceRequest,
    encodeProduceResponse,
  );
}

/** Requests and responses in the same order, as ProduceStream keeps it. */
function inOrder<Request, Response>(
  open: (caller: Caller, sink: ProduceSink<Response>) => ProduceStream<Request, Response> | Fault,
  decode: (bytes: Buffer) => Request | Malformed,
  encode: (response: Response) => Buffer,
): handleBidiStreamingCall<Buffer, Buffer> {
  return (call) => {
    const fail = (fault: Fault) => void call.emit("error", grpcStatusOf(fault));
    const opened = open(callerOf(call), {
      produced: (response) => call.write(encode(response)),
      resume: () => call.resume(),
      ended: (fault) => {
        if (fault === null) call.end();
        else fail(fault);
      },
    });
    if (!(opened instanceof ProduceStream)) {
      fail(opened);
      call.resume();
      return;
    }
    call.on("drain", () => opened.drained());
    call.on("data", (bytes: Buffer) => {
      const request = decode(bytes);
      if (request instanceof Malformed) opened.pushFault(malformed(request));
      else if (!opened.push(request)) call.pause();
    });
    call.on("end", () => opened.finish());
  };
}
