// A client that knows only the .proto files and grpc-js, for tests of what goes over the wire.

import {
  ChannelCredentials,
  Client,
  type ClientDuplexStream,
  type ClientReadableStream,
  type ServiceError,
} from "@grpc/grpc-js";
import type protobuf from "protobufjs";

import { peerNameOf } from "../../src/cli/certificate-files.ts";
import { methodTypes } from "../proto/reference-proto.ts";
import type { Pems } from "./test-certificates.ts";

export type Fields = Record<string, unknown>;

export const CHANNEL_OPTIONS = {
  "grpc.use_local_subchannel_pool": 1,
  // An IP address is no server name (RFC 6066); this one is in the certificate as well.
  "grpc.ssl_target_name_override": peerNameOf("server"),
};

export class StockClient {
  readonly client: Client;

  constructor(address: string, pems: Pems | null) {
    const credentials =
      pems === null
        ? ChannelCredentials.createInsecure()
        : ChannelCredentials.createSsl(pems.ca, pems.key, pems.cert);
    this.client = new Client(address, credentials, CHANNEL_OPTIONS);
  }

  call(path: string, fields: Fields, deadline = Date.now() + 20_000): Promise<Fields> {
    const [request, response] = methodTypes(path);
    return new Promise((resolve, reject) => {
      this.client.makeUnaryRequest(
        path,
        (message: Fields) => Buffer.from(request.encode(request.fromObject(message)).finish()),
        (bytes: Buffer) => plainOf(response, bytes),
        fields,
        { deadline },
        (error, message) => (error === null ? resolve(message ?? {}) : reject(error)),
      );
    });
  }

  /** Sends bytes as they are. */
  raw(path: string, bytes: Buffer): Promise<Buffer> {
    const asIs = (some: Buffer) => some;
    return new Promise((resolve, reject) => {
      this.client.makeUnaryRequest(path, asIs, asIs, bytes, (error, got) =>
        error === null ? resolve(got ?? Buffer.alloc(0)) : reject(error),
      );
    });
  }

  consumeStream(offset: number): ClientReadableStream<Fields> {
    return this.serverStream("/log.v1.Log/ConsumeStream", { offset });
  }

  serverStream(path: string, fields: Fields): ClientReadableStream<Fields> {
    const [request, response] = methodTypes(path);
    return this.client.makeServerStreamRequest(
      path,
      (message: Fields) => Buffer.from(request.encode(request.fromObject(message)).finish()),
      (bytes: Buffer) => plainOf(response, bytes),
      fields,
    );
  }

  produceStream(): ClientDuplexStream<Fields, Fields> {
    return this.bidi("/log.v1.Log/ProduceStream");
  }

  bidi(path: string): ClientDuplexStream<Fields, Fields> {
    const [request, response] = methodTypes(path);
    return this.client.makeBidiStreamRequest(
      path,
      (message: Fields) => Buffer.from(request.encode(request.fromObject(message)).finish()),
      (bytes: Buffer) => plainOf(response, bytes),
    );
  }
}

function plainOf(type: protobuf.Type, bytes: Buffer): Fields {
  return type.toObject(type.decode(bytes), { longs: Number, defaults: true, bytes: String });
}

export const base64 = (text: string) => Buffer.from(text).toString("base64");

export async function failureOf(promise: Promise<unknown>): Promise<ServiceError> {
  try {
    await promise;
  } catch (error) {
    return error as ServiceError;
  }
  throw new Error("the call did not fail");
}

export function failureOfStream(call: {
  on(event: "error", listen: (e: ServiceError) => void): unknown;
}) {
  return new Promise<ServiceError>((resolve) => call.on("error", resolve));
}

/** Lets the event loop turn until `condition` holds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}
