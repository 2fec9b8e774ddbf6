// Connections to the gRPC server over real sockets: whose certificates are accepted, what becomes
// of the rest, and certificates that change while the server runs.

import { connect as connectTcp } from "node:net";
import { connect as connectTls, type SecureContextOptions } from "node:tls";
import { ChannelCredentials, Client, Metadata, type ServiceError } from "@grpc/grpc-js";
import { describe, expect, test } from "vitest";
import { TestAuthority } from "../adapters/certificates.ts";
import { SecuredServers } from "./secured-servers.ts";
import { CHANNEL_OPTIONS, failureOf, until } from "./stock-client.ts";
import { TestCertificates } from "./test-certificates.ts";

const produce = "/log.v1.Log/Produce";
const consume = "/log.v1.Log/Consume";

const servers = new SecuredServers();
const startServer: SecuredServers["start"] = (...args) => servers.start(...args);
const clientOf: SecuredServers["clientOf"] = (...args) => servers.clientOf(...args);

describe("a connection", () => {
  test("with a certificate of another authority is dropped", async () => {
    const others = await TestCertificates.create();
    const impostor = await others.client("root");
    others.remove();
    const server = await startServer();
    const client = clientOf(server, { ...impostor, ca: servers.rootPems.ca });
    const error = await failureOf(client.call(produce, { record: { value: "" } }));
    expect(error.code).toBe(14);
    await until(() => server.refused.length > 0);
    expect(server.refused[0]).toMatch(/^TLS handshake failed: [A-Z_]+$/);
    expect(servers.cluster.entries).toEqual([]);
  });

  test("without a certificate is dropped", async () => {
    const server = await startServer();
    const client = clientOf(server, null);
    const error = await failureOf(client.call(produce, { record: { value: "" } }));
    expect(error.code).toBe(14);
    const anonymous = ChannelCredentials.createSsl(servers.rootPems.ca);
    const second = new Client(server.address, anonymous, CHANNEL_OPTIONS);
    const failed = await new Promise<ServiceError | null>((resolve) => {
      const asIs = (bytes: Buffer) => bytes;
      second.makeUnaryRequest(consume, asIs, asIs, Buffer.alloc(0), new Metadata(), resolve);
    });
    second.close();
    expect(failed?.code).toBe(14);
  });

  test("older than TLS 1.2 is dropped", async () => {
    const server = await startServer();
    const [host, port] = server.address.split(":");
    const attempt = (versions: Pick<SecureContextOptions, "minVersion" | "maxVersion">) =>
      new Promise<string>((resolve) => {
        const { ca, cert, key } = servers.rootPems;
        const names = { servername: "", checkServerIdentity: () => undefined };
        // Level 0: else this end's OpenSSL refuses the old versions by itself.
        const ciphers = "DEFAULT@SECLEVEL=0";
        const options = { ca, cert, key, ...names, ...versions, ciphers };
        const socket = connectTls({ host, port: Number(port), ...options });
        socket.on("secureConnect", () => resolve(socket.getProtocol() ?? "none"));
        socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
        socket.on("close", () => socket.destroy());
      });
    expect(await attempt({ minVersion: "TLSv1", maxVersion: "TLSv1.1" })).toMatch(
      /ALERT|ECONNRESET/,
    );
    expect(await attempt({ minVersion: "TLSv1.2", maxVersion: "TLSv1.2" })).toBe("TLSv1.2");
    expect(await attempt({ minVersion: "TLSv1.3" })).toBe("TLSv1.3");
  });

  test("shows its certificate each time: no session is resumed", async () => {
    const server = await startServer();
    const [host, port] = server.address.split(":");
    const { ca, cert, key } = servers.rootPems;
    const names = { servername: "", checkServerIdentity: () => undefined };
    const resumed = (version: "TLSv1.2" | "TLSv1.3", session?: Buffer) =>
      new Promise<[boolean, Buffer | undefined]>((resolve, reject) => {
        const versions = { minVersion: version, maxVersion: version };
        const again = session === undefined ? {} : { session };
        const options = { host, port: Number(port), ca, cert, key, ...names, ...versions };
        const socket = connectTls({ ...options, ...again, ALPNProtocols: ["h2"] });
        let given = session;
        socket.on("session", (fresh: Buffer) => {
          given = fresh;
        });
        socket.on("error", reject);
        // The server's first frame comes after whatever tickets it gives.
        socket.once("data", () => {
          const reused = socket.isSessionReused();
          socket.destroy();
          resolve([reused, given ?? socket.getSession()]);
        });
      });
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const [, session] = await resumed(version);
      const [reused] = await resumed(version, session);
      expect([version, reused]).toEqual([version, false]);
    }
  });

  test("with a certificate of two common names is UNAUTHENTICATED", async () => {
    const authority = await TestAuthority.make();
    const server = await startServer({
      grpc: { tls: { ...servers.serverPems, ca: Buffer.from(authority.pem) } },
    });
    const { cert, key } = await authority.issue({ commonName: "root, CN=nobody" });
    const two = { cert: Buffer.from(cert), key: Buffer.from(key), ca: servers.rootPems.ca };
    const client = clientOf(server, two);
    const error = await failureOf(client.call(produce, { record: { value: "" } }));
    expect([error.code, error.details]).toEqual([
      16,
      "the certificate names no subject: it needs one common name, or one URI as its only name",
    ]);
  });

  test("after new certificates meets those, one that was open goes on", async () => {
    const server = await startServer();
    const before = clientOf(server);
    await before.call(produce, { record: { value: "" } });
    const next = await TestCertificates.create();
    const nextServer = await next.server();
    const nextRoot = await next.client("root");
    next.remove();
    server.grpc.replaceCertificates(nextServer);
    expect(await clientOf(server, nextRoot).call(produce, { record: { value: "" } })).toEqual({
      offset: 1,
    });
    expect(await before.call(produce, { record: { value: "" } })).toEqual({ offset: 2 });
    const late = await failureOf(clientOf(server).call(produce, { record: { value: "" } }));
    expect(late.code).toBe(14);
    const wrongKey = { ...servers.serverPems, key: nextServer.key };
    expect(() => server.grpc.replaceCertificates(wrongKey)).toThrow(/key/);
    expect(await clientOf(server, nextRoot).call(produce, { record: { value: "" } })).toEqual({
      offset: 3,
    });
    expect((await failureOf(clientOf(server).call(produce, { record: { value: "" } }))).code).toBe(
      14,
    );
  });

  test("while authorities change hands is verified by either", async () => {
    const server = await startServer();
    const next = await TestCertificates.create();
    const nextRoot = await next.client("root");
    next.remove();
    const ca = Buffer.concat([servers.serverPems.ca, nextRoot.ca]);
    server.grpc.replaceCertificates({ ...servers.serverPems, ca });
    for (const pems of [servers.rootPems, { ...nextRoot, ca: servers.rootPems.ca }]) {
      await clientOf(server, pems).call(produce, { record: { value: "" } });
    }
    expect(servers.cluster.entries).toHaveLength(2);
  });

  test("in plaintext is UNAUTHENTICATED where nobody is assumed", async () => {
    const server = await startServer({ grpc: { tls: null } });
    const error = await failureOf(clientOf(server, null).call(produce, { record: { value: "" } }));
    expect([error.code, error.details]).toEqual([16, "no transport security being used"]);
  });

  test("beyond the bound is dropped, those before it go on", async () => {
    const server = await startServer({ grpc: { connectionsMax: 1 } });
    const client = clientOf(server);
    await client.call(produce, { record: { value: "" } });
    const error = await failureOf(clientOf(server).call(produce, { record: { value: "" } }));
    expect(error.code).toBe(14);
    expect(server.refused).toContain("more than 1 connections of clients");
    expect(await client.call(produce, { record: { value: "" } })).toEqual({ offset: 1 });
  });

  test("that sends rubbish is dropped and the server serves on", async () => {
    const server = await startServer();
    const port = Number(server.address.split(":")[1]);
    for (const rubbish of ["GET / HTTP/1.1\r\n\r\n", "\x16\x03\x01\x00\x05hello", "\0\0\0\0"]) {
      await new Promise<void>((resolve) => {
        const socket = connectTcp(port, "127.0.0.1", () => socket.end(rubbish));
        socket.on("error", () => {});
        socket.on("close", () => resolve());
        socket.resume();
      });
    }
    expect(await clientOf(server).call(produce, { record: { value: "" } })).toEqual({ offset: 0 });
  });
});
