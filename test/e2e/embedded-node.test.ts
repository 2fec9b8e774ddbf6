// A node inside this process (`cairnlog/node`): alone, with certificates, over restarts; and what
// it refuses to be made of.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { createNodeCertificate, openAuthority } from "../../src/cli/certs.ts";
import { findFreePorts } from "../../src/cli/ports.ts";
import { connect } from "../../src/client/client.ts";
import {
  type CreateNodeOptions,
  createNode,
  decodeBatch,
  type EmbeddedNode,
  type EntryHead,
  type FrozenBytes,
  type StateMachine,
} from "../../src/embedded-node.ts";
import { type Pems, TestCertificates } from "../service/test-certificates.ts";

/** Remembers all texts. */
class Words implements StateMachine {
  words: string[] = [];

  apply(_head: EntryHead, body: FrozenBytes): void {
    for (const { value } of decodeBatch(body) ?? []) {
      this.words.push(Buffer.from(value).toString());
    }
  }

  snapshot(): Uint8Array {
    return Buffer.from(JSON.stringify(this.words));
  }

  restore(snapshot: FrozenBytes): void {
    this.words = JSON.parse(Buffer.from(snapshot).toString()) as string[];
  }
}

let folder = "";
let certificates: TestCertificates;
let address = "";

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "cairn-embedded-"));
  certificates = await TestCertificates.create();
  const [port] = await findFreePorts(1);
  address = `127.0.0.1:${port}`;
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
  certificates.remove();
});

function optionsOf(given: Partial<CreateNodeOptions> = {}): CreateNodeOptions {
  const peers = { solo: address };
  const dataDir = join(folder, "solo");
  return { name: "solo", dataDir, address, peers, electionTimeoutMs: 100, ...given };
}

async function withNode(given: Partial<CreateNodeOptions>, use: (node: EmbeddedNode) => unknown) {
  const node = await createNode(optionsOf(given));
  try {
    await use(node);
  } finally {
    expect(await node.stop()).toEqual({ kind: "clean" });
    expect(await node.stopped).toEqual({ kind: "clean" });
  }
}

describe("an embedded node", () => {
  test("applies what it appended, and all of it again after a restart", async () => {
    const machine = new Words();
    await withNode({ machine }, async (node) => {
      expect((await node.append([{ value: "one" }, { value: "two" }])).offset).toBe(0);
      expect((await node.append([{ value: "three" }])).offset).toBe(2);
      await node.linearizable();
      expect(machine.words).toEqual(["one", "two", "three"]);
      expect(node.status()).toMatchObject({ role: "leader", endOffset: 3 });
    });
    const again = new Words();
    await withNode({ machine: again }, async (node) => {
      await node.linearizable();
      expect(again.words).toEqual(["one", "two", "three"]);
      expect(node.appliedEndOffset).toBe(3);
    });
  });

  test("says how far the log is without a machine", async () => {
    const dataDir = join(folder, "bare");
    await withNode({ dataDir }, async (node) => {
      await node.append([{ value: "one" }]);
      await node.linearizable();
      expect(node.appliedEndOffset).toBe(1);
    });
  });

  test("serves clients with certificates of its authority, and nobody else", async () => {
    const { directory } = certificates;
    const authority = await openAuthority(directory);
    await createNodeCertificate(authority, directory, "solo", ["127.0.0.1"]);
    const server: Pems = await certificates.server();
    const [peer, reader] = [certificates.pemsOf("solo"), await certificates.client("reader")];
    const dataDir = join(folder, "secure");
    await withNode({ dataDir, tls: { server, peer } }, async (node) => {
      await node.append([{ value: "by itself" }]);
      const theirs = connect({ addresses: [address], credentials: reader });
      expect((await theirs.append([{ value: "by another" }])).offset).toBe(1);
      theirs.close();
      const anybody = connect({ addresses: [address], timeoutMs: 500 });
      await expect(anybody.append([{ value: "no" }])).rejects.toThrow();
      anybody.close();
    });
  });

  test("gives up a linearizable read in time when a majority is away", async () => {
    const [other] = await findFreePorts(1);
    const peers = { solo: address, zoe: `127.0.0.1:${other}` };
    const dataDir = join(folder, "pair");
    await withNode({ dataDir, peers }, async (node) => {
      const late = node.linearizable({ timeoutMs: 50 });
      await expect(late).rejects.toMatchObject({ code: "deadline-exceeded" });
      const stopped = new AbortController();
      const cancelled = node.linearizable({ signal: stopped.signal });
      stopped.abort();
      await expect(cancelled).rejects.toMatchObject({ code: "cancelled" });
    });
  });

  test("lets go of directory and port when it cannot be made", async () => {
    await withNode({}, async () => {
      await expect(createNode(optionsOf())).rejects.toThrow("is in use");
      const elsewhere = optionsOf({ dataDir: join(folder, "elsewhere") });
      await expect(createNode(elsewhere)).rejects.toThrow("EADDRINUSE");
    });
    await withNode({ dataDir: join(folder, "elsewhere") }, (node) => {
      expect(node.status().state).toBe("serving");
    });
  });

  test.each([
    [{ peers: { solo: "10.0.0.1:1" }, address: "10.0.0.1:1" }, /loopback.*give tls/],
    [{ address: "127.0.0.1" }, /address: expected host:port/],
    [{ address: "127.0.0.1:1" }, /address: 127.0.0.1:1, but peers says/],
    [{ name: "other" }, /peers: node-name is "other" \(createNode\), the list has solo/],
    [{ electionTimeoutMs: -1 }, /election-timeout-ms: /],
  ])("refuses %j", async (given, why) => {
    await expect(createNode(optionsOf(given))).rejects.toThrow(why);
  });
});
