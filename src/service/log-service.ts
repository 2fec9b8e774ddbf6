// The public contract without gRPC: what each request needs, checks and answers, over one node.
// Access is decided before anything else is looked at. Owns no transport, no encoding and no
// timers.

import { assert } from "../base/assert.ts";
import type {
  Answer,
  ClientRequest,
  MemberInfo,
  MembershipChange,
  NodeStatus,
} from "../base/client.ts";
import type { Draft, Entry } from "../base/entry.ts";
import type { Fault } from "../base/faults.ts";
import {
  after,
  type Instant,
  type Micros,
  millis,
  NEVER,
  type Offset,
  type RequestId,
  type WallMs,
} from "../base/ids.ts";
import { BACKUP_PATIENCE } from "../node/backups.ts";
import type { NodeHost } from "../node/ports.ts";
import type { Authorizer } from "../ports/authorizer.ts";
import type { Clients } from "../ports/clients.ts";
import type { Clock } from "../ports/clock.ts";
import type { Packing } from "../ports/packing.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import { Access, CONSUME, DESCRIBE, type Need, PRODUCE } from "./access.ts";
import { AdminRequests } from "./admin-requests.ts";
import { BackupRequests } from "./backup-requests.ts";
import { type AppendRequest, BatchAdmission, isDraft } from "./batch-admission.ts";
import { type Batches, BatchReads, type BatchSink, type ReadRequest } from "./batch-reads.ts";
import type { Caller } from "./caller.ts";
import { type ControlConditions, CursorRequests } from "./cursor-requests.ts";
import { InFlight, type Respond } from "./in-flight.ts";
import { type ProduceSink, ProduceStream } from "./produce-stream.ts";
import { type ConsumedRecord, recordsOf } from "./records.ts";

export interface LogServiceOptions {
  /** One record: its value, key and headers together. */
  readonly recordBytesMax: number;
  /** The body of one batch. */
  readonly batchBytesMax: number;
  /** Requests that wait for an answer, streams at the end of the log among them. */
  readonly requestsMax: number;
  /** Bytes of appends that wait for an answer. */
  readonly appendBytesMax: number;
  /**
   * An append or a read is given up after this long; a check of the tail, and with it a
   * linearizable read, only where its caller has no deadline of its own.
   */
  readonly requestTimeout: Micros;
  /** What a stream reads ahead at once; one larger entry is read all the same. */
  readonly fetchBytesMax: number;
  /** What a caller of Read may ask for in one answer. */
  readonly readBytesMax: number;
  /** How long a caller of Read may wait at the end of the log. */
  readonly maxWaitMsMax: number;
  /** Requests of one produce stream in flight. */
  readonly produceWindowMax: number;
  /** The subject of connections without TLS; null refuses them. */
  readonly anonymousSubject: string | null;
}

export const DEFAULT_LOG_SERVICE_OPTIONS: LogServiceOptions = {
  recordBytesMax: 1024 * 1024,
  batchBytesMax: 4 * 1024 * 1024,
  requestsMax: 8192,
  appendBytesMax: 64 * 1024 * 1024,
  requestTimeout: 10_000_000 as Micros,
  fetchBytesMax: 256 * 1024,
  readBytesMax: 4 * 1024 * 1024,
  maxWaitMsMax: 60_000,
  produceWindowMax: 256,
  anonymousSubject: null,
};

export type Faulted = { readonly kind: "fault"; readonly fault: Fault };
export type Appended = Extract<Answer, { kind: "appended" }>;
export type Tail = Extract<Answer, { kind: "tail" }>;
export type Consumed = { readonly kind: "consumed"; readonly record: ConsumedRecord };
export type Servers = { readonly kind: "servers"; readonly servers: readonly MemberInfo[] };

/** What an append asks of the log as it then is. */
type AppendConditions = Partial<
  Pick<
    Extract<ClientRequest, { kind: "append" }>,
    "expectedEndOffset" | "fencingToken" | "expectedCursor"
  >
>;

/** Where the records of a consume stream go. */
export interface ConsumeSink {
  /** Null when all were taken at once; else resolves when they are, or when the caller is gone. */
  write(records: readonly ConsumedRecord[]): Promise<void> | null;
}

export interface LogServicePorts {
  readonly authorizer: Authorizer;
  readonly clock: Pick<Clock, "now" | "wall">;
  readonly packing: Packing;
  /** Hears of denials and admin acts. */
  readonly telemetry: Telemetry;
}

/** A new member may have much to catch up with; the caller's own deadline is usually shorter. */
const CHANGE_PATIENCE: Micros = millis(3_600_000);
/** Of a caller who says so: whoever wants to wait longer asks again. */
const READ_PATIENCE_MAX: Micros = millis(600_000);

export class LogService implements Clients {
  readonly #options: LogServiceOptions;
  readonly #access: Access;
  readonly #clock: Pick<Clock, "now" | "wall">;
  readonly #inFlight: InFlight;
  readonly #batchReads: BatchReads;
  readonly #admission: BatchAdmission;
  /** Cursors and the fence. */
  readonly cursors: CursorRequests;
  readonly admin: AdminRequests;
  readonly backups: BackupRequests;
  readonly #packing: Packing;
  #host: NodeHost | null = null;

  constructor(
    options: LogServiceOptions,
    { authorizer, clock, packing, telemetry }: LogServicePorts,
  ) {
    this.#options = options;
    this.#packing = packing;
    this.#admission = new BatchAdmission(options, packing);
    this.#access = new Access(authorizer, telemetry, options.anonymousSubject);
    this.#clock = clock;
    this.#inFlight = new InFlight(options);
    this.#batchReads = new BatchReads(options, {
      status: () => this.#host?.status() ?? null,
      fetch: (caller, offset, bytesMax, wait, deadline, notBefore) =>
        this.#fetch(caller, offset, bytesMax, wait, deadline, notBefore),
      checkTail: (caller) => this.#tail(caller),
      inMs: (ms) => after(this.#clock.now(), millis(ms)),
    });
    const controls = {
      refusal: (caller: Caller, need: Need) => this.#access.refusal(caller, need),
      wall: () => this.#clock.wall(),
      append: (caller: Caller, draft: Draft, conditions: ControlConditions) =>
        new Promise<Answer>((resolve) => this.#append(caller, draft, conditions, resolve)),
    };
    this.cursors = new CursorRequests({
      ...controls,
      readCursors: (caller, names) =>
        new Promise((resolve) => {
          const requestId = this.#inFlight.nextId();
          const request: ClientRequest = { kind: "read-cursors", requestId, names };
          this.#ask(caller, request, this.#deadline(), resolve);
        }),
      freshen: (caller, consistency) => this.#batchReads.freshen(caller, consistency),
    });
    const status = () => this.#host?.status() ?? null;
    const askFor =
      (patience: Micros) => (caller: Caller, make: (requestId: RequestId) => ClientRequest) =>
        new Promise<Answer>((resolve) => {
          const deadline = after(this.#clock.now(), patience);
          this.#ask(caller, make(this.#inFlight.nextId()), deadline, resolve);
        });
    this.admin = new AdminRequests({ ...controls, status, ask: askFor(CHANGE_PATIENCE) });
    const { refusal } = controls;
    const letGo = (requestId: RequestId) => this.#inFlight.letGo(requestId);
    const ask = askFor(BACKUP_PATIENCE);
    const backing = { refusal, status, ask, letGo };
    this.backups = new BackupRequests(backing, options.requestTimeout);
  }

  /** The node comes after the service, whose `answer` is one of its ports. */
  attach(host: NodeHost): void {
    this.#host = host;
    this.#inFlight.attach(host);
  }

  answer(answer: Answer): void {
    this.#inFlight.answer(answer);
  }

  /** For probes and figures, not for callers; null until there is a node. */
  status(): NodeStatus | null {
    return this.#host?.status() ?? null;
  }

  /** Requests without an answer. */
  get inFlight(): number {
    return this.#inFlight.size;
  }

  /** To be called every tenth of a second or so: gives up on requests past their deadline. */
  expire(): void {
    this.#inFlight.expire(this.#clock.now());
  }

  /** Refuses new requests and ends the consume streams; appends under way go on. */
  close(): void {
    this.#inFlight.close();
  }

  /**
   * Null when the caller may come in by this method of the access table; else what to answer. Every
   * request is checked for itself too: this is for a transport, which must not even decode what a
   * stranger sent.
   */
  refusal(caller: Caller, method: string): Fault | null {
    return this.#access.refusalOfMethod(caller, method);
  }

  /** One record, not idempotent. `value` is copied. */
  produce(caller: Caller, value: Uint8Array): Promise<Appended | Faulted> {
    const refused = this.#access.refusal(caller, PRODUCE);
    if (refused !== null) return Promise.resolve({ kind: "fault", fault: refused });
    return this.#appended((respond) => this.#produceOne(caller, value, respond));
  }

  /** Opens a stream of single records; a fault when the caller may not. */
  produceStream(
    caller: Caller,
    sink: ProduceSink<Offset>,
  ): ProduceStream<Uint8Array, Offset> | Fault {
    const append = (value: Uint8Array, respond: Respond) => this.#produceOne(null, value, respond);
    return this.#stream(caller, append, ({ offset }) => offset, sink);
  }

  /** Opens a stream of batches; a fault when the caller may not. */
  appendStream(
    caller: Caller,
    sink: ProduceSink<Appended>,
  ): ProduceStream<AppendRequest, Appended> | Fault {
    const append = (request: AppendRequest, respond: Respond) =>
      this.#appendBatch(null, request, respond);
    return this.#stream(caller, append, (appended) => appended, sink);
  }

  #stream<Request, Response>(
    caller: Caller,
    append: (request: Request, respond: Respond) => void,
    answered: (appended: Appended) => Response,
    sink: ProduceSink<Response>,
  ): ProduceStream<Request, Response> | Fault {
    const refused = this.#access.refusal(caller, PRODUCE);
    if (refused !== null) return refused;
    const allowed = (request: Request, respond: Respond) => {
      // Once more for each: a stream outlives a change of the rules.
      const fault = this.#access.refusal(caller, PRODUCE);
      if (fault === null) append(request, respond);
      else respond({ kind: "fault", requestId: this.#inFlight.nextId(), fault });
    };
    const stream = new ProduceStream(this.#options.produceWindowMax, allowed, answered, sink);
    caller.whenGone(() => stream.abandon());
    return stream;
  }

  /** A batch as one entry, all or nothing. The bytes are copied. */
  append(caller: Caller, request: AppendRequest): Promise<Appended | Faulted> {
    const refused = this.#access.refusal(caller, PRODUCE);
    if (refused !== null) return Promise.resolve({ kind: "fault", fault: refused });
    return this.#appended((respond) => this.#appendBatch(caller, request, respond));
  }

  /** The linearizable end of the log. */
  checkTail(caller: Caller): Promise<Tail | Faulted> {
    const refused = this.#access.refusal(caller, DESCRIBE);
    if (refused !== null) return Promise.resolve({ kind: "fault", fault: refused });
    return this.#tail(caller);
  }

  /** Batches from a place on, as they lie in the log. */
  read(caller: Caller, request: ReadRequest): Promise<Batches | Faulted> {
    const refused = this.#access.refusal(caller, CONSUME);
    if (refused !== null) return Promise.resolve({ kind: "fault", fault: refused });
    return this.#batchReads.read(caller, request);
  }

  /** The same without end; answers null at the end that was asked for, else with what ended it. */
  readStream(caller: Caller, request: ReadRequest, sink: BatchSink): Promise<Fault | null> {
    const refused = this.#access.refusal(caller, CONSUME);
    if (refused !== null) return Promise.resolve(refused);
    return this.#batchReads.stream(caller, request, sink);
  }

  /** One committed record of this node's own log. */
  async consume(caller: Caller, offset: number): Promise<Consumed | Faulted> {
    const refused = this.#access.refusal(caller, CONSUME);
    if (refused !== null) return { kind: "fault", fault: refused };
    // One byte: the entry that holds the offset, and no other.
    const answer = await this.#fetch(caller, offset, 1, false);
    if (answer.kind !== "fetched") return faulted(answer);
    for (const entry of answer.entries) {
      const records = recordsOf(entry, offset, this.#packing);
      if (!Array.isArray(records)) return { kind: "fault", fault: records };
      const record = records[0];
      if (record !== undefined) return { kind: "consumed", record };
    }
    const { endOffset } = answer;
    const startOffset = this.#host?.status().startOffset ?? (0 as Offset);
    const fault: Fault = { code: "offset-out-of-range", offset, startOffset, endOffset };
    return { kind: "fault", fault };
  }

  /**
   * All committed records from `offset` on; at the end it waits in the node, without polling. One
   * fetch is under way or being written at a time, so that a stalled caller costs one fetch of
   * memory. Ends with the fault that ended it, "cancelled" when the caller left.
   */
  async consumeStream(caller: Caller, offset: number, sink: ConsumeSink): Promise<Fault> {
    const refused = this.#access.refusal(caller, CONSUME);
    if (refused !== null) return refused;
    const reading = { from: offset, left: Number.MAX_SAFE_INTEGER };
    while (!caller.isGone) {
      const { fetchBytesMax } = this.#options;
      const answer = await this.#fetch(caller, reading.from, fetchBytesMax, true);
      if (answer.kind !== "fetched") return faulted(answer).fault;
      const fault = await this.#deliver(caller, answer.entries, reading, sink);
      if (fault !== null) return fault;
    }
    return { code: "cancelled" };
  }

  /**
   * The same, but up to `limit` records and no further than the end as it is then; null once they
   * were written.
   */
  async consumeSome(
    caller: Caller,
    offset: number,
    limit: number,
    sink: ConsumeSink,
  ): Promise<Fault | null> {
    const refused = this.#access.refusal(caller, CONSUME);
    if (refused !== null) return refused;
    const reading = { from: offset, left: limit };
    while (!caller.isGone) {
      if (reading.left === 0 || reading.from === this.#host?.status().endOffset) return null;
      const { fetchBytesMax } = this.#options;
      const answer = await this.#fetch(caller, reading.from, fetchBytesMax, false);
      if (answer.kind !== "fetched") return faulted(answer).fault;
      const fault = await this.#deliver(caller, answer.entries, reading, sink);
      if (fault !== null) return fault;
    }
    return { code: "cancelled" };
  }

  /** Writes the records at `reading.from` and after, `left` at most, and moves both on. */
  async #deliver(
    caller: Caller,
    entries: readonly Entry[],
    reading: { from: number; left: number },
    sink: ConsumeSink,
  ): Promise<Fault | null> {
    for (const entry of entries) {
      if (caller.isGone || reading.left === 0) break;
      const records = recordsOf(entry, reading.from, this.#packing);
      if (!Array.isArray(records)) return records;
      const wanted = records.length > reading.left ? records.slice(0, reading.left) : records;
      reading.from = entry.offset + entry.count;
      reading.left -= wanted.length;
      const stalled = sink.write(wanted);
      if (stalled !== null) await stalled;
    }
    return null;
  }

  /** For the node's own discovery, which is no caller; null once the change is committed. */
  changeMembership(change: MembershipChange): Promise<Fault | null> {
    return new Promise((resolve) => {
      const requestId = this.#inFlight.nextId();
      const request: ClientRequest = { kind: "change-membership", requestId, change };
      // The node itself gives up on a change that does not get further.
      this.#inFlight.ask(request, NEVER, (answer) => {
        resolve(answer.kind === "fault" ? answer.fault : null);
      });
    });
  }

  /** The members as this node knows them. */
  getServers(caller: Caller): Servers | Faulted {
    const refused = this.#access.refusal(caller, DESCRIBE);
    if (refused !== null) return { kind: "fault", fault: refused };
    return { kind: "servers", servers: this.#host?.status().members ?? [] };
  }

  #produceOne(caller: Caller | null, value: Uint8Array, respond: Respond): void {
    this.#append(caller, this.#admission.single(value, this.#clock.wall()), {}, respond);
  }

  #appendBatch(caller: Caller | null, request: AppendRequest, respond: Respond): void {
    const admitted = this.#admission.draft(request, this.#clock.wall());
    const { fencingToken } = request;
    const expectedEndOffset = request.expectedEndOffset as Offset | null;
    const fence = fencingToken === null ? {} : { fencingToken };
    this.#append(caller, admitted, { expectedEndOffset, ...fence }, respond);
  }

  #append(
    caller: Caller | null,
    draft: Draft | Fault,
    conditions: AppendConditions,
    respond: Respond,
  ): void {
    const requestId = this.#inFlight.nextId();
    if (!isDraft(draft)) {
      respond({ kind: "fault", requestId, fault: draft });
      return;
    }
    const anywhere = { expectedEndOffset: null };
    const request: ClientRequest = { kind: "append", requestId, draft, ...anywhere, ...conditions };
    this.#ask(caller, request, this.#deadline(), respond);
  }

  #appended(append: (respond: Respond) => void): Promise<Appended | Faulted> {
    return new Promise((resolve) => {
      append((answer) => resolve(answer.kind === "appended" ? answer : faulted(answer)));
    });
  }

  /** Sought of whoever leads until the caller's own deadline, or ours where it has none. */
  #tail(caller: Caller): Promise<Tail | Faulted> {
    const { patience } = caller;
    const within = Math.min(patience ?? this.#options.requestTimeout, READ_PATIENCE_MAX) as Micros;
    const deadline = after(this.#clock.now(), within);
    return new Promise((resolve) => {
      const requestId = this.#inFlight.nextId();
      this.#ask(caller, { kind: "check-tail", requestId, within }, deadline, (answer) => {
        resolve(answer.kind === "tail" ? answer : faulted(answer));
      });
    });
  }

  /** `deadline` null: none for a fetch that waits at the end, the usual one for another. */
  #fetch(
    caller: Caller,
    offset: number,
    bytesMax: number,
    wait: boolean,
    deadline: Instant | null = null,
    notBefore?: WallMs,
  ): Promise<Answer> {
    return new Promise((resolve) => {
      const requestId = this.#inFlight.nextId();
      const place = { from: offset as Offset, ...(notBefore === undefined ? {} : { notBefore }) };
      const until = deadline ?? (wait ? NEVER : this.#deadline());
      const request: ClientRequest = { kind: "fetch", requestId, ...place, bytesMax, wait };
      this.#ask(caller, request, until, (answer) => {
        // Once more before each answer: a stream outlives a change of the rules.
        const fault = answer.kind === "fetched" ? this.#access.refusal(caller, CONSUME) : null;
        resolve(fault === null ? answer : { kind: "fault", requestId, fault });
      });
    });
  }

  /** Asks the node, and takes the request back when the caller leaves first. */
  #ask(caller: Caller | null, request: ClientRequest, deadline: Instant, respond: Respond): void {
    if (caller === null) {
      this.#inFlight.ask(request, deadline, respond);
      return;
    }
    if (caller.isGone) {
      respond({ kind: "fault", requestId: request.requestId, fault: { code: "cancelled" } });
      return;
    }
    caller.whenGone(() => this.#inFlight.takeBack(request.requestId, { code: "cancelled" }));
    this.#inFlight.ask(request, deadline, (answer) => {
      caller.whenGone(null);
      this.#trace(caller, answer);
      respond(answer);
    });
  }

  /** What an append waited for: the leader's own disk, and a majority's. */
  #trace({ origin: { span } }: Caller, answer: Answer): void {
    if (span === null || answer.kind !== "appended") return;
    const { durableAt } = answer;
    if (durableAt !== null) {
      span.event("sync", Math.max(0, this.#clock.now() - durableAt) as Micros);
    }
    span.event("replicate", 0 as Micros);
  }

  #deadline(): Instant {
    return after(this.#clock.now(), this.#options.requestTimeout);
  }
}

function faulted(answer: Answer): Faulted {
  assert(answer.kind === "fault", "the node answers what it was asked", answer.kind);
  return answer;
}
