// Every gRPC call is watched from its first byte to its status, by whoever wants to count, time,
// trace or tell it. Also the gate of services that are not ours to write (health, reflection): they
// answer only whom the access table lets in. Owns no method and no figure.

import {
  type Metadata,
  ServerInterceptingCall,
  type ServerInterceptingCallInterface,
  type ServerInterceptor,
  status as Status,
} from "@grpc/grpc-js";

type Listener = Parameters<ServerInterceptingCallInterface["start"]>[0];
type SentStatus = Parameters<ServerInterceptingCallInterface["sendStatus"]>[0];

/** What is known of a call when its headers have come. */
export interface BegunCall {
  /** As on the wire, of a method that is served: `/log.v1.Log/Produce`. */
  readonly path: string;
  readonly metadata: Metadata;
  readonly call: ServerInterceptingCallInterface;
}

/** One call, to one watcher. */
export interface CallWatch {
  received?(): void;
  sent?(): void;
  /** Runs a piece of the call's work, in whatever surroundings the watcher wants for it. */
  within?(run: () => void): void;
  /** Once. `code` is a gRPC status; CANCELLED when the caller went away first. */
  ended(code: number): void;
}

export interface CallWatcher {
  /** Null: this one is of no interest. */
  began(call: BegunCall): CallWatch | null;
}

/** What keeps a call out: its status, or null. */
export type CallGuard = (call: BegunCall) => SentStatus | null;

/** Watches all calls, in the order of the watchers; whom the `guard` refuses is not served. */
export function watchCalls(
  watchers: readonly CallWatcher[],
  guard: CallGuard = () => null,
): ServerInterceptor {
  return ({ path, responseStream }, call) =>
    new WatchedCall(call, path, !responseStream, watchers, guard);
}

class WatchedCall extends ServerInterceptingCall {
  readonly #call: ServerInterceptingCallInterface;
  readonly #path: string;
  readonly #isUnary: boolean;
  readonly #watchers: readonly CallWatcher[];
  readonly #guard: CallGuard;
  #watches: readonly CallWatch[] = [];
  #hasEnded = false;

  constructor(
    call: ServerInterceptingCallInterface,
    path: string,
    isUnary: boolean,
    watchers: readonly CallWatcher[],
    guard: CallGuard,
  ) {
    super(call);
    this.#call = call;
    this.#path = path;
    this.#isUnary = isUnary;
    this.#watchers = watchers;
    this.#guard = guard;
  }

  override start(listener: Listener): void {
    this.#call.start({
      onReceiveMetadata: (metadata) => this.#began(metadata, listener),
      onReceiveMessage: (message) => {
        for (const watch of this.#watches) watch.received?.();
        this.#within(() => listener.onReceiveMessage(message));
      },
      onReceiveHalfClose: () => this.#within(() => listener.onReceiveHalfClose()),
      onCancel: () => {
        this.#ended(Status.CANCELLED);
        listener.onCancel();
      },
    });
  }

  override sendMetadata(metadata: Metadata): void {
    this.#call.sendMetadata(metadata);
  }

  override sendMessage(message: unknown, callback: () => void): void {
    for (const watch of this.#watches) watch.sent?.();
    if (!this.#isUnary) {
      this.#call.sendMessage(message, callback);
      return;
    }
    // PERF: grpc-js gives the status only once the message has left, a turn of the event loop and a
    // packet later. Given at once, both leave together.
    this.#call.sendMessage(message, () => undefined);
    callback();
  }

  override sendStatus(status: SentStatus): void {
    this.#ended(status.code ?? Status.OK);
    this.#call.sendStatus(status);
  }

  #began(metadata: Metadata, listener: Listener): void {
    const begun = { path: this.#path, metadata, call: this.#call };
    const refusal = this.#guard(begun);
    const watches: CallWatch[] = [];
    for (const watcher of this.#watchers) {
      const watch = watcher.began(begun);
      if (watch !== null) watches.push(watch);
    }
    this.#watches = watches;
    if (refusal === null) this.#within(() => listener.onReceiveMetadata(metadata));
    else this.sendStatus(refusal);
  }

  #within(run: () => void): void {
    let inner = run;
    for (const watch of this.#watches) {
      if (watch.within === undefined) continue;
      const outer = inner;
      inner = () => watch.within?.(outer);
    }
    inner();
  }

  #ended(code: number): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    for (const watch of this.#watches) watch.ended(code);
  }
}
