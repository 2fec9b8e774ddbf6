// One server as the client sees it: a gRPC channel, calls with bytes in and out, and whether a call
// was sent at all. Owns no routing and no retries.

import { isIP } from "node:net";
import { checkServerIdentity } from "node:tls";
import {
  type CallOptions,
  ChannelCredentials,
  Client,
  type ClientReadableStream,
  connectivityState,
  type ServiceError,
  status as Status,
} from "@grpc/grpc-js";
import { Malformed } from "../proto/fields.ts";
import { CairnError, errorOfCall } from "./errors.ts";
import { beginSpan } from "./span.ts";

/** Contents of PEM files: who we are, and who may sign servers' certificates. */
export interface ClientCredentials {
  readonly cert: Buffer | string;
  readonly key: Buffer | string;
  readonly ca: Buffer | string;
}

/**
 * The same, or where to get them whenever a new connection is to be made: files that are renewed
 * while the client lives. What throws there, or cannot be used, leaves the client as it was.
 */
export type CredentialsSource = ClientCredentials | (() => ClientCredentials);

const CHANNEL_OPTIONS = {
  // A dead node must be noticed while a reader waits at the end of the log.
  "grpc.keepalive_time_ms": 10_000,
  "grpc.keepalive_timeout_ms": 5_000,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 1_000,
  "grpc.max_receive_message_length": 64 * 1024 * 1024,
  "grpc.enable_http_proxy": 0,
  "grpc.enable_channelz": 0,
  // Retries are ours: they know what is idempotent.
  "grpc.enable_retries": 0,
  "grpc.use_local_subchannel_pool": 1,
} as const;

const NAME_FOR_ADDRESSES = "node.cairn";

/** Without the port, and without the brackets of an IPv6 address. */
function hostOf(address: string): string {
  return address.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}

const asIs = (bytes: Buffer) => bytes;

export class Channel {
  readonly address: string;
  readonly #source: CredentialsSource | null;
  #credentials: ClientCredentials | null;
  #client: Client;
  /** Under way: closing the channel alone would let them go on. */
  readonly #calls = new Set<{ cancel(): void }>();
  #isClosed = false;

  constructor(address: string, source: CredentialsSource | null) {
    this.address = address;
    this.#source = source;
    this.#credentials = typeof source === "function" ? source() : source;
    this.#client = clientOf(address, this.#credentials);
  }

  /** One call. Rejects with a CairnError, whose fact `sent` is "no" when it never left. */
  async call<Response>(
    path: string,
    request: Buffer,
    decode: (bytes: Buffer) => Response | Malformed,
    timeoutMs: number,
  ): Promise<Response> {
    const deadline = Date.now() + timeoutMs;
    await this.#connected(deadline);
    const { metadata, ended } = beginSpan(path, this.address);
    const bytes = await new Promise<Buffer>((resolve, reject) => {
      const options: CallOptions = { deadline };
      const call = this.#client.makeUnaryRequest(
        path,
        asIs,
        asIs,
        request,
        metadata,
        options,
        (error, got) => {
          this.#calls.delete(call);
          ended(error?.code ?? Status.OK);
          if (error !== null) reject(this.errorOf(error));
          else resolve(got ?? Buffer.alloc(0));
        },
      );
      this.#calls.add(call);
    });
    const response = decode(bytes);
    if (response instanceof Malformed) {
      throw new CairnError("unreachable", `${this.address}: ${path}: ${response.what}`);
    }
    return response;
  }

  /** Opens a stream of responses; its errors are for `errorOfCall`. */
  async stream(
    path: string,
    request: Buffer,
    connectMs: number,
  ): Promise<ClientReadableStream<Buffer>> {
    await this.#connected(Date.now() + connectMs);
    const { metadata, ended } = beginSpan(path, this.address);
    const call = this.#client.makeServerStreamRequest(path, asIs, asIs, request, metadata);
    this.#calls.add(call);
    call.on("status", ({ code }) => ended(code));
    call.on("close", () => this.#calls.delete(call));
    return call;
  }

  errorOf(error: ServiceError): CairnError {
    return this.#isClosed ? closed() : errorOfCall(error, this.address);
  }

  /** Cancels what is under way, too. */
  close(): void {
    this.#isClosed = true;
    for (const call of this.#calls) call.cancel();
    this.#client.close();
  }

  get #isReady(): boolean {
    return this.#client.getChannel().getConnectivityState(false) === connectivityState.READY;
  }

  /** Without a connection, the next one is made with what the source has now. */
  #renew(): void {
    if (typeof this.#source !== "function") return;
    try {
      const fresh = this.#source();
      if (this.#credentials !== null && isSame(fresh, this.#credentials)) return;
      const client = clientOf(this.address, fresh);
      this.#client.close();
      this.#client = client;
      this.#credentials = fresh;
    } catch {
      // Half of a renewal, say: with what was in use until now the attempt fails or does not.
    }
  }

  /** Waits for a connection, so that a failure to connect is known to be no more than that. */
  async #connected(deadline: number): Promise<void> {
    if (this.#isClosed) throw closed();
    if (!this.#isReady) this.#renew();
    const channel = this.#client.getChannel();
    for (;;) {
      const state = channel.getConnectivityState(true);
      if (state === connectivityState.READY) return;
      if (state === connectivityState.TRANSIENT_FAILURE) throw this.#unsent("no connection");
      // Not closed itself, the channel was replaced by one with newer credentials.
      if (state === connectivityState.SHUTDOWN) {
        throw this.#isClosed ? closed() : this.#unsent("new credentials");
      }
      await new Promise<void>((resolve, reject) => {
        channel.watchConnectivityState(state, deadline, (error) => {
          if (error) reject(this.#unsent("no connection in time"));
          else resolve();
        });
      });
    }
  }

  #unsent(what: string): CairnError {
    return new CairnError("unreachable", `${this.address}: ${what}`, { facts: { sent: "no" } });
  }
}

function clientOf(address: string, credentials: ClientCredentials | null): Client {
  const host = hostOf(address);
  const channelCredentials =
    credentials === null
      ? ChannelCredentials.createInsecure()
      : ChannelCredentials.createSsl(
          Buffer.from(credentials.ca),
          Buffer.from(credentials.key),
          Buffer.from(credentials.cert),
          { checkServerIdentity: (_name, certificate) => checkServerIdentity(host, certificate) },
        );
  // RFC 6066: an IP address is no server name, and Node warns about one. The name sent is then any;
  // what the certificate is checked for is the address all the same.
  const name = isIP(host) === 0 ? {} : { "grpc.ssl_target_name_override": NAME_FOR_ADDRESSES };
  return new Client(address, channelCredentials, { ...CHANNEL_OPTIONS, ...name });
}

function isSame(a: ClientCredentials, b: ClientCredentials): boolean {
  return (["cert", "key", "ca"] as const).every((part) =>
    Buffer.from(a[part]).equals(Buffer.from(b[part])),
  );
}

function closed(): CairnError {
  return new CairnError("closed", "the client was closed");
}
