// The one rule of whose call it is, as a table of certificates' names.

import type { PeerCertificate } from "node:tls";
import { describe, expect, test } from "vitest";

import { subjectOf } from "../../src/adapters/subject.ts";

const certificate = (CN: unknown, subjectaltname?: string) =>
  ({ subject: CN === undefined ? {} : { CN }, subjectaltname }) as unknown as PeerCertificate;

describe("the subject of a certificate", () => {
  test.each<[string, unknown, string | undefined, string | null]>([
    ["is its common name", "root", undefined, "root"],
    ["is its common name, whatever its other names", "root", "URI:spiffe://a/b, DNS:x", "root"],
    ["is nobody with two common names", ["root", "nobody"], undefined, null],
    ["is nobody with two common names and one URI", ["a", "b"], "URI:spiffe://a/b", null],
    ["is nobody with an empty common name", "", "URI:spiffe://a/b", null],
    ["is its one URI without a common name", undefined, "URI:spiffe://a/b", "spiffe://a/b"],
    ["is nobody with two URIs", undefined, "URI:spiffe://a/b, URI:spiffe://a/c", null],
    ["is nobody with a URI and a DNS name", undefined, "URI:spiffe://a/b, DNS:x", null],
    ["is nobody with a DNS name alone", undefined, "DNS:root", null],
    ["is nobody with a quoted URI", undefined, 'URI:"spiffe://a/b, URI:c"', null],
    ["is nobody without names", undefined, undefined, null],
  ])("%s", (_rule, name, alternative, subject) => {
    expect(subjectOf(certificate(name, alternative))).toBe(subject);
  });

  test("is nobody without a certificate, and stays what it was for the same one", () => {
    expect(subjectOf(undefined)).toBeNull();
    const same = certificate("ann");
    expect([subjectOf(same), subjectOf(same)]).toEqual(["ann", "ann"]);
  });
});
