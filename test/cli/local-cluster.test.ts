// What a local cluster finds in its folder before it starts anything.

import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";

import { certificateFiles } from "../../src/cli/certificate-files.ts";
import {
  createClientCertificate,
  createNodeCertificate,
  openAuthority,
} from "../../src/cli/certs.ts";
import { LocalCluster } from "../../src/cli/local-cluster.ts";
import { temporaryFolder } from "./temporary.ts";

const folder = temporaryFolder();

test("a local cluster renews the certificates that have ended, and those alone", async () => {
  const options = {
    folder,
    mainFile: "main.js",
    clusterId: "0".repeat(32),
    electionTimeoutMs: 500,
    died: () => undefined,
  };
  const { ca } = (await LocalCluster.create(options)).profile();
  const directory = path.dirname(ca);
  const serialOf = (base: string) =>
    new X509Certificate(readFileSync(certificateFiles(directory, base).cert)).serialNumber;
  const authority = await openAuthority(directory);
  const ended = { days: -1, renew: true };
  await createNodeCertificate(authority, directory, "n1", ["127.0.0.1"], ended);
  await createClientCertificate(authority, directory, "root", ended);
  const bases = ["ca", "n1", "n2", "root-client", "nobody-client"];
  const before = bases.map(serialOf);
  await LocalCluster.create(options);
  const isSame = bases.map((base, at) => serialOf(base) === before[at]);
  expect(isSame).toEqual([true, false, true, false, true]);
});
