// How long a client lets appends wait for others to join their batch, with time of the test's own.

import { afterEach, describe, expect, test } from "vitest";
import {
  type CairnClient,
  CairnError,
  type ConnectOptions,
  connect,
} from "../../src/client/client.ts";
import { TestServer } from "../service/grpc-harness.ts";
import { MemoryCluster } from "../service/memory-node.ts";

const servers: TestServer[] = [];
const clients: CairnClient[] = [];
let pauses: number[] = [];

afterEach(async () => {
  pauses = [];
  for (const client of clients.splice(0)) client.close();
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function startServer() {
  const cluster = new MemoryCluster();
  const server = await TestServer.start("n1", cluster);
  servers.push(server);
  return { cluster, addresses: [server.address] };
}

/** Pauses take the time they say, at once, and each lets the event loop turn. */
function clientOf(
  addresses: readonly string[],
  options: Partial<ConnectOptions>,
  onPause: () => void,
): CairnClient {
  const time = {
    now: () => pauses.reduce((sum, ms) => sum + ms, 0),
    pause: (ms: number) => {
      pauses.push(ms);
      onPause();
      return new Promise<void>((resolve) => setImmediate(resolve));
    },
  };
  const client = connect({ addresses, ...options }, time);
  clients.push(client);
  return client;
}

const values = (...texts: string[]) => texts.map((value) => ({ value }));

describe("a client", () => {
  test("lingers, so that appends of later turns join a batch that is not full", async () => {
    const { cluster, addresses } = await startServer();
    const late: Promise<unknown>[] = [];
    const client = clientOf(addresses, { lingerMs: 5 }, () => {
      if (late.length === 0) late.push(client.append(values("b")), client.append(values("c")));
    });
    expect(await client.append(values("a"))).toMatchObject({ offset: 0 });
    await Promise.all(late);
    expect(pauses).toEqual([5]);
    expect(client.counts).toMatchObject({ batches: 1, records: 3 });
    expect(cluster.texts).toEqual(["a", "b", "c"]);
  });

  test("lingers no longer once a batch is full, has a condition, or the client is closed", async () => {
    const { addresses } = await startServer();
    const forever = () => new Promise<void>(() => undefined);
    const never = { now: () => 0, pause: forever };
    const one = connect({ addresses, lingerMs: 60_000, batchRecordsMax: 2 }, never);
    clients.push(one);
    await Promise.all([one.append(values("a")), one.append(values("b"))]);
    await one.append(values("c"), { expectedEndOffset: 2 });
    expect(one.counts).toMatchObject({ batches: 2, records: 3 });
    const cut = one.append(values("d")).catch((error: unknown) => error);
    await new Promise((resolve) => setImmediate(resolve));
    one.close();
    const error = await cut;
    expect(error).toBeInstanceOf(CairnError);
    expect((error as CairnError).code).toBe("closed");
  });
});
