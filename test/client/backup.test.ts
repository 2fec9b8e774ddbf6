// A backup as the client receives it, from a server that sends what the test says: whole, or an
// error that says what is missing. Nothing that was cut short ends in order.

import { Server, ServerCredentials, type ServerWritableStream } from "@grpc/grpc-js";
import { afterEach, beforeEach, expect, test } from "vitest";
import { crc32c } from "../../src/base/crc32c.ts";
import { type BackupEvent, type CairnClient, connect } from "../../src/client/client.ts";
import { type BackupResponse, encodeBackupResponse } from "../../src/proto/cairn-backup.ts";

type BackupCall = ServerWritableStream<Buffer, Buffer>;

const HEAD: BackupResponse = {
  kind: "head",
  head: {
    ...{ node: "n1", address: "h:1", clusterId: "c", instanceId: "i", term: 3, baseIndex: 0 },
    ...{ lastIndex: 9, lastTerm: 3, startOffset: 0, endOffset: 7, hasMachine: false, bytes: 10 },
  },
};
const END: BackupResponse = { kind: "end", files: 2 };

let server: Server;
let client: CairnClient;
let send: (call: BackupCall) => void;

function fileOf(name: string, ...parts: readonly string[]): BackupResponse[] {
  const bytes = Buffer.from(parts.join(""));
  return [
    ...parts.map((part) => ({ kind: "bytes" as const, bytes: Buffer.from(part) })),
    { kind: "file", file: { name, length: bytes.length, crc: crc32c(bytes) } },
  ];
}

const FILES = [...fileOf("one", "ab", "cd"), ...fileOf("two", "ef")];

beforeEach(async () => {
  const asIs = (bytes: Buffer) => bytes;
  const sides = {
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  };
  const path = "/cairn.v1.Admin/Backup";
  server = new Server();
  server.addService(
    { backup: { path, requestStream: false, responseStream: true, ...sides } },
    { backup: (call: BackupCall) => send(call) },
  );
  const port = await new Promise<number>((resolve, reject) => {
    const credentials = ServerCredentials.createInsecure();
    server.bindAsync("127.0.0.1:0", credentials, (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  client = connect({ addresses: [`127.0.0.1:${port}`], timeoutMs: 1 });
});
afterEach(() => {
  client.close();
  server.forceShutdown();
});

function sending(...messages: readonly BackupResponse[]): void {
  send = (call) => {
    for (const message of messages) call.write(encodeBackupResponse(message));
    call.end();
  };
}

async function received(): Promise<BackupEvent[]> {
  const events: BackupEvent[] = [];
  for await (const event of client.backup()) events.push(event);
  return events;
}

test("a whole backup is its head, and each file's bytes and name", async () => {
  sending(HEAD, ...FILES, END);
  const events = await received();
  expect(events.map(({ kind }) => kind)).toEqual([
    ...["head", "bytes", "bytes", "file", "bytes", "file"],
  ]);
  expect(events[0]).toEqual(HEAD);
});

const broken: Readonly<Record<string, [readonly BackupResponse[], string]>> = {
  "ends before its end": [[HEAD, ...FILES], "the stream ended before the backup did"],
  "ends within a file": [[HEAD, ...FILES.slice(0, -1), END], "2 files were sent, 1 have come"],
  "lacks a file": [[HEAD, ...FILES.slice(0, 3), END], "2 files were sent, 1 have come"],
  "lacks some bytes": [[HEAD, ...FILES.slice(1), END], "one is 4 bytes of checksum"],
  "has other bytes": [
    [HEAD, { kind: "bytes", bytes: Buffer.from("AB") }, ...FILES.slice(1), END],
    "one is 4 bytes of checksum",
  ],
};

test.each(Object.entries(broken))("a backup that %s is none", async (_, [messages, why]) => {
  sending(...messages);
  await expect(received()).rejects.toThrow(why);
});

test("whoever leaves in the middle cancels the call", async () => {
  const cancelled = new Promise<void>((resolve) => {
    send = (call) => {
      call.on("cancelled", resolve);
      for (const message of [HEAD, ...FILES]) call.write(encodeBackupResponse(message));
    };
  });
  for await (const event of client.backup()) if (event.kind === "file") break;
  await cancelled;
});

test("a signal ends it, before the first message and after", async () => {
  send = (call) => void call.write(encodeBackupResponse(HEAD));
  const early = new AbortController();
  early.abort();
  const none = client.backup({ signal: early.signal });
  await expect(none.next()).rejects.toMatchObject({ code: "cancelled" });
  const late = new AbortController();
  const events = client.backup({ signal: late.signal });
  expect((await events.next()).value).toEqual(HEAD);
  late.abort();
  await expect(events.next()).rejects.toMatchObject({ code: "cancelled" });
});
