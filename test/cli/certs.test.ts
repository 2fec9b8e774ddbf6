// The certificates Cairn makes, judged by Node's own TLS and crypto: who may be a server, who a
// client, who may speak for a member; and the line each wrong file gets.

import { X509Certificate } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import type { AddressInfo } from "node:net";
import path from "node:path";
import tls from "node:tls";
import { beforeAll, describe, expect, test } from "vitest";

import { certificateFiles } from "../../src/cli/certificate-files.ts";
import {
  type Authority,
  checkSubject,
  createAuthority,
  createClientCertificate,
  createNodeCertificate,
  createPeerCertificate,
  createServerCertificate,
  openAuthority,
} from "../../src/cli/certs.ts";
import { CommandError } from "../../src/cli/exit.ts";
import { checkPeerCertificate, readTlsFiles } from "../../src/cli/tls-files.ts";
import { temporaryFolder } from "./temporary.ts";

const folder = temporaryFolder();
const home = path.join(folder, "ours");
const foreign = path.join(folder, "foreign");
const ca = certificateFiles(home, "ca").cert;
const nameOf = (part: string) => `server-tls-${part}-file`;
let authority: Authority;

beforeAll(async () => {
  authority = await createAuthority(home, "Cairn test CA");
  await createNodeCertificate(authority, home, "n1", ["127.0.0.1", "::1", "node1.example.org"]);
  await createClientCertificate(authority, home, "root");
  const other = await createAuthority(foreign, "Another CA");
  await createClientCertificate(other, foreign, "root");
  await createNodeCertificate(other, foreign, "n1", ["127.0.0.1"]);
});

function pems(directory: string, base: string, authorityFile = ca) {
  return readTlsFiles({ ...certificateFiles(directory, base), ca: authorityFile }, nameOf);
}

/** Connects as a client would; answers the name the server saw, or the error. */
async function shakeHands(
  server: { cert: Buffer; key: Buffer; ca: Buffer },
  client: { cert: Buffer; key: Buffer; ca: Buffer },
  host = "127.0.0.1",
): Promise<string> {
  const listener = tls.createServer({ ...server, requestCert: true, rejectUnauthorized: true });
  const seen = new Promise<string>((resolve) => {
    listener.on("secureConnection", (socket) => {
      resolve(socket.getPeerX509Certificate()?.subject ?? "nobody");
      socket.destroy();
    });
    listener.on("tlsClientError", (error) => resolve(`server: ${error.message}`));
  });
  await new Promise<void>((resolve) => listener.listen(0, "127.0.0.1", resolve));
  const { port } = listener.address() as AddressInfo;
  const socket = tls.connect({
    ...client,
    host: "127.0.0.1",
    port,
    servername: "",
    checkServerIdentity: (_name, certificate) => tls.checkServerIdentity(host, certificate),
  });
  const failed = new Promise<string>((resolve) => {
    socket.on("error", (error) => resolve(`client: ${error.message}`));
  });
  const outcome = await Promise.race([seen, failed]);
  // With TLS 1.3 the client may learn of its refusal last: what the server saw decides.
  const verdict = outcome.startsWith("client: ") ? outcome : await seen;
  socket.destroy();
  listener.close();
  return verdict;
}

describe("a handshake", () => {
  test("a client of our authority is seen under its subject", async () => {
    expect(await shakeHands(pems(home, "n1"), pems(home, "root-client"))).toBe("CN=root");
  });

  test("a node connects to a node", async () => {
    expect(await shakeHands(pems(home, "n1"), pems(home, "n1"))).toBe("CN=n1.peer.cairn");
  });

  test("a node is a server by each of its hosts and by its peer name, and by no other", async () => {
    for (const host of ["127.0.0.1", "::1", "node1.example.org", "n1.peer.cairn"]) {
      expect(await shakeHands(pems(home, "n1"), pems(home, "root-client"), host)).toBe("CN=root");
    }
    const elsewhere = shakeHands(pems(home, "n1"), pems(home, "root-client"), "node2.example.org");
    expect(await elsewhere).toMatch(/^client: .*node2\.example\.org/);
  });

  test("a client of another authority is refused", async () => {
    const stranger = pems(foreign, "root-client");
    expect(await shakeHands(pems(home, "n1"), stranger)).toMatch(/^(client|server): /);
  });

  test("a client's certificate is no server", async () => {
    const refused = shakeHands(pems(home, "root-client"), pems(home, "root-client"));
    expect(await refused).toMatch(/^client: .*(purpose|unsuitable)/);
  });

  test("a client refuses a server of another authority", async () => {
    const refused = shakeHands(pems(foreign, "n1"), pems(home, "root-client"));
    expect(await refused).toMatch(/^client: /);
  });
});

describe("a certificate", () => {
  const read = (base: string) =>
    new X509Certificate(readFileSync(certificateFiles(home, base).cert));

  test("it verifies against its authority and lasts a year", () => {
    const root = new X509Certificate(readFileSync(ca));
    for (const base of ["n1", "root-client"]) {
      const certificate = read(base);
      expect(certificate.checkIssued(root)).toBe(true);
      expect(certificate.verify(root.publicKey)).toBe(true);
      expect(certificate.ca).toBe(false);
      const days = (Date.parse(certificate.validTo) - Date.now()) / 86_400_000;
      expect(Math.round(days)).toBe(365);
    }
    expect(root.ca).toBe(true);
    expect(read("n1").publicKey.asymmetricKeyDetails?.namedCurve).toBe("prime256v1");
  });

  test("a client's certificate carries no name that could speak for a member", () => {
    expect(read("root-client").subjectAltName).toBeUndefined();
    expect(() => checkSubject("n1.peer.cairn")).toThrow("belong to members");
    expect(() => checkSubject("N1.Peer.Cairn")).toThrow("belong to members");
    expect(() => checkSubject("../root")).toThrow("subject: expected 1 to 63");
  });

  test("a key can be read by its owner only", () => {
    for (const base of ["ca", "n1", "root-client"]) {
      expect(statSync(certificateFiles(home, base).key).mode & 0o777).toBe(0o600);
    }
  });

  test("an authority made earlier signs on after it is read back", async () => {
    const again = await openAuthority(home);
    await createClientCertificate(again, home, "later");
    expect(await shakeHands(pems(home, "n1"), pems(home, "later-client"))).toBe("CN=later");
  });

  test("a server's certificate proves no client and no member", async () => {
    const files = await createServerCertificate(authority, home, "n7", ["127.0.0.1"]);
    const server = readTlsFiles({ ...files, ca }, nameOf);
    expect(await shakeHands(server, pems(home, "root-client"))).toBe("CN=root");
    expect(await shakeHands(pems(home, "n1"), server)).toMatch(/^server: /);
    expect(() => checkPeerCertificate(server, { ...files, ca }, "n7")).toThrow("does not speak");
  });

  test("a peer's certificate speaks for its member and for no address", async () => {
    const files = await createPeerCertificate(authority, home, "n7");
    const peer = readTlsFiles({ ...files, ca }, nameOf);
    expect(() => checkPeerCertificate(peer, { ...files, ca }, "n7")).not.toThrow();
    expect(await shakeHands(pems(home, "n1"), peer)).toBe("CN=n7.peer.cairn");
    expect(await shakeHands(peer, pems(home, "root-client"))).toMatch(/^client: .*127\.0\.0\.1/);
  });

  test("a renewed certificate takes the old one's place, key and all", async () => {
    const files = await createClientCertificate(authority, home, "renewed");
    const before = readTlsFiles({ ...files, ca }, nameOf);
    await createClientCertificate(authority, home, "renewed", { renew: true, days: 9 });
    const after = readTlsFiles({ ...files, ca }, nameOf);
    expect([after.cert.equals(before.cert), after.key.equals(before.key)]).toEqual([false, false]);
    expect(statSync(files.key).mode & 0o777).toBe(0o600);
    expect(readdirSync(home).filter((name) => name.endsWith(".new"))).toEqual([]);
    expect(await shakeHands(pems(home, "n1"), after)).toBe("CN=renewed");
  });

  test("nothing that exists is replaced", async () => {
    await expect(createAuthority(home, "x")).rejects.toThrow(
      "a certificate authority here already",
    );
    await expect(createClientCertificate(authority, home, "root")).rejects.toThrow(
      "exists already",
    );
  });

  test("a folder without an authority says how to make one", async () => {
    await expect(openAuthority(folder)).rejects.toThrow(`cairn certs init --dir ${folder}`);
  });
});

describe("wrong files", () => {
  const files = { ...certificateFiles(home, "n1"), ca };
  const told = (changed: Partial<typeof files>, now = Date.now()): string => {
    try {
      readTlsFiles({ ...files, ...changed }, nameOf, now);
    } catch (error) {
      if (error instanceof CommandError) return error.message;
    }
    return "accepted";
  };
  const rubbish = path.join(folder, "rubbish.pem");
  const none = path.join(folder, "none.pem");

  beforeAll(() => writeFileSync(rubbish, "rubbish"));

  test("each wrong file gets one line that names the setting and the file", () => {
    expect(told({ cert: none })).toBe(`server-tls-cert-file: cannot read ${none}: ENOENT`);
    expect(told({ cert: rubbish })).toBe(`server-tls-cert-file: ${rubbish}: not a PEM certificate`);
    expect(told({ key: rubbish })).toBe(`server-tls-key-file: ${rubbish}: not a PEM private key`);
    expect(told({ ca: rubbish })).toBe(`server-tls-ca-file: ${rubbish}: not a PEM certificate`);
    const otherKey = certificateFiles(home, "root-client").key;
    expect(told({ key: otherKey })).toBe(
      `server-tls-key-file: ${otherKey}: not the key of ${files.cert}`,
    );
    expect(told({})).toBe("accepted");
  });

  test("an authority's file may hold several, and must hold nothing else", () => {
    const both = path.join(folder, "both.pem");
    const other = readFileSync(certificateFiles(foreign, "ca").cert, "utf8");
    writeFileSync(both, `${readFileSync(ca, "utf8")}${other}`);
    expect(told({ ca: both })).toBe("accepted");
    writeFileSync(both, `${readFileSync(ca, "utf8")}${other.replace("MII", "???")}`);
    expect(told({ ca: both })).toBe(`server-tls-ca-file: ${both}: not a PEM certificate`);
    const { cert } = certificateFiles(home, "root-client");
    expect(told({ ca: cert })).toBe(`server-tls-ca-file: ${cert}: no certificate of an authority`);
  });

  test("an expired certificate is refused with its date", () => {
    const later = Date.now() + 366 * 86_400_000;
    expect(told({}, later)).toMatch(/^server-tls-cert-file: .*n1\.pem: expired on /);
  });

  test("a certificate that does not speak for this member is refused as a peer's", () => {
    const own = readTlsFiles(files, nameOf);
    expect(() => checkPeerCertificate(own, files, "n1")).not.toThrow();
    expect(() => checkPeerCertificate(own, files, "n2")).toThrow(
      /^peer-tls-cert-file: .*n1\.pem: does not speak for the member n2: it needs .* has .*DNS:n1/,
    );
  });
});
