// Certificates for tests of the adapters: an authority, and what it issues, as PEM. In memory,
// fresh in each run, P-256.

import "reflect-metadata";

import type { webcrypto } from "node:crypto";
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralNames,
  SubjectAlternativeNameExtension,
  type X509Certificate,
  X509CertificateGenerator,
} from "@peculiar/x509";

import type { PeerCertificates } from "../../src/adapters/peer-links.ts";

const EC = { name: "ECDSA", namedCurve: "P-256" };
const SIGNING = { name: "ECDSA", hash: "SHA-256" };
const DAY_MS = 86_400_000;

export interface Subject {
  readonly commonName: string;
  readonly dnsNames?: readonly string[];
  /** Ended yesterday. */
  readonly isExpired?: boolean;
}

export class TestAuthority {
  readonly pem: string;
  readonly #certificate: X509Certificate;
  readonly #keys: webcrypto.CryptoKeyPair;
  #serial = 1;

  private constructor(certificate: X509Certificate, keys: webcrypto.CryptoKeyPair) {
    this.pem = certificate.toString("pem");
    this.#certificate = certificate;
    this.#keys = keys;
  }

  static async make(commonName = "Cairn test authority"): Promise<TestAuthority> {
    const keys = (await crypto.subtle.generateKey(EC, true, [
      "sign",
      "verify",
    ])) as webcrypto.CryptoKeyPair;
    const certificate = await X509CertificateGenerator.createSelfSigned({
      serialNumber: "01",
      name: `CN=${commonName}`,
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(Date.now() + DAY_MS),
      signingAlgorithm: SIGNING,
      keys,
      extensions: [new BasicConstraintsExtension(true, undefined, true)],
    });
    return new TestAuthority(certificate, keys);
  }

  /** A certificate for both ends of TLS, with this authority as the one trusted. */
  async issue(subject: Subject): Promise<PeerCertificates> {
    const keys = (await crypto.subtle.generateKey(EC, true, [
      "sign",
      "verify",
    ])) as webcrypto.CryptoKeyPair;
    const names: JsonGeneralNames = (subject.dnsNames ?? []).map((value) => ({
      type: "dns",
      value,
    }));
    const ends = Date.now() + (subject.isExpired === true ? -DAY_MS / 2 : DAY_MS);
    const certificate = await X509CertificateGenerator.create({
      serialNumber: (++this.#serial).toString(16).padStart(2, "0"),
      subject: `CN=${subject.commonName}`,
      issuer: this.#certificate.subject,
      notBefore: new Date(Date.now() - DAY_MS),
      notAfter: new Date(ends),
      signingAlgorithm: SIGNING,
      publicKey: keys.publicKey,
      signingKey: this.#keys.privateKey,
      extensions: [
        new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
        ...(names.length > 0 ? [new SubjectAlternativeNameExtension(names)] : []),
      ],
    });
    const key = Buffer.from(await crypto.subtle.exportKey("pkcs8", keys.privateKey));
    const lines = key.toString("base64").replace(/(.{64})/g, "$1\n");
    return {
      ca: this.pem,
      cert: certificate.toString("pem"),
      key: `-----BEGIN PRIVATE KEY-----\n${lines}\n-----END PRIVATE KEY-----\n`,
    };
  }
}

/** What the cli helper issues to a node. */
export function memberSubject(name: string): Subject {
  return { commonName: name, dnsNames: [`${name}.peer.cairn`, "localhost"] };
}
