// Servers with mutual TLS and the seed policies for one test file: certificates made once, servers
// and clients ended after each test. Owns no claims.

import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import {
  DEFAULT_MODEL,
  DEFAULT_POLICY,
  openCasbinAuthorizer,
} from "../../src/adapters/casbin-authorizer.ts";
import type { Authorizer } from "../../src/ports/authorizer.ts";
import { TestServer, type TestServerOptions } from "./grpc-harness.ts";
import { MemoryCluster } from "./memory-node.ts";
import { StockClient } from "./stock-client.ts";
import { type Pems, TestCertificates } from "./test-certificates.ts";

interface Issued {
  readonly certificates: TestCertificates;
  readonly server: Pems;
  readonly root: Pems;
  readonly authorizer: Authorizer;
}

/** To be called once in a file of tests; everything is there when the first test begins. */
export class SecuredServers {
  #issued: Issued | null = null;
  #cluster = new MemoryCluster();
  #servers: TestServer[] = [];
  #clients: StockClient[] = [];

  constructor() {
    beforeAll(async () => {
      const certificates = await TestCertificates.create();
      const server = await certificates.server();
      const root = await certificates.client("root");
      const authorizer = await openCasbinAuthorizer(
        { file: "model.conf", text: DEFAULT_MODEL },
        { file: "policy.csv", text: DEFAULT_POLICY },
      );
      this.#issued = { certificates, server, root, authorizer };
    });
    afterAll(() => this.#issued?.certificates.remove());
    beforeEach(() => {
      this.#cluster = new MemoryCluster();
      this.#servers = [];
      this.#clients = [];
    });
    afterEach(async () => {
      for (const { client } of this.#clients) client.close();
      await Promise.all(this.#servers.map((server) => server.stop()));
    });
  }

  /** What the servers of this test share. */
  get cluster(): MemoryCluster {
    return this.#cluster;
  }

  get certificates(): TestCertificates {
    return this.#all.certificates;
  }

  get serverPems(): Pems {
    return this.#all.server;
  }

  get rootPems(): Pems {
    return this.#all.root;
  }

  async start(options: TestServerOptions = {}, name = "n1"): Promise<TestServer> {
    const { authorizer, server: tls } = this.#all;
    const server = await TestServer.start(name, this.#cluster, {
      authorizer,
      ...options,
      service: { anonymousSubject: null, ...options.service },
      grpc: { tls, ...options.grpc },
    });
    this.#servers.push(server);
    return server;
  }

  /** A client of one server; null has no certificate and no TLS. */
  clientOf(server: TestServer, pems: Pems | null = this.rootPems): StockClient {
    const client = new StockClient(server.address, pems);
    this.#clients.push(client);
    return client;
  }

  get #all(): Issued {
    if (this.#issued === null) throw new Error("asked before the tests began");
    return this.#issued;
  }
}
