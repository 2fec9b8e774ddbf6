// Certificates for the tests of one file: an authority, a server at 127.0.0.1, and clients by name.

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { certificateFiles, clientBase } from "../../src/cli/certificate-files.ts";
import {
  type Authority,
  createAuthority,
  createClientCertificate,
  createNodeCertificate,
} from "../../src/cli/certs.ts";

export interface Pems {
  readonly cert: Buffer;
  readonly key: Buffer;
  readonly ca: Buffer;
}

export class TestCertificates {
  readonly directory: string;
  readonly #authority: Authority;

  private constructor(directory: string, authority: Authority) {
    this.directory = directory;
    this.#authority = authority;
  }

  static async create(): Promise<TestCertificates> {
    const directory = mkdtempSync(join(tmpdir(), "cairn-certificates-"));
    return new TestCertificates(directory, await createAuthority(directory, "Test CA"));
  }

  async server(): Promise<Pems> {
    await createNodeCertificate(this.#authority, this.directory, "server", ["127.0.0.1"]);
    return this.pemsOf("server");
  }

  async client(subject: string): Promise<Pems> {
    await createClientCertificate(this.#authority, this.directory, subject);
    return this.pemsOf(clientBase(subject));
  }

  remove(): void {
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Of whoever was made under that name, a node perhaps. */
  pemsOf(base: string): Pems {
    const { cert, key } = certificateFiles(this.directory, base);
    const ca = certificateFiles(this.directory, "ca").cert;
    return { cert: readFileSync(cert), key: readFileSync(key), ca: readFileSync(ca) };
  }
}
