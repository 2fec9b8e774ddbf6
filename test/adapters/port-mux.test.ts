// The first byte of a connection, and those who are slow to say it.

import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { connect as connectTls, createServer as createTlsServer } from "node:tls";
import { afterEach, describe, expect, test } from "vitest";

import { PEER_BYTE } from "../../src/adapters/peer-links.ts";
import type { PortMuxOptions } from "../../src/adapters/port-mux.ts";
import { Ear } from "../contract/network.contract.ts";
import { memberSubject, TestAuthority } from "./certificates.ts";
import { listenAsPeer, type PeerEnd, until } from "./peer-end.ts";

const ends: PeerEnd[] = [];
const sockets: Socket[] = [];

afterEach(() => {
  for (const end of ends.splice(0)) end.close();
  for (const socket of sockets.splice(0)) socket.destroy();
});

async function start(options: Partial<PortMuxOptions> = {}): Promise<PeerEnd & { ear: Ear }> {
  const end = await listenAsPeer("a", {}, options);
  const ear = new Ear();
  end.network.attach(ear);
  ends.push(end);
  return { ...end, ear };
}

async function open(port: number): Promise<Socket> {
  const socket = connect(port, "127.0.0.1");
  sockets.push(socket);
  socket.on("error", () => undefined);
  await once(socket, "connect");
  return socket;
}

describe("the port", () => {
  test("hands a peer to the links, with what came along with its first byte", async () => {
    const end = await start();
    const socket = await open(end.port);
    socket.write(Uint8Array.of(PEER_BYTE, 0, 0, 0, 2, 8, 9));
    await until(() => end.ear.frames.length === 1);
    expect(end.ear.frames[0]?.frame).toEqual(Uint8Array.of(8, 9));
    expect(end.clients).toEqual([]);
  });

  test("hands everyone else on with all their bytes", async () => {
    const end = await start();
    for (const text of ["PRI * HTTP/2.0", "\x16\x03\x01", "\x00", "\x02"]) {
      const socket = await open(end.port);
      socket.write(text, "latin1");
      socket.end();
      await until(() => end.clients.length > 0);
      const client = end.clients.shift();
      let heard = "";
      client?.setEncoding("latin1").on("data", (part: string) => {
        heard += part;
      });
      await until(() => client?.readableEnded === true);
      expect(heard).toBe(text);
    }
    expect(end.ear.opened).toEqual([]);
  });

  test("carries a client's TLS, as a gRPC server that never listens takes it", async () => {
    const authority = await TestAuthority.make();
    const credentials = await authority.issue(memberSubject("a"));
    const server = createTlsServer(credentials, (socket) => {
      socket.on("error", () => undefined);
      socket.end("hello");
    });
    const end = await start({ onClient: (socket) => void server.emit("connection", socket) });
    const client = connectTls({ port: end.port, host: "localhost", ca: authority.pem });
    sockets.push(client);
    let heard = "";
    client.setEncoding("utf8").on("data", (part: string) => {
      heard += part;
    });
    await once(client, "end");
    expect(heard).toBe("hello");
  });

  test("closes whoever connects and says nothing", async () => {
    const end = await start({ firstByteMsMax: 30 });
    const socket = await open(end.port);
    socket.resume();
    await once(socket, "close");
    expect(end.ear.opened).toEqual([]);
    expect(end.clients).toEqual([]);
  });

  test("forgets whoever connects and leaves", async () => {
    const end = await start({ silentMax: 1 });
    for (let round = 0; round < 5; round++) {
      const socket = await open(end.port);
      socket.resume();
      socket.end();
      await once(socket, "close");
    }
    const reset = await open(end.port);
    reset.resetAndDestroy();
    const socket = await open(end.port);
    socket.write("x");
    await until(() => end.clients.length === 1);
  });

  test("drops the oldest silent connection for a new one", async () => {
    const end = await start({ silentMax: 2 });
    const [first, second, third] = [
      await open(end.port),
      await open(end.port),
      await open(end.port),
    ];
    first.resume();
    await once(first, "close");
    second.write("2");
    third.write("3");
    await until(() => end.clients.length === 2);
    expect(end.notices[0]).toMatchObject({ what: "connection-refused", level: "warn" });
  });

  test("takes no more connections than it may", async () => {
    const end = await start({ connectionsMax: 2 });
    for (let count = 0; count < 2; count++) (await open(end.port)).write("x");
    await until(() => end.clients.length === 2);
    const third = await open(end.port);
    third.resume();
    await once(third, "close");
    expect(end.notices[0]?.facts["why"]).toBe("more than 2 connections");
  });

  test("that is taken is named to the operator", async () => {
    const end = await start();
    const second = listenAsPeer("b", {}, { port: end.port });
    await expect(second).rejects.toThrow(`cannot listen on 127.0.0.1:${end.port}: `);
  });

  test("is free once it stopped listening, and what was handed on goes on", async () => {
    const end = await start();
    const kept = await open(end.port);
    kept.write("x");
    await until(() => end.clients.length === 1);
    const silent = await open(end.port);
    silent.resume();
    await until(() => end.mux.silentCount === 1);
    end.mux.stopListening();
    await once(silent, "close");
    ends.push(await listenAsPeer("b", {}, { port: end.port }));
    end.clients[0]?.end("still here");
    const [answer] = (await once(kept, "data")) as [Buffer];
    expect(answer.toString()).toBe("still here");
  });
});
