// A client whose certificates are renewed while it lives: what it shows on its next connection, and
// what becomes of it when the renewal is broken.

import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";

import { type CairnClient, type CredentialsSource, connect } from "../../src/client/client.ts";
import { TestServer } from "../service/grpc-harness.ts";
import { MemoryCluster } from "../service/memory-node.ts";
import { until } from "../service/stock-client.ts";
import { type Pems, TestCertificates } from "../service/test-certificates.ts";

const authorities: TestCertificates[] = [];
let server: TestServer;
let client: CairnClient | null = null;
let old: { readonly server: Pems; readonly root: Pems };
let next: typeof old;

async function makeAuthority(): Promise<typeof old> {
  const authority = await TestCertificates.create();
  authorities.push(authority);
  return { server: await authority.server(), root: await authority.client("root") };
}

beforeAll(async () => {
  old = await makeAuthority();
  next = await makeAuthority();
});
afterAll(() => {
  for (const authority of authorities) authority.remove();
});
beforeEach(async () => {
  server = await TestServer.start("n1", new MemoryCluster(), {
    service: { anonymousSubject: null },
    grpc: { tls: old.server },
  });
});
afterEach(async () => {
  client?.close();
  await server.stop();
});

function clientWith(credentials: CredentialsSource, timeoutMs = 20_000): CairnClient {
  client = connect({ addresses: [server.address], credentials, timeoutMs });
  return client;
}

/** The whole cluster moves to another authority. */
async function moveOn(): Promise<void> {
  server.grpc.replaceCertificates(next.server);
  server.breakConnections();
  await until(() => server.grpc.connections === 0);
}

test("a client asks for its credentials again when it needs a new connection, and only then", async () => {
  let asked = 0;
  let now = old.root;
  const root = clientWith(() => {
    asked++;
    return now;
  });
  for (let i = 0; i < 3; i++) await root.append([{ value: `${i}` }]);
  const before = asked;
  await root.append([{ value: "again" }]);
  expect(asked).toBe(before);
  now = next.root;
  await moveOn();
  await root.append([{ value: "after" }]);
  expect(asked).toBeGreaterThan(before);
  expect(await root.checkTail()).toBe(5);
});

test("a client keeps what it has while its source fails, and goes on when it works again", async () => {
  let now: Pems | null = old.root;
  const root = clientWith(() => {
    if (now === null) throw new Error("half of a renewal");
    return now;
  });
  await root.append([{ value: "a" }]);
  now = null;
  server.breakConnections();
  await root.append([{ value: "b" }]);
  await moveOn();
  const late = root.append([{ value: "c" }]);
  await until(() => server.refused.length > 0);
  now = next.root;
  await late;
  expect(await root.checkTail()).toBe(3);
});

test("a client with fixed credentials is refused once their authority is gone", async () => {
  const root = clientWith(old.root, 300);
  await root.append([{ value: "a" }]);
  await moveOn();
  await expect(root.checkTail()).rejects.toMatchObject({ code: "unreachable" });
});
