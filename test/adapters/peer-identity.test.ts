// Names out of Node's text form of a subjectAltName, the hostile ones too.

import { describe, expect, test } from "vitest";

import { dnsNames } from "../../src/adapters/peer-identity.ts";

describe("the DNS names of a certificate", () => {
  test("are those of its DNS entries, verbatim", () => {
    const text = "DNS:node-1.peer.cairn, IP Address:127.0.0.1, DNS:localhost, DNS:*.example.org";
    expect(dnsNames(text)).toEqual(["node-1.peer.cairn", "localhost", "*.example.org"]);
  });

  test("are none without a subjectAltName or without DNS entries", () => {
    expect(dnsNames(undefined)).toEqual([]);
    expect(dnsNames("")).toEqual([]);
    expect(dnsNames("IP Address:0:0:0:0:0:0:0:1, URI:spiffe://a/b")).toEqual([]);
  });

  test("do not come out of one odd name that holds a comma", () => {
    expect(dnsNames('DNS:"x, DNS:node-1.peer.cairn, y", DNS:z')).toEqual(["z"]);
    expect(dnsNames('URI:"a\\"b, DNS:node-1.peer.cairn", DNS:z')).toEqual(["z"]);
    expect(dnsNames('DirName:"CN=a, DNS:node-1.peer.cairn"')).toEqual([]);
  });

  test("are none when the text does not parse to its end", () => {
    expect(dnsNames('DNS:a, DNS:"never closed, DNS:node-1.peer.cairn')).toEqual([]);
    expect(dnsNames("DNS:a, node-1.peer.cairn")).toEqual([]);
    expect(dnsNames('DNS:a"b, DNS:c')).toEqual([]);
  });
});
