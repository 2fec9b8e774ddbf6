// The load of the service benches: a closed loop of callers over one gRPC channel with raw bytes,
// and what it saw. The same generator drives every system that is compared, so that a ratio is the
// servers' and not the clients'. Owns no server and no meaning of a message.

import { Client, type ClientDuplexStream, credentials, Metadata } from "@grpc/grpc-js";

import { quantile } from "./elections.ts";

/** What a closed loop saw. Times are of calls, in ms. */
export interface Load {
  readonly perSecond: number;
  readonly p50: number;
  readonly p99: number;
  readonly calls: number;
  readonly errors: number;
  readonly firstError: string | null;
}

export interface Loop {
  readonly inFlight: number;
  readonly warmUpMs: number;
  readonly measuredMs: number;
}

/** PEM files' contents. */
export interface Pems {
  readonly ca: Buffer;
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** A bench that cannot be trusted any more ends with these words. */
const ERRORS_MAX = 1000;

const asIs = (bytes: Buffer): Buffer => bytes;

export function openChannel(address: string, { ca, cert, key }: Pems): Client {
  return new Client(address, credentials.createSsl(ca, key, cert), {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.max_receive_message_length": -1,
    "grpc.initial_reconnect_backoff_ms": 50,
    "grpc.max_reconnect_backoff_ms": 200,
    "grpc.enable_retries": 0,
    "grpc.enable_channelz": 0,
    // An address is no name (RFC 6066); every certificate of the bed has this one.
    "grpc.ssl_target_name_override": "localhost",
  });
}

/** One unary call; rejects with the ServiceError. */
export function call(
  client: Client,
  path: string,
  request: Buffer,
  timeoutMs = 10_000,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const deadline = Date.now() + timeoutMs;
    client.makeUnaryRequest(
      path,
      asIs,
      asIs,
      request,
      new Metadata(),
      { deadline },
      (error, got) => (error === null ? resolve(got ?? Buffer.alloc(0)) : reject(error)),
    );
  });
}

/** A unary call without a deadline, as the loops make it. */
export function ask(
  client: Client,
  path: string,
  request: Buffer,
  done: (error: Error | null, answer: Buffer) => void,
): void {
  client.makeUnaryRequest(path, asIs, asIs, request, new Metadata(), {}, (error, got) =>
    done(error, got ?? Buffer.alloc(0)),
  );
}

export function openDuplex(client: Client, path: string): ClientDuplexStream<Buffer, Buffer> {
  return client.makeBidiStreamRequest(path, asIs, asIs);
}

/** What was seen between the end of the warm-up and the end. */
export class Seen {
  readonly #from: number;
  readonly #until: number;
  readonly #ms: number[] = [];
  #units = 0;
  #last: number;
  errors = 0;
  firstError: string | null = null;

  constructor({ warmUpMs, measuredMs }: Loop) {
    this.#from = performance.now() + warmUpMs;
    this.#until = this.#from + measuredMs;
    this.#last = this.#from;
  }

  get isOver(): boolean {
    return performance.now() >= this.#until || this.errors > ERRORS_MAX;
  }

  /** A call that began at `begun` has ended now; `units` of what the case counts. */
  ended(begun: number, units = 1): void {
    const now = performance.now();
    if (now < this.#from || now > this.#until) return;
    this.#last = now;
    this.#ms.push(now - begun);
    this.#units += units;
  }

  failed(error: unknown): void {
    this.errors++;
    this.firstError ??= error instanceof Error ? error.message : String(error);
  }

  result(): Load {
    const sorted = Float64Array.from(this.#ms).sort();
    const seconds = Math.max(1, this.#last - this.#from) / 1000;
    const at = (share: number) => (sorted.length === 0 ? 0 : quantile(Array.from(sorted), share));
    return {
      perSecond: this.#units / seconds,
      p50: at(0.5),
      p99: at(0.99),
      calls: sorted.length,
      errors: this.errors,
      firstError: this.firstError,
    };
  }
}

/**
 * `operation` is called again by each of the callers as soon as its last call ended; `unitsOf`
 * counts what was done by one.
 */
export function closedLoop(
  loop: Loop,
  operation: (done: (error: Error | null, answer: Buffer) => void) => void,
  unitsOf: (answer: Buffer) => number = () => 1,
): Promise<Load> {
  return new Promise((resolve) => {
    const seen = new Seen(loop);
    let callers = loop.inFlight;
    const next = (): void => {
      if (seen.isOver) {
        if (--callers === 0) resolve(seen.result());
        return;
      }
      const begun = performance.now();
      operation((error, answer) => {
        if (error === null) seen.ended(begun, unitsOf(answer));
        else seen.failed(error);
        next();
      });
    };
    for (let caller = 0; caller < loop.inFlight; caller++) next();
  });
}

/** Streams that each have `inFlight` requests under way; one answer a request, in order. */
export async function streamLoop(
  client: Client,
  path: string,
  request: Buffer,
  streams: number,
  loop: Loop,
): Promise<Load> {
  const seen = new Seen(loop);
  const one = () =>
    new Promise<void>((resolve) => {
      const stream = openDuplex(client, path);
      const begun: number[] = [];
      const send = (): void => {
        begun.push(performance.now());
        stream.write(request);
      };
      stream.on("data", () => {
        seen.ended(begun.shift() ?? 0);
        if (!seen.isOver) send();
        else if (begun.length === 0) stream.end();
      });
      stream.on("error", (error) => {
        seen.failed(error);
        resolve();
      });
      stream.on("end", () => resolve());
      for (let count = 0; count < loop.inFlight; count++) send();
    });
  await Promise.all(Array.from({ length: streams }, one));
  return seen.result();
}

/** Messages of a server's stream until the time is over; `unitsOf` counts what is in one. */
export async function readLoop(
  client: Client,
  path: string,
  request: Buffer,
  loop: Loop,
  unitsOf: (message: Buffer) => number,
): Promise<Load> {
  const seen = new Seen(loop);
  const stream = client.makeServerStreamRequest(path, asIs, asIs, request, new Metadata());
  stream.on("error", () => undefined); // The cancellation below.
  const tooLong = setTimeout(() => stream.cancel(), loop.warmUpMs + loop.measuredMs + 1000);
  try {
    let before = performance.now();
    for await (const message of stream) {
      seen.ended(before, unitsOf(message as Buffer));
      before = performance.now();
      if (seen.isOver) break;
    }
  } catch {
    // Cancelled: what was seen until then counts.
  }
  clearTimeout(tooLong);
  stream.cancel();
  return seen.result();
}

/**
 * From `strike` to the first attempt that succeeds at any of the survivors, in ms. Each is asked
 * again 5 ms after its last refusal; an attempt may take 100 ms.
 */
export async function outageOf(
  survivors: readonly Client[],
  attempt: (client: Client, timeoutMs: number) => Promise<unknown>,
  strike: () => void,
): Promise<number> {
  const begin = performance.now();
  strike();
  let end: number | null = null;
  const isOver = () => end !== null || performance.now() - begin > OUTAGE_MS_MAX;
  const ask = async (client: Client) => {
    while (!isOver()) {
      const succeeded = await attempt(client, ATTEMPT_MS).then(
        () => true,
        () => false,
      );
      if (succeeded) end ??= performance.now();
      else await new Promise((resolve) => setTimeout(resolve, ATTEMPT_EVERY_MS));
    }
  };
  await Promise.all(survivors.map(ask));
  if (end === null) throw new Error(`nobody took an append for ${OUTAGE_MS_MAX} ms`);
  return end - begin;
}

const ATTEMPT_MS = 100;
const ATTEMPT_EVERY_MS = 5;
const OUTAGE_MS_MAX = 60_000;
