// Peer links in a bad world: strangers, liars, stalled and silent peers, garbage.

import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { afterEach, beforeAll, describe, expect, test } from "vitest";

import {
  PEER_BYTE,
  type PeerCertificates,
  type PeerLinksOptions,
  parseAddress,
} from "../../src/adapters/peer-links.ts";
import type { LinkId } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import { Ear } from "../contract/network.contract.ts";
import { memberSubject, TestAuthority } from "./certificates.ts";
import { listenAsPeer, nextRound, type PeerEnd, until } from "./peer-end.ts";

const LINK = 2 as LinkId;

interface Heard {
  readonly end: PeerEnd;
  readonly ear: Ear;
}

const ends: PeerEnd[] = [];
const sockets: Socket[] = [];

afterEach(() => {
  for (const end of ends.splice(0)) end.close();
  for (const socket of sockets.splice(0)) socket.destroy();
});

async function start(name: string, options: Partial<PeerLinksOptions> = {}): Promise<Heard> {
  const end = await listenAsPeer(name, options);
  const ear = new Ear();
  end.network.attach(ear);
  ends.push(end);
  return { end, ear };
}

function dial(from: Heard, to: Heard, link = LINK): void {
  from.end.network.dial(link, to.end.name, to.end.address, "control");
}

/** A connection that says it is a peer's, and then whatever the test says. */
async function knock(at: Heard): Promise<Socket> {
  const socket = connect(at.end.port, "127.0.0.1");
  sockets.push(socket);
  socket.on("error", () => undefined);
  await once(socket, "connect");
  socket.write(Uint8Array.of(PEER_BYTE));
  return socket;
}

function isRefused({ end, ear }: Heard): boolean {
  expect(ear.opened).toEqual([]);
  return end.notices.some(({ what }) => what === "peer-connection-refused");
}

describe("a peer link with certificates", () => {
  let authority: TestAuthority;
  let rogue: TestAuthority;
  let a: PeerCertificates;
  let b: PeerCertificates;

  beforeAll(async () => {
    authority = await TestAuthority.make();
    // The same name: only the key tells them apart.
    rogue = await TestAuthority.make();
    a = await authority.issue(memberSubject("a"));
    b = await authority.issue(memberSubject("b"));
  });

  test("tells each end the verified names of the other, word for word", async () => {
    const dialer = await start("a", { certificates: a });
    const acceptor = await start("b", { certificates: b });
    dial(dialer, acceptor);
    await until(() => dialer.ear.opened.length + acceptor.ear.opened.length === 2);
    expect(dialer.ear.opened[0]?.identity).toEqual(["CN=b", "b.peer.cairn", "localhost"]);
    expect(acceptor.ear.opened[0]?.identity).toEqual(["CN=a", "a.peer.cairn", "localhost"]);
  });

  test("is refused to a certificate of another authority", async () => {
    const certificates = { ...(await rogue.issue(memberSubject("a"))), ca: authority.pem };
    const dialer = await start("a", { certificates });
    const acceptor = await start("b", { certificates: b });
    dial(dialer, acceptor);
    await until(() => isRefused(acceptor) && dialer.ear.closed.length === 1);
    expect(dialer.ear.closed[0]?.link).toBe(LINK);
  });

  test("is not opened to a listener with a certificate of another authority", async () => {
    const dialer = await start("a", { certificates: a });
    const certificates = { ...(await rogue.issue(memberSubject("b"))), ca: authority.pem };
    const acceptor = await start("b", { certificates });
    dial(dialer, acceptor);
    await until(() => dialer.ear.closed.length === 1);
    expect(dialer.ear.opened).toEqual([]);
    expect(dialer.ear.closed[0]?.why).toContain(acceptor.end.address);
  });

  test("is refused to an expired certificate", async () => {
    const subject = { ...memberSubject("a"), isExpired: true };
    const dialer = await start("a", { certificates: await authority.issue(subject) });
    const acceptor = await start("b", { certificates: b });
    dial(dialer, acceptor);
    await until(() => isRefused(acceptor) && dialer.ear.closed.length === 1);
  });

  test("shows a client's certificate with the client's names and no member's", async () => {
    const certificates = await authority.issue({ commonName: "root" });
    const dialer = await start("client", { certificates });
    const acceptor = await start("b", { certificates: b });
    dial(dialer, acceptor);
    await until(() => acceptor.ear.opened.length === 1);
    expect(acceptor.ear.opened[0]?.identity).toEqual(["CN=root"]);
  });

  test("is refused without a certificate", async () => {
    const acceptor = await start("b", { certificates: b });
    const raw = await knock(acceptor);
    const secure: TLSSocket = connectTls({ socket: raw, ca: authority.pem, servername: "" });
    secure.on("error", () => undefined);
    secure.on("data", () => undefined);
    secure.write(Uint8Array.of(0, 0, 0, 1, 7));
    await until(() => isRefused(acceptor));
    expect(acceptor.ear.frames).toEqual([]);
  });

  test("is refused below TLS 1.2", async () => {
    const acceptor = await start("b", { certificates: b });
    const raw = await knock(acceptor);
    const versions = { minVersion: "TLSv1", maxVersion: "TLSv1.1" } as const;
    const ciphers = "DEFAULT@SECLEVEL=0";
    const secure = connectTls({ socket: raw, ...a, ...versions, ciphers });
    secure.on("error", () => undefined);
    await until(() => isRefused(acceptor));
    expect(acceptor.end.notices[0]?.facts["why"]).toMatch(/unsupported protocol/);
  });

  test("is refused to a plaintext peer, and a plaintext listener to it", async () => {
    const secure = await start("a", { certificates: a });
    const plain = await start("b", { dialMsMax: 300, silenceMsMax: 200, signOfLifeMs: 50 });
    dial(plain, secure);
    dial(secure, plain);
    plain.end.network.send(LINK, [Uint8Array.of(1, 2, 3)]);
    await until(() => secure.ear.closed.length === 1 && plain.ear.closed.length >= 1);
    expect(secure.ear.opened).toEqual([]);
    expect(secure.ear.frames).toEqual([]);
  });

  test("takes new certificates for new links and keeps the old ones open", async () => {
    const dialer = await start("a", { certificates: a });
    const acceptor = await start("b", { certificates: b });
    dial(dialer, acceptor);
    await until(() => acceptor.ear.opened.length === 1);
    const other = await TestAuthority.make("another");
    for (const { end } of [dialer, acceptor]) {
      end.network.replaceCertificates(await other.issue(memberSubject(`new-${end.name}`)));
    }
    dial(dialer, acceptor, 4 as LinkId);
    await until(() => acceptor.ear.opened.length === 2);
    expect(acceptor.ear.opened[1]?.identity).toContain("new-a.peer.cairn");
    expect(dialer.end.network.send(LINK, [Uint8Array.of(1)])).toBe(true);
    await until(() => acceptor.ear.frames.length === 1);
    expect(acceptor.ear.closed).toEqual([]);
  });

  test("cannot be set up with a key of another certificate", async () => {
    const certificates = { ...a, key: b.key };
    await expect(start("a", { certificates })).rejects.toThrow(/key values mismatch/);
  });

  test("is opened to a member though strangers hold all places without a certificate", async () => {
    const acceptor = await start("b", { certificates: b, acceptedMax: 3 });
    for (let count = 0; count < 5; count++) await knock(acceptor);
    const dialer = await start("a", { certificates: a });
    dial(dialer, acceptor);
    await until(() => acceptor.ear.opened.length === 1);
    expect(acceptor.ear.opened[0]?.identity).toContain("a.peer.cairn");
  });

  test("does not wait forever for a dialer's TLS", async () => {
    const acceptor = await start("b", { certificates: b, handshakeMsMax: 50 });
    const raw = await knock(acceptor);
    await once(raw, "close");
    await until(() => isRefused(acceptor));
  });
});

describe("a peer link", () => {
  test("that is announced a frame beyond the limit closes, and the others live", async () => {
    const acceptor = await start("b", { frameBytesMax: 1000 });
    const dialer = await start("a");
    dial(dialer, acceptor);
    await until(() => acceptor.ear.opened.length === 1);
    const raw = await knock(acceptor);
    raw.write(Uint8Array.of(0, 0, 3, 233));
    await once(raw, "close");
    expect(acceptor.ear.closed).toHaveLength(1);
    expect(acceptor.ear.closed[0]?.why).toMatch(/1001 bytes, the limit is 1000/);
    expect(dialer.end.network.send(LINK, [new Uint8Array(1000)])).toBe(true);
    await until(() => acceptor.ear.frames.length === 1);
  });

  test("survives garbage on its neighbours", async () => {
    const certificates = await (await TestAuthority.make()).issue(memberSubject("b"));
    const prng = new Prng("garbage");
    for (const acceptor of [await start("plain"), await start("tls", { certificates })]) {
      for (let round = 0; round < 40; round++) {
        const raw = await knock(acceptor);
        raw.write(prng.bytes(1 + prng.below(3000)));
        if (prng.chance(1, 2)) raw.resetAndDestroy();
        else raw.end();
        await once(raw, "close");
      }
      const { opened, closed } = acceptor.ear;
      await until(() => opened.length === closed.length);
      expect(new Set(closed.map(({ link }) => link)).size).toBe(closed.length);
    }
  });

  test("takes a bounded amount for a stalled reader, and goes on when it reads", async () => {
    const sendBytesMax = 500_000;
    const dialer = await start("a", { sendBytesMax });
    const acceptor = await start("b");
    dial(dialer, acceptor);
    await until(() => dialer.ear.opened.length === 1);
    acceptor.ear.refusesNext = Number.MAX_SAFE_INTEGER;
    const frame = new Uint8Array(60_000);
    let sent = 0;
    let refused = 0;
    // The kernel's buffers take some megabytes; then, round after round, nothing more is taken.
    while (refused < 20) {
      if (dialer.end.network.send(LINK, [frame])) sent++;
      else refused++;
      if (refused > 0) await nextRound();
    }
    const waiting = dialer.end.network.unsentBytes(LINK);
    expect(waiting).toBeGreaterThanOrEqual(sendBytesMax);
    expect(waiting).toBeLessThan(sendBytesMax + frame.length + 8);
    expect(acceptor.ear.frames).toEqual([]);
    acceptor.ear.refusesNext = 0;
    await until(() => acceptor.ear.frames.length === sent);
    expect(dialer.end.network.send(LINK, [frame])).toBe(true);
    await until(() => acceptor.ear.frames.length === sent + 1);
  });

  test("that is held back is not taken for dead", async () => {
    const times = { signOfLifeMs: 20, silenceMsMax: 100 };
    const dialer = await start("a", times);
    const acceptor = await start("b", times);
    dial(dialer, acceptor);
    await until(() => dialer.ear.opened.length === 1);
    acceptor.ear.refusesNext = 300;
    dialer.end.network.send(LINK, [Uint8Array.of(1)]);
    // 300 refusals at 2 ms or more each: several times the silence that would close it.
    await until(() => acceptor.ear.frames.length === 1);
    expect([...dialer.ear.closed, ...acceptor.ear.closed]).toEqual([]);
  });

  test("that is idle stays open by its signs of life", async () => {
    const times = { signOfLifeMs: 20, silenceMsMax: 100 };
    const dialer = await start("a", times);
    const acceptor = await start("b", times);
    dial(dialer, acceptor);
    await until(() => dialer.ear.opened.length === 1);
    const end = performance.now() + 250;
    await until(() => performance.now() > end);
    expect([...dialer.ear.closed, ...acceptor.ear.closed]).toEqual([]);
    expect([...dialer.ear.frames, ...acceptor.ear.frames]).toEqual([]);
  });

  test("to a peer that hears and never answers is closed as silent", async () => {
    const deaf = createServer((socket) => {
      sockets.push(socket);
      socket.resume();
    });
    await new Promise<void>((done) => deaf.listen(0, "127.0.0.1", done));
    const { port } = deaf.address() as { port: number };
    const dialer = await start("a", { signOfLifeMs: 20, silenceMsMax: 100 });
    dialer.end.network.dial(LINK, dialer.end.name, `127.0.0.1:${port}`, "bulk");
    await until(() => dialer.ear.closed.length === 1);
    expect(dialer.ear.opened).toHaveLength(1);
    expect(dialer.ear.closed[0]?.why).toMatch(/nothing heard from the peer for \d+ ms/);
    deaf.close();
  });

  test("is given up when the connection is not ready in time", async () => {
    const silent = createServer((socket) => void sockets.push(socket));
    await new Promise<void>((done) => silent.listen(0, "127.0.0.1", done));
    const { port } = silent.address() as { port: number };
    const certificates = await (await TestAuthority.make()).issue(memberSubject("a"));
    const dialer = await start("a", { certificates, dialMsMax: 50 });
    dialer.end.network.dial(LINK, dialer.end.name, `127.0.0.1:${port}`, "bulk");
    await until(() => dialer.ear.closed.length === 1);
    expect(dialer.ear.closed[0]?.why).toContain(`no connection to 127.0.0.1:${port} within 50 ms`);
    silent.close();
  });

  test("that is reset is closed once, and its last frames may be lost", async () => {
    const acceptor = await start("b");
    const raw = await knock(acceptor);
    raw.write(Uint8Array.of(0, 0, 0, 1, 9, 0, 0));
    await until(() => acceptor.ear.frames.length === 1);
    raw.resetAndDestroy();
    await until(() => acceptor.ear.closed.length === 1);
    for (let round = 0; round < 20; round++) await nextRound();
    expect(acceptor.ear.closed).toHaveLength(1);
  });

  test("beyond the bound is refused", async () => {
    const acceptor = await start("b", { acceptedMax: 3 });
    for (let count = 0; count < 3; count++) await knock(acceptor);
    await until(() => acceptor.ear.opened.length === 3);
    const fourth = await knock(acceptor);
    await once(fourth, "close");
    expect(acceptor.ear.opened).toHaveLength(3);
    expect(acceptor.end.notices[0]?.facts["why"]).toContain("more than 3 peer connections");
    sockets[0]?.destroy();
    await until(() => acceptor.ear.closed.length === 1);
    await knock(acceptor);
    await until(() => acceptor.ear.opened.length === 4);
  });

  test("to an address that is none is closed with its text", async () => {
    const dialer = await start("a");
    for (const [at, address] of ["nowhere", "a:b", "host:70000", "::1:80", ":80"].entries()) {
      dialer.end.network.dial((2 * at) as LinkId, dialer.end.name, address, "control");
      expect(dialer.ear.closed).toHaveLength(at);
      await until(() => dialer.ear.closed.length === at + 1);
      expect(dialer.ear.closed[at]?.why).toBe(`${address} is no address: expected host:port`);
    }
  });

  test("ends without a word when the node closes all", async () => {
    const dialer = await start("a");
    const acceptor = await start("b");
    dial(dialer, acceptor);
    await until(() => acceptor.ear.opened.length === 1);
    dialer.end.network.closeAll();
    await until(() => acceptor.ear.closed.length === 1);
    expect(dialer.ear.closed).toEqual([]);
    dial(dialer, acceptor, 4 as LinkId);
    for (let round = 0; round < 20; round++) await nextRound();
    expect(acceptor.ear.opened).toHaveLength(1);
  });
});

describe("an address", () => {
  test("is a host and a port, with brackets around IPv6", () => {
    expect(parseAddress("db-1.example:8400")).toEqual({ host: "db-1.example", port: 8400 });
    expect(parseAddress("127.0.0.1:1")).toEqual({ host: "127.0.0.1", port: 1 });
    expect(parseAddress("[::1]:65535")).toEqual({ host: "::1", port: 65_535 });
    for (const text of ["", "a", "a:", "a:0", "[::1]", "[x]:1", "a b:1", "a:1 "]) {
      expect(parseAddress(text)).toBeNull();
    }
  });
});
