// Who gets in where: every gRPC method that is served, every REST path and the peer port, each met
// by eight kinds of visitor over real sockets with the real TLS and the real Casbin. The table is
// the whole truth: a method or path that is not in it fails.

import { request as httpsRequest } from "node:https";
import { connect as connectTcp } from "node:net";
import { connect as connectTls } from "node:tls";
import { ChannelCredentials, Client } from "@grpc/grpc-js";
import { afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";

import { DEFAULT_MODEL, openCasbinAuthorizer } from "../../src/adapters/casbin-authorizer.ts";
import { PEER_BYTE, PeerLinks } from "../../src/adapters/peer-links.ts";
import { PortMux } from "../../src/adapters/port-mux.ts";
import { REST_ROUTES } from "../../src/adapters/rest-requests.ts";
import { RestServer } from "../../src/adapters/rest-server.ts";
import type { Instant, NodeId } from "../../src/base/ids.ts";
import type { Notice } from "../../src/base/notice.ts";
import { isBound } from "../../src/node/identity.ts";
import { ACCESS } from "../../src/service/access.ts";
import { HeardTalk } from "../../src/service/heard-talk.ts";
import { RunningQuery } from "../../src/service/membership-talk.ts";
import { TestAuthority } from "../adapters/certificates.ts";
import { Ear } from "../contract/network.contract.ts";
import { methodTypes } from "../proto/reference-proto.ts";
import { TestServer } from "./grpc-harness.ts";
import { MemoryCluster } from "./memory-node.ts";
import { base64, CHANNEL_OPTIONS, until } from "./stock-client.ts";
import type { Pems } from "./test-certificates.ts";

const VISITORS = [
  "no certificate",
  "other CA",
  "expired",
  "unknown subject",
  "reader",
  "writer",
  "admin",
  "peer",
] as const;
type Visitor = (typeof VISITORS)[number];

/** What becomes of a call: no connection at all, PERMISSION_DENIED, or what was asked for. */
type Outcome = "no connection" | "denied" | "served";
type Row = Readonly<Record<Visitor, Outcome>>;

const STRANGERS = {
  "no certificate": "no connection",
  "other CA": "no connection",
  expired: "no connection",
  "unknown subject": "denied",
} as const;
const TO_PRODUCE: Row = {
  ...STRANGERS,
  reader: "denied",
  writer: "served",
  admin: "denied",
  peer: "denied",
};
const TO_CONSUME: Row = { ...TO_PRODUCE, reader: "served", writer: "denied" };
const TO_DESCRIBE: Row = { ...TO_PRODUCE, reader: "served", admin: "served" };

const TO_ADMINISTRATE: Row = { ...TO_PRODUCE, writer: "denied", admin: "served" };

/** Whoever proves who they are. */
const TO_PROBE: Row = {
  ...STRANGERS,
  "unknown subject": "served",
  reader: "served",
  writer: "served",
  admin: "served",
  peer: "served",
};

const RECORD = { record: { value: base64("x") } };

/** Each method with a request that is fine, and who is served. */
const METHODS: Readonly<Record<string, readonly [request: object, row: Row]>> = {
  "/log.v1.Log/Produce": [RECORD, TO_PRODUCE],
  "/log.v1.Log/Consume": [{ offset: 0 }, TO_CONSUME],
  "/log.v1.Log/ConsumeStream": [{ offset: 0 }, TO_CONSUME],
  "/log.v1.Log/ProduceStream": [RECORD, TO_PRODUCE],
  "/log.v1.Log/GetServers": [{}, TO_DESCRIBE],
  "/log.v1.Log/GetServer": [{}, TO_DESCRIBE],
  "/cairn.v1.Log/Append": [{ records: [{ value: base64("x") }] }, TO_PRODUCE],
  "/cairn.v1.Log/AppendStream": [{ records: [{ value: base64("x") }] }, TO_PRODUCE],
  "/cairn.v1.Log/Read": [{ from: { earliest: {} } }, TO_CONSUME],
  "/cairn.v1.Log/ReadStream": [{ from: { earliest: {} } }, TO_CONSUME],
  "/cairn.v1.Log/CommitCursor": [{ name: "mailer", offset: 1 }, TO_CONSUME],
  "/cairn.v1.Log/FetchCursor": [{ name: "mailer" }, TO_CONSUME],
  "/cairn.v1.Log/ListCursors": [{}, TO_DESCRIBE],
  "/cairn.v1.Log/DeleteCursor": [{ name: "mailer" }, TO_CONSUME],
  "/cairn.v1.Log/Fence": [{ token: "w" }, TO_PRODUCE],
  "/cairn.v1.Log/CheckTail": [{}, TO_DESCRIBE],
  "/cairn.v1.Admin/Status": [{}, TO_DESCRIBE],
  "/cairn.v1.Admin/ChangeMembership": [{ remove: "nobody" }, TO_ADMINISTRATE],
  "/cairn.v1.Admin/TransferLeadership": [{ to: "n1" }, TO_ADMINISTRATE],
  "/cairn.v1.Admin/Leave": [{ name: "n1" }, TO_ADMINISTRATE],
  "/cairn.v1.Admin/ForceLeave": [{ name: "nobody" }, TO_ADMINISTRATE],
  "/cairn.v1.Admin/GossipKeys": [{ act: "list" }, TO_ADMINISTRATE],
  "/cairn.v1.Admin/RoundTrip": [{ from: "n1", to: "n1" }, TO_DESCRIBE],
  "/cairn.v1.Admin/SendEvent": [{ name: "deploy" }, TO_ADMINISTRATE],
  "/cairn.v1.Admin/Query": [{ name: "uptime" }, TO_ADMINISTRATE],
  "/cairn.v1.Admin/WatchEvents": [{}, TO_DESCRIBE],
  "/cairn.v1.Admin/Trim": [{ before: 0 }, TO_ADMINISTRATE],
  "/cairn.v1.Admin/Backup": [{}, TO_ADMINISTRATE],
  "/grpc.health.v1.Health/Check": [{}, TO_PROBE],
  "/grpc.health.v1.Health/Watch": [{}, TO_PROBE],
  "/grpc.health.v1.Health/List": [{}, TO_PROBE],
  "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo": [{}, TO_DESCRIBE],
  "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo": [{}, TO_DESCRIBE],
};

const PATHS: Readonly<Record<string, readonly [path: string, body: string, row: Row]>> = {
  "POST /": ["/", JSON.stringify(RECORD), TO_PRODUCE],
  "GET /": ["/", '{"offset":0}', TO_CONSUME],
  "GET /records": ["/records?limit=1", "", TO_CONSUME],
  "GET /records/{offset}": ["/records/0", "", TO_CONSUME],
};

/** TLS lets every subject of our authority in; a link speaks for a member or is closed. */
const PEER_PORT: Readonly<Record<Visitor, "no connection" | "speaks for nobody" | "member n2">> = {
  "no certificate": "no connection",
  "other CA": "no connection",
  expired: "no connection",
  "unknown subject": "speaks for nobody",
  reader: "speaks for nobody",
  writer: "speaks for nobody",
  admin: "speaks for nobody",
  peer: "member n2",
};

const POLICY = `p, role:reader, *, consume
g, ann, role:reader
p, writer, *, produce
p, admin, *, admin
`;

const certificates = new Map<Visitor, Pems | null>();
let server: Pems;

beforeAll(async () => {
  const ours = await TestAuthority.make();
  const other = await TestAuthority.make();
  const pems = async (authority: TestAuthority, subject: Parameters<typeof ours.issue>[0]) => {
    const { cert, key } = await authority.issue(subject);
    // Whoever signed the visitor, it trusts the server: what is tested is the server's judgement.
    return { cert: Buffer.from(cert), key: Buffer.from(key), ca: Buffer.from(ours.pem) };
  };
  server = await pems(ours, {
    commonName: "n1.peer.cairn",
    dnsNames: ["server.peer.cairn", "n1.peer.cairn"],
  });
  certificates.set("no certificate", null);
  certificates.set("other CA", await pems(other, { commonName: "writer" }));
  certificates.set("expired", await pems(ours, { commonName: "writer", isExpired: true }));
  certificates.set("unknown subject", await pems(ours, { commonName: "stranger" }));
  certificates.set("reader", await pems(ours, { commonName: "ann" }));
  certificates.set("writer", await pems(ours, { commonName: "writer" }));
  certificates.set("admin", await pems(ours, { commonName: "admin" }));
  const peer = { commonName: "n2.peer.cairn", dnsNames: ["n2.peer.cairn"] };
  certificates.set("peer", await pems(ours, peer));
});

let node: TestServer;
let rest: RestServer;
let restPort: number;
let links: PeerLinks;
let ear: Ear;
let mux: PortMux;
let port: number;
let notices: Notice[];

beforeEach(async () => {
  notices = [];
  const telemetry = { notice: (notice: Notice) => void notices.push(notice) };
  const authorizer = await openCasbinAuthorizer(
    { file: "model.conf", text: DEFAULT_MODEL },
    { file: "policy.csv", text: POLICY },
  );
  node = await TestServer.start("n1", new MemoryCluster(), {
    authorizer,
    service: { anonymousSubject: null },
    grpc: { tls: server, telemetry },
  });
  const gone = () => Promise.resolve();
  const talk = new HeardTalk({ telemetry, clock: { now: () => 0 as Instant }, answers: {} });
  node.service.admin.attachGossip({
    members: () => [],
    leave: gone,
    forceLeave: gone,
    keys: () => [],
    rtt: () => 1,
    sendEvent: gone,
    query: () => Promise.resolve(new RunningQuery()),
    watch: () => talk.watch(),
  });
  await callGrpc("writer", "/log.v1.Log/Produce", node.address);
  links = new PeerLinks({
    certificates: server,
    frameBytesMax: 1000,
    sendBytesMax: 1000,
    telemetry,
  });
  ear = new Ear();
  links.attach(ear);
  mux = new PortMux({
    host: "127.0.0.1",
    port: 0,
    onPeer: (socket) => links.accept(socket),
    onClient: (socket) => node.grpc.inject(socket),
    telemetry,
  });
  port = await mux.listen();
  rest = new RestServer(node.service, {
    host: "127.0.0.1",
    port: 0,
    tls: server,
    bodyBytesMax: 1000,
    bodiesBytesMax: 1000,
    connectionsMax: 10,
    handshakeMsMax: 5000,
    requestMsMax: 5000,
    ageMsMax: 0,
    telemetry,
  });
  restPort = await rest.listen();
});
afterEach(async () => {
  links.closeAll();
  mux.destroy();
  await rest.close(0);
  await node.stop();
});

/** `list_services` of reflection; health knows no such field, and looks at the whole server. */
const STANDARD_REQUEST = Buffer.of(0x3a, 0);

function bytesOf(path: string, fields: object): Buffer {
  if (path.startsWith("/grpc.")) return STANDARD_REQUEST;
  const [request] = methodTypes(path);
  return Buffer.from(request.encode(request.fromObject(fields)).finish());
}

/**
 * On the wire a unary call and a stream of one request are the same, so one call serves for all:
 * the first answer, or the status.
 */
async function callGrpc(visitor: Visitor, path: string, address: string): Promise<Outcome> {
  const pems = certificates.get(visitor) ?? null;
  const credentials =
    pems === null
      ? ChannelCredentials.createSsl(server.ca)
      : ChannelCredentials.createSsl(pems.ca, pems.key, pems.cert);
  const client = new Client(address, credentials, CHANNEL_OPTIONS);
  const asIs = (bytes: Buffer) => bytes;
  const fields = METHODS[path]?.[0] ?? {};
  const call = client.makeBidiStreamRequest<Buffer, Buffer>(path, asIs, asIs);
  const outcome = await new Promise<Outcome>((resolve, reject) => {
    call.on("data", () => resolve("served"));
    call.on("error", ({ code, details }: { code: number; details: string }) => {
      if (code === 7) resolve("denied");
      // A cursor that is not there was looked for.
      else if (code === 5) resolve("served");
      else if (code === 14) resolve("no connection");
      else reject(new Error(`${path} as ${visitor}: ${code} ${details}`));
    });
    call.write(bytesOf(path, fields));
    call.end();
  });
  call.cancel();
  client.close();
  return outcome;
}

function callRest(visitor: Visitor, route: string): Promise<Outcome> {
  const [path = "", body = ""] = PATHS[route] ?? [];
  const pems = certificates.get(visitor) ?? { ca: server.ca };
  return new Promise((resolve, reject) => {
    const call = httpsRequest(
      {
        ...pems,
        host: "127.0.0.1",
        port: restPort,
        servername: "",
        checkServerIdentity: () => undefined,
        agent: false,
        path,
        method: route.split(" ")[0] ?? "",
        headers: { "content-length": Buffer.byteLength(body) },
      },
      ({ statusCode = 0 }) => {
        if (statusCode === 200) resolve("served");
        else if (statusCode === 403) resolve("denied");
        else reject(new Error(`${route} as ${visitor}: ${statusCode}`));
        call.destroy();
      },
    );
    call.on("error", () => resolve("no connection"));
    call.end(body);
  });
}

/** Knocks as a peer does; answers the identity that the node is told of, or that there is none. */
async function knock(visitor: Visitor): Promise<readonly string[] | "no connection"> {
  const pems = certificates.get(visitor) ?? { ca: server.ca };
  const socket = connectTcp(port, "127.0.0.1");
  socket.on("error", () => undefined);
  socket.write(Uint8Array.of(PEER_BYTE));
  const secure = connectTls({
    ...pems,
    socket,
    servername: "",
    checkServerIdentity: () => undefined,
  });
  secure.on("error", () => undefined);
  const isRefused = () => notices.some(({ what }) => what === "peer-connection-refused");
  await until(() => ear.opened.length > 0 || isRefused());
  secure.destroy();
  socket.destroy();
  return ear.opened[0]?.identity ?? "no connection";
}

describe("the table", () => {
  test("has every method that is served, every path, and nothing else", () => {
    expect(Object.keys(METHODS).toSorted()).toEqual(node.grpc.methods.toSorted());
    expect(Object.keys(PATHS).toSorted()).toEqual(REST_ROUTES.toSorted());
    const all = [...Object.keys(METHODS), ...Object.keys(PATHS)];
    expect(Object.keys(ACCESS).toSorted()).toEqual(all.toSorted());
  });
});

describe.each(VISITORS)("a visitor with %s", (visitor) => {
  test("gets from the gRPC methods what the table says", async () => {
    const outcomes: Record<string, Outcome> = {};
    for (const path of node.grpc.methods) {
      outcomes[path] = await callGrpc(visitor, path, `127.0.0.1:${port}`);
    }
    const expected = Object.entries(METHODS).map(([path, [, row]]) => [path, row[visitor]]);
    expect(outcomes).toEqual(Object.fromEntries(expected));
    const denied = Object.values(outcomes).filter((outcome) => outcome === "denied");
    const told = node.notices.filter(({ what }) => what === "denied");
    expect(told).toHaveLength(denied.length);
  });

  test("gets from the REST paths what the table says", async () => {
    const outcomes: Record<string, Outcome> = {};
    for (const route of REST_ROUTES) outcomes[route] = await callRest(visitor, route);
    const expected = Object.entries(PATHS).map(([route, [, , row]]) => [route, row[visitor]]);
    expect(outcomes).toEqual(Object.fromEntries(expected));
  });

  test("is at the peer port what the table says", async () => {
    const identity = await knock(visitor);
    const isMember = identity !== "no connection" && isBound(identity, "n2" as NodeId);
    const stands = isMember ? "member n2" : "speaks for nobody";
    expect(identity === "no connection" ? identity : stands).toBe(PEER_PORT[visitor]);
    if (identity !== "no connection") expect(isBound(identity, "n3" as NodeId)).toBe(false);
  });
});

describe("a method that does not exist", () => {
  test("is UNIMPLEMENTED to whoever has a certificate, and has no row", async () => {
    await expect(callGrpc("writer", "/log.v1.Log/Produce", node.address)).resolves.toBe("served");
    const { ca, key, cert } = certificates.get("writer") as Pems;
    const client = new Client(
      node.address,
      ChannelCredentials.createSsl(ca, key, cert),
      CHANNEL_OPTIONS,
    );
    const asIs = (bytes: Buffer) => bytes;
    const code = await new Promise((resolve) => {
      client.makeUnaryRequest("/cairn.v1.Admin/Nope", asIs, asIs, Buffer.alloc(0), (error) =>
        resolve(error?.code),
      );
    });
    client.close();
    expect(code).toBe(12);
  });
});
