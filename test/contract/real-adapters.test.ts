// The port contracts against the adapters of production: real files, real sockets, real time.

import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { FileDisk } from "../../src/adapters/file-disk.ts";
import { GossipSockets } from "../../src/adapters/gossip-sockets.ts";
import { chooseIndex, type IndexKind } from "../../src/adapters/index-maps.ts";
import { OsClock } from "../../src/adapters/os-clock.ts";
import type { PeerCertificates } from "../../src/adapters/peer-links.ts";
import { parseIp } from "../../src/base/address.ts";
import type { NodeId } from "../../src/base/ids.ts";
import { memberSubject, TestAuthority } from "../adapters/certificates.ts";
import { INDEX_KINDS } from "../adapters/index-kinds.ts";
import { FRAME_BYTES_MAX, listenAsPeer, nextRound } from "../adapters/peer-end.ts";
import { clockContract } from "./clock.contract.ts";
import { type DiskUnderTest, diskContract } from "./disk.contract.ts";
import { gossipNetworkContract } from "./gossip-network.contract.ts";
import { type NetworkUnderTest, networkContract } from "./network.contract.ts";

clockContract("OsClock", () => {
  const clock = new OsClock();
  return {
    clock,
    driveUntil: async (isDone) => {
      while (!isDone()) await nextRound();
    },
    close: () => clock.close(),
  };
});

function openDisk(directory: string, index: IndexKind, openFilesMax: number): DiskUnderTest {
  const disk = new FileDisk({ directory, index: chooseIndex(index).maps, openFilesMax });
  return {
    disk,
    drive: nextRound,
    reopen: async () => {
      await disk.close();
      return openDisk(directory, index, openFilesMax);
    },
    close: async () => {
      await disk.close();
      await rm(directory, { recursive: true });
    },
  };
}

async function makeDisk(index: IndexKind, openFilesMax = 64): Promise<DiskUnderTest> {
  return openDisk(await mkdtemp(join(tmpdir(), "cairn-disk-")), index, openFilesMax);
}

for (const kind of INDEX_KINDS) {
  diskContract(`FileDisk with its index by ${kind}`, () => makeDisk(kind));
}
diskContract("FileDisk with one open file at a time", () => makeDisk("file", 1));

async function makeNetwork(
  certificatesOf: (name: string) => Promise<PeerCertificates | null>,
): Promise<NetworkUnderTest> {
  const [a, b, gone] = await Promise.all(
    ["a", "b", "gone"].map(async (name) =>
      listenAsPeer(name, { certificates: await certificatesOf(name) }),
    ),
  );
  if (a === undefined || b === undefined || gone === undefined) throw new Error("no three ends");
  gone.close();
  return {
    a,
    b,
    nobody: { name: "gone" as NodeId, address: gone.address },
    frameBytesMax: FRAME_BYTES_MAX,
    drive: nextRound,
    close: async () => {
      a.close();
      b.close();
    },
  };
}

networkContract("PeerLinks without certificates", () => makeNetwork(async () => null));
const authority = await TestAuthority.make();
networkContract("PeerLinks with mutual TLS", () =>
  makeNetwork((name) => authority.issue(memberSubject(name))),
);

for (const host of ["127.0.0.1", "::1"]) {
  gossipNetworkContract(`GossipSockets on ${host}`, async () => {
    const ip = parseIp(host);
    if (ip === null) throw new Error(host);
    const telemetry = { notice: () => undefined };
    const openEnd = (acceptedMax: number) =>
      GossipSockets.open({ bind: { ip, port: 0 }, telemetry, acceptedMax });
    const [a, b, narrow, gone] = await Promise.all([8, 8, 2, 8].map(openEnd));
    if (a === undefined || b === undefined || narrow === undefined || gone === undefined) {
      throw new Error("no four ends");
    }
    await gone.shut();
    return {
      a,
      b,
      narrow,
      nobody: gone.address,
      drive: nextRound,
      close: async () => {
        await Promise.all([a.shut(), b.shut(), narrow.shut()]);
      },
    };
  });
}
