// The keys of gossip: the golden bytes of stock agents, what no key opens, and keys that come and
// go while they are used.

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";

import {
  GossipKeyring,
  generateGossipKey,
  KeyringError,
} from "../../src/adapters/gossip-keyring.ts";

interface SealedVector {
  readonly id: string;
  readonly key: string;
  readonly nonce: string;
  readonly aad: string;
  readonly plain: string;
  readonly hex: string;
}

const file = new URL("../gossip/vectors.json", import.meta.url);
const vectors = (JSON.parse(readFileSync(file, "utf8")) as { encryption: SealedVector[] })
  .encryption;
const bytesOf = (hex: string) => Uint8Array.from(Buffer.from(hex, "hex"));
const hexOf = (bytes: Uint8Array | null) => bytes && Buffer.from(bytes).toString("hex");
const base64 = (hex: string) => Buffer.from(hex, "hex").toString("base64");
const NOTHING = new Uint8Array(0);

describe.each(vectors)("the golden message $id", ({ id, key, nonce, aad, plain, hex }) => {
  const keyring = new GossipKeyring([base64(key)], null, () => bytesOf(nonce));
  const context = bytesOf(aad);
  const sealed = bytesOf(hex).subarray(context.length);

  test("is opened to its plain text", () => {
    expect(hexOf(keyring.open(sealed, context))).toBe(plain);
  });

  test("is sealed to the same bytes, where it is of the version that is written", () => {
    const written = hexOf(keyring.seal(bytesOf(plain), context));
    if (id.endsWith("v0")) expect(written?.slice(0, 2)).toBe("01");
    else expect(aad + written).toBe(hex);
  });
});

test("whatever was changed, bound to something else or under another key opens for nobody", () => {
  const keyring = new GossipKeyring([generateGossipKey()]);
  const other = new GossipKeyring([generateGossipKey()]);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.nat(), fc.nat(254), (plain, spot, by) => {
      const sealed = keyring.seal(plain, NOTHING);
      expect(hexOf(keyring.open(sealed, NOTHING))).toBe(hexOf(plain));
      expect(other.open(sealed, NOTHING)).toBeNull();
      expect(keyring.open(sealed, Uint8Array.of(1))).toBeNull();
      const spoilt = Uint8Array.from(sealed);
      const place = spot % spoilt.length;
      spoilt[place] = (spoilt[place] ?? 0) ^ (by + 1);
      expect(keyring.open(spoilt, NOTHING)).toBeNull();
      expect(keyring.open(sealed.subarray(0, place), NOTHING)).toBeNull();
    }),
  );
});

test("no bytes make a keyring throw", () => {
  const keyring = new GossipKeyring([generateGossipKey()]);
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 80 }), (bytes) => {
      expect(keyring.open(bytes, NOTHING)).toBeNull();
    }),
  );
});

describe("a keyring with a file", () => {
  const folder = mkdtempSync(path.join(tmpdir(), "gossip-keys-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const keyringFile = path.join(folder, "keys.json");
  const [first, second] = [generateGossipKey(), generateGossipKey()];

  test("rotates: installs, uses, removes, and a restart finds what is in force", () => {
    writeFileSync(keyringFile, JSON.stringify([first]));
    const keyring = GossipKeyring.open(keyringFile);
    const old = keyring.seal(Uint8Array.of(7), NOTHING);
    keyring.install(second);
    keyring.install(second);
    expect(keyring.list()).toEqual([first, second]);
    expect(() => keyring.remove(first)).toThrow("this is the primary key: use another one first");
    keyring.use(second);
    const fresh = keyring.seal(Uint8Array.of(8), NOTHING);
    expect(new GossipKeyring([second]).open(fresh, NOTHING)).toEqual(Uint8Array.of(8));
    expect(keyring.open(old, NOTHING)).toEqual(Uint8Array.of(7));
    expect(GossipKeyring.open(keyringFile).list()).toEqual([second, first]);
    keyring.remove(first);
    expect(keyring.open(old, NOTHING)).toBeNull();
    expect(GossipKeyring.open(keyringFile).list()).toEqual([second]);
    expect(statSync(keyringFile).mode & 0o077).toBe(0);
  });

  test.each([
    ["of another form", "{}", "expected a JSON list of keys"],
    ["that is not JSON", "keys", "expected a JSON list"],
    ["without a key", "[]", "a keyring has one key at least"],
    ["with a key of another length", '["AAAA"]', "a key is 16, 24 or 32 bytes in base64"],
    ["with what is not base64", '["golden-key-16byt!"]', "a key is 16, 24 or 32 bytes in base64"],
  ])("%s is refused", (_, text, why) => {
    writeFileSync(keyringFile, text);
    expect(() => GossipKeyring.open(keyringFile)).toThrow(why);
  });

  test("takes so many keys and no more, and knows only those it has", () => {
    const keyring = new GossipKeyring([first]);
    for (let count = 1; count < 32; count++) keyring.install(generateGossipKey());
    expect(() => keyring.install(generateGossipKey())).toThrow(KeyringError);
    expect(() => keyring.use(second)).toThrow("no such key is installed: install it first");
  });
});
