// The methods of log.v1.Log and cairn.v1.Log as grpc-js calls them: bytes to requests, answers to
// bytes, cancellation and back-pressure passed on. Decides nothing; the service does.

import type { sendUnaryData } from "@grpc/grpc-js";
import type { DiskStatus, MembershipChange } from "../base/client.ts";
import type { Fault } from "../base/faults.ts";
import {
  type AdminDisk,
  decodeChange,
  decodeDeparture,
  decodeKeysRequest,
  decodeRoundTripRequest,
  decodeTransferRequest,
  decodeTrimRequest,
  encodeKeysResponse,
  encodeRoundTrip,
  encodeStatusResponse,
  encodeTrimResponse,
} from "../proto/cairn-admin.ts";
import { encodeBackupResponse } from "../proto/cairn-backup.ts";
import {
  decodeCommitCursorRequest,
  decodeCursorsRequest,
  decodeDeleteCursorRequest,
  decodeFenceRequest,
  encodeCursors,
} from "../proto/cairn-cursors.ts";
import { decodeReadRequest, encodeReadResponse } from "../proto/cairn-read.ts";
import {
  decodeQuery,
  decodeSendEvent,
  encodeHeard,
  encodeQueryNews,
  NO_QUERY_NEWS,
  NOTHING_HEARD,
} from "../proto/cairn-talk.ts";
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
import type { AdminRequests } from "../service/admin-requests.ts";
import type { Caller } from "../service/caller.ts";
import type { Cursors } from "../service/cursor-requests.ts";
import type { Faulted, LogService } from "../service/log-service.ts";
import { type ProduceSink, ProduceStream } from "../service/produce-stream.ts";
import type { ConsumedRecord } from "../service/records.ts";
import type { QueryNews, TalkNews } from "../service/talk-requests.ts";
import type {
  DuplexCall,
  ServedMethod,
  ServedMethods,
  UnaryCall,
  WritableCall,
} from "./grpc-gate.ts";
import { grpcStatusOf } from "./grpc-status.ts";
import type { UnreadAnswers } from "./unread-answers.ts";

const BUSY_RETRY_MS = 50;

/** `forLoghouse`: consumed records stand where that seed's clients look for them, too. */
export function logV1Methods(
  service: LogService,
  unread: UnreadAnswers,
  forLoghouse: boolean,
): ServedMethods {
  const encodeConsumed = (record: ConsumedRecord) => encodeConsumeResponse(record, forLoghouse);
  const getServers = unary(
    (bytes) => decodeEmptyRequest("GetServersRequest", bytes) ?? {},
    async (caller) => service.getServers(caller),
    ({ servers }) =>
      encodeGetServersResponse(
        servers.map(({ id, address, isLeader }) => ({ id, rpcAddr: address, isLeader })),
      ),
  );
  return {
    "/log.v1.Log/Produce": unary(
      decodeProduceRequest,
      (caller, value) => service.produce(caller, value),
      ({ offset }) => encodeProduceResponse(offset),
    ),
    "/log.v1.Log/Consume": large(
      unread,
      decodeConsumeRequest,
      (caller, offset) => service.consume(caller, offset),
      ({ record }) => encodeConsumed(record),
    ),
    "/log.v1.Log/ConsumeStream": consumeStream(service, encodeConsumed),
    "/log.v1.Log/ProduceStream": produceStream(service),
    "/log.v1.Log/GetServers": getServers,
    // One of the seeds calls it so; the bytes are the same.
    "/log.v1.Log/GetServer": getServers,
  };
}

export function cairnV1Methods(service: LogService, unread: UnreadAnswers): ServedMethods {
  return {
    "/cairn.v1.Log/Append": unary(
      decodeAppendRequest,
      (caller, request) => service.append(caller, request),
      encodeAppendResponse,
    ),
    "/cairn.v1.Log/AppendStream": inOrder(
      (caller, sink) => service.appendStream(caller, sink),
      decodeAppendRequest,
      encodeAppendResponse,
    ),
    "/cairn.v1.Log/Read": large(
      unread,
      decodeReadRequest,
      (caller, request) => service.read(caller, request),
      encodeReadResponse,
    ),
    "/cairn.v1.Log/ReadStream": readStream(service),
    ...cursorMethods(service),
    "/cairn.v1.Log/CheckTail": unary(
      (bytes) => decodeEmptyRequest("CheckTailRequest", bytes) ?? {},
      (caller) => service.checkTail(caller),
      ({ endOffset }) => encodeCheckTailResponse(endOffset),
    ),
  };
}

function toldDisk({ scrub, digests, damage, ...disk }: DiskStatus): AdminDisk {
  return {
    ...disk,
    scrubPasses: scrub.passes,
    scrubBytes: scrub.bytes,
    scrubIndex: scrub.baseIndex,
    digestsChecked: digests.checked,
    digestsUnchecked: digests.unchecked,
    damage: damage ?? "",
  };
}

export function adminV1Methods({ admin, backups }: LogService): ServedMethods {
  return {
    "/cairn.v1.Admin/Backup": serverStream(
      (bytes) => decodeEmptyRequest("BackupRequest", bytes) ?? {},
      (caller, _request, call) => {
        const writer = new StreamWriter(call, encodeBackupResponse);
        return backups.stream(caller, { write: (message) => writer.write([message]) });
      },
    ),
    "/cairn.v1.Admin/Status": unary(
      (bytes) => decodeEmptyRequest("StatusRequest", bytes) ?? {},
      async (caller) => admin.status(caller),
      ({ status, gossip }) =>
        encodeStatusResponse({
          ...status,
          gossip: gossip.map(({ addr: address, ...rest }) => ({ ...rest, address })),
          leader: status.leader ?? "",
          disk: toldDisk(status.disk),
          members: status.members.map(({ id, ...rest }) => ({ name: id, ...rest })),
        }),
    ),
    "/cairn.v1.Admin/ChangeMembership": unary(
      decodeChange,
      (caller, change) => admin.change(caller, change as MembershipChange),
      () => Buffer.alloc(0),
    ),
    "/cairn.v1.Admin/TransferLeadership": unary(
      decodeTransferRequest,
      (caller, to) => admin.transfer(caller, to),
      () => Buffer.alloc(0),
    ),
    "/cairn.v1.Admin/Leave": unary(
      (bytes) => decodeDeparture("LeaveRequest", bytes),
      (caller, { name }) => admin.leave(caller, name),
      () => Buffer.alloc(0),
    ),
    "/cairn.v1.Admin/ForceLeave": unary(
      (bytes) => decodeDeparture("ForceLeaveRequest", bytes),
      (caller, { name, prune }) => admin.forceLeave(caller, name, prune),
      () => Buffer.alloc(0),
    ),
    "/cairn.v1.Admin/GossipKeys": unary(
      decodeKeysRequest,
      (caller, { act, key }) => admin.keys(caller, act, key),
      ({ keys }) => encodeKeysResponse(keys),
    ),
    "/cairn.v1.Admin/RoundTrip": unary(
      decodeRoundTripRequest,
      (caller, { from, to }) => admin.roundTrip(caller, from, to),
      encodeRoundTrip,
    ),
    ...talkMethods(admin),
    "/cairn.v1.Admin/Trim": unary(
      decodeTrimRequest,
      (caller, before) => admin.trim(caller, before),
      ({ startOffset }) => encodeTrimResponse(startOffset),
    ),
  };
}

function talkMethods(admin: AdminRequests): ServedMethods {
  return {
    "/cairn.v1.Admin/SendEvent": unary(
      decodeSendEvent,
      (caller, event) => admin.sendEvent(caller, event),
      () => Buffer.alloc(0),
    ),
    "/cairn.v1.Admin/Query": serverStream(decodeQuery, (caller, query, call) => {
      const { name, payload, nodes, tags, timeoutMs, ack, relayFactor } = query;
      const filters = { filterNodes: nodes, filterTags: tags };
      const options = {
        ...filters,
        ...(timeoutMs === 0 ? {} : { timeoutMs }),
        requestAck: ack,
        relayFactor,
      };
      const writer = new StreamWriter(call, (news: QueryNews) => {
        return encodeQueryNews({ ...NO_QUERY_NEWS, ...news });
      });
      const sink = { write: (news: QueryNews) => writer.write([news]) };
      return admin.query(caller, { name, payload, options }, sink);
    }),
    "/cairn.v1.Admin/WatchEvents": serverStream(
      (bytes) => decodeEmptyRequest("WatchEventsRequest", bytes) ?? {},
      (caller, _, call) => {
        const writer = new StreamWriter(call, (news: TalkNews) => {
          const { from = null, ...rest } = { from: null, ...news };
          return encodeHeard({ ...NOTHING_HEARD, ...rest, from: from ?? "" });
        });
        return admin.watchEvents(caller, { write: (news) => writer.write([news]) });
      },
    ),
  };
}

function cursorMethods({ cursors }: LogService): ServedMethods {
  const done = () => Buffer.alloc(0);
  const shown = (answer: Cursors) =>
    encodeCursors(
      answer.cursors.map(({ timestamp, ...rest }) => ({ ...rest, timestampMs: timestamp })),
    );
  return {
    "/cairn.v1.Log/CommitCursor": unary(
      decodeCommitCursorRequest,
      (caller, request) => cursors.commit(caller, request),
      done,
    ),
    "/cairn.v1.Log/FetchCursor": unary(
      (bytes) => decodeCursorsRequest("FetchCursorRequest", bytes),
      (caller, request) => cursors.fetch(caller, request),
      shown,
    ),
    "/cairn.v1.Log/ListCursors": unary(
      (bytes) => decodeCursorsRequest("ListCursorsRequest", bytes),
      (caller, request) => cursors.list(caller, request),
      shown,
    ),
    "/cairn.v1.Log/DeleteCursor": unary(
      decodeDeleteCursorRequest,
      (caller, request) => cursors.delete(caller, request),
      done,
    ),
    "/cairn.v1.Log/Fence": unary(
      decodeFenceRequest,
      (caller, request) => cursors.fence(caller, request),
      done,
    ),
  };
}

function malformed({ what }: Malformed): Fault {
  return { code: "malformed", what };
}

/**
 * A unary method. It is async so that a bug in the service rejects, which stops the process, rather
 * than throwing into grpc-js, which would answer UNKNOWN and go on.
 */
function unary<Request, Answer>(
  decode: (bytes: Buffer) => Request | Malformed,
  run: (caller: Caller, request: Request) => Promise<Answer | Faulted>,
  encode: (answer: Answer) => Buffer,
): ServedMethod {
  const serve = async (caller: Caller, call: UnaryCall, respond: sendUnaryData<Buffer>) => {
    const request = decode(call.request);
    const answer =
      request instanceof Malformed
        ? ({ kind: "fault", fault: malformed(request) } as const)
        : await run(caller, request);
    if (isFaulted(answer)) respond(grpcStatusOf(answer.fault));
    else respond(null, encode(answer));
  };
  return { kind: "unary", serve: (...call) => void serve(...call) };
}

function isFaulted<Answer>(answer: Answer | Faulted): answer is Faulted {
  return (answer as Faulted).kind === "fault";
}

/**
 * A unary method whose answers are as large as records: it is counted until the other end has read
 * it. To grpc-js it is a stream of one, the same on the wire, for only streams say when a message
 * has left.
 */
function large<Request, Answer>(
  unread: UnreadAnswers,
  decode: (bytes: Buffer) => Request | Malformed,
  run: (caller: Caller, request: Request) => Promise<Answer | Faulted>,
  encode: (answer: Answer) => Buffer,
): ServedMethod {
  return serverStream(decode, async (caller, request, call) => {
    const answer = await run(caller, request);
    if (isFaulted(answer)) return answer.fault;
    if (call.cancelled) return { code: "cancelled" };
    const bytes = encode(answer);
    const peer = call.getPeer();
    if (!unread.take(peer, bytes.length)) {
      return { code: "overloaded", what: "unread answers", retryAfterMs: BUSY_RETRY_MS };
    }
    let isUnread = true;
    const give = () => {
      if (isUnread) unread.give(peer, bytes.length);
      isUnread = false;
    };
    call.once("cancelled", give);
    call.write(bytes, give);
    return null;
  });
}

/** A stream of answers to one request. `run` ends with null where the stream ends in order. */
function serverStream<Request>(
  decode: (bytes: Buffer) => Request | Malformed,
  run: (caller: Caller, request: Request, call: WritableCall) => Promise<Fault | null>,
): ServedMethod {
  const serve = async (caller: Caller, call: WritableCall) => {
    const request = decode(call.request);
    const fault =
      request instanceof Malformed ? malformed(request) : await run(caller, request, call);
    if (call.cancelled) return;
    if (fault === null) call.end();
    else call.emit("error", grpcStatusOf(fault));
  };
  return { kind: "server-stream", serve: (...call) => void serve(...call) };
}

function consumeStream(
  service: LogService,
  encode: (record: ConsumedRecord) => Buffer,
): ServedMethod {
  return serverStream(decodeConsumeRequest, (caller, offset, call) => {
    const writer = new StreamWriter(call, encode);
    return service.consumeStream(caller, offset, writer);
  });
}

function readStream(service: LogService): ServedMethod {
  return serverStream(decodeReadRequest, (caller, request, call) => {
    const writer = new StreamWriter(call, encodeReadResponse);
    return service.readStream(caller, request, { write: (batches) => writer.write([batches]) });
  });
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

function produceStream(service: LogService): ServedMethod {
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
): ServedMethod {
  const serve = (caller: Caller, call: DuplexCall) => {
    const fail = (fault: Fault) => void call.emit("error", grpcStatusOf(fault));
    const opened = open(caller, {
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
  return { kind: "duplex", serve };
}
