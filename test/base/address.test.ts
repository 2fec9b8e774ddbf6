// Addresses: written forms, the one form of each, and back.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  canonicalIp,
  describeAddress,
  describeIp,
  parseIp,
  sameAddress,
  splitHostPort,
} from "../../src/base/address.ts";
import { freeze } from "../../src/base/bytes.ts";

const hexOf = (bytes: Uint8Array | null): string | null =>
  bytes === null ? null : [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

describe("an address", () => {
  test.each([
    ["127.0.0.1", "7f000001"],
    ["255.255.255.255", "ffffffff"],
    ["::1", "00000000000000000000000000000001"],
    ["::", "00000000000000000000000000000000"],
    ["2001:db8::8:1", "20010db8000000000000000000080001"],
    ["1:2:3:4:5:6:7:8", "00010002000300040005000600070008"],
    ["fe80::1:2.3.4.5", "fe800000000000000000000102030405"],
    ["::ffff:10.1.2.3", "0a010203"],
    ["::ffff:0a01:203", "0a010203"],
  ])("written %s is read", (text, hex) => {
    expect(hexOf(parseIp(text))).toBe(hex);
  });

  test.each([
    "",
    "localhost",
    "1.2.3",
    "1.2.3.256",
    "1.2.3.04",
    "1.2.3.4.5",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8",
    "12345::",
    "1.2.3.4::",
    "g::",
  ])("written %j is none", (text) => {
    expect(parseIp(text)).toBeNull();
  });

  test("of four or sixteen bytes has one form, and any other length none", () => {
    expect(canonicalIp(freeze(new Uint8Array(5)))).toBeNull();
    expect(canonicalIp(freeze(new Uint8Array(0)))).toBeNull();
    const mapped = Uint8Array.from([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4]);
    expect(canonicalIp(freeze(mapped))).toEqual(Uint8Array.of(1, 2, 3, 4));
  });

  test("reads back as it is described", () => {
    const lengths = fc.constantFrom(4, 16);
    const ips = lengths.chain((length) => fc.uint8Array({ minLength: length, maxLength: length }));
    fc.assert(
      fc.property(ips, (drawn) => {
        const ip = canonicalIp(freeze(drawn));
        expect(ip === null ? null : parseIp(describeIp(ip))).toEqual(ip);
      }),
    );
  });

  test.each([
    ["127.0.0.1:80", "127.0.0.1", 80],
    ["db-1.example", "db-1.example", 7946],
    ["[::1]:0", "::1", 0],
    ["[fe80::1%2]", "fe80::1%2", 7946],
  ])("written %s with or without a port is taken apart", (text, host, port) => {
    expect(splitHostPort(text, 7946)).toEqual({ host, port });
  });

  test.each(["", ":80", "::1", "a:b", "a:65536", "a b:1", "[::1", "a:1:2", "a/b"])(
    "written %j has no host or no port",
    (text) => {
      expect(splitHostPort(text, 7946)).toBeNull();
    },
  );

  test("with its port is one text", () => {
    const v4 = { ip: freeze(Uint8Array.of(10, 0, 0, 1)), port: 7946 };
    const v6 = { ip: freeze(new Uint8Array(16).fill(1, 15)), port: 80 };
    expect(describeAddress(v4)).toBe("10.0.0.1:7946");
    expect(describeAddress(v6)).toBe("[0:0:0:0:0:0:0:1]:80");
    expect(sameAddress(v4, { ...v4 })).toBe(true);
    expect(sameAddress(v4, { ...v4, port: 1 })).toBe(false);
    expect(sameAddress(v4, v6)).toBe(false);
  });
});
