// Encrypted gossip: members with one key understand each other, whoever has none is refused and
// counted, streams are sealed as a whole whatever pieces they come in, and a cluster goes from
// plain to sealed, and from one key to the next, without losing anybody.

import { describe, expect, test } from "vitest";

import { GossipWorld, USUAL_NETWORK } from "../../sim/gossip-world.ts";
import { GossipKeyring, generateGossipKey } from "../../src/adapters/gossip-keyring.ts";
import { freeze } from "../../src/base/bytes.ts";
import { millis, type StreamId } from "../../src/base/ids.ts";
import {
  type EncryptionStage,
  FRAME_BYTES_WAITING_MAX,
  GossipSealing,
} from "../../src/service/gossip-sealing.ts";
import { Membership } from "../../src/service/membership.ts";

const key = generateGossipKey();
const id = (stream: number) => stream as StreamId;
const text = (words: string) => freeze(new TextEncoder().encode(words));

function sealing(stage: EncryptionStage = "require", cipher = new GossipKeyring([key])) {
  return new GossipSealing({ cipher, stage });
}

describe("packets", () => {
  const plain = text("04 alive");

  test("are opened by whoever has the key, and by nobody else", () => {
    const sealed = sealing().sealPacket(plain);
    expect(sealing().openPacket(sealed)).toEqual(plain);
    const stranger = sealing("require", new GossipKeyring([generateGossipKey()]));
    expect(stranger.openPacket(sealed)).toBe("undecryptable");
    expect(new GossipSealing(null).openPacket(sealed)).toBe(sealed);
  });

  test.each<[EncryptionStage, boolean, boolean]>([
    ["accept", false, true],
    ["send", true, true],
    ["require", true, false],
  ])("at the stage %s are sealed: %s, and plain ones are taken: %s", (stage, seals, takes) => {
    const one = sealing(stage);
    expect(one.sealPacket(plain).length > plain.length).toBe(seals);
    expect(one.openPacket(plain)).toEqual(takes ? plain : "plaintext");
    expect(one.openPacket(sealing().sealPacket(plain))).toEqual(plain);
  });
});

describe("a stream", () => {
  const said = freeze(new Uint8Array(5000).fill(7));

  test("is one frame, whatever pieces it comes in, and is answered in kind", () => {
    const frame = sealing().sealStream(id(1), said);
    const reader = sealing("accept");
    let heard = null;
    for (let at = 0; at < frame.length; at += 97) {
      expect(heard).toBeNull();
      heard = reader.takeStream(id(2), freeze(frame.subarray(at, at + 97)));
    }
    expect(heard).toEqual(said);
    expect(reader.takeStream(id(2), text("more"))).toBeNull();
    expect(reader.sealStream(id(2), said).length).toBeGreaterThan(said.length);
    expect(reader.sealStream(id(4), said)).toBe(said);
  });

  test("that is plain, spoilt or too long is refused", () => {
    expect(sealing().takeStream(id(2), text("plain"))).toBe("plaintext");
    expect(sealing("send").takeStream(id(2), text("plain"))).toEqual(text("plain"));
    const spoilt = Uint8Array.from(sealing().sealStream(id(1), said));
    spoilt[100] = (spoilt[100] ?? 0) ^ 1;
    expect(sealing().takeStream(id(2), freeze(spoilt))).toBe("undecryptable");
    const long = freeze(Uint8Array.of(10, 0xff, 0xff, 0xff, 0xff));
    expect(sealing().takeStream(id(2), long)).toBe("too-large");
  });

  test("that never ends holds no more memory than all may hold, and gives it back", () => {
    const reader = sealing();
    const piece = freeze(new Uint8Array(1 << 20).fill(1));
    const head = freeze(Uint8Array.of(10, 0, 0x3f, 0xff, 0xff));
    let held = 0;
    for (let stream = 2; ; stream += 2) {
      expect(reader.takeStream(id(stream), head)).toBeNull();
      let answer = null;
      for (let count = 0; count < 3 && answer === null; count++) {
        answer = reader.takeStream(id(stream), piece);
        if (answer === null) held += piece.length;
      }
      if (answer === "too-large") break;
      expect(answer).toBeNull();
    }
    expect(held).toBeLessThanOrEqual(FRAME_BYTES_WAITING_MAX);
    reader.forget(id(2));
    expect(reader.takeStream(id(1000), piece)).not.toBe("too-large");
  });
});

describe("members", () => {
  function worldOf(...rings: (readonly [GossipKeyring, EncryptionStage] | null)[]) {
    const world = new GossipWorld({ seed: "sealed", network: USUAL_NETWORK, driftPpmMax: 0 });
    const members = rings.map((ring, at) => {
      const { ports } = world.seat(`m${at}`);
      const encryption = ring === null ? {} : { encryption: { cipher: ring[0], stage: ring[1] } };
      return new Membership({ nodeName: `m${at}` }, { ...ports, ...encryption });
    });
    return { world, members };
  }
  async function pass(world: GossipWorld, ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 50) {
      await new Promise((resolve) => setImmediate(resolve));
      world.run(millis(50));
    }
  }
  const seenBy = (member: Membership | undefined) =>
    member?.members().map(({ name, status }) => `${name} ${status}`);
  const ring = () => new GossipKeyring([key]);

  test("with one key form a cluster, and one without it stays outside, and is counted", async () => {
    const { world, members } = worldOf([ring(), "require"], [ring(), "require"], null);
    const [first, second, plain] = members;
    const contact = first?.localAddr ?? "";
    const joined = second?.join([contact]);
    const refused = plain?.join([contact]).catch((error: Error) => error.message);
    await pass(world, 12_000);
    await joined;
    expect(await refused).toContain("no member to join answered");
    expect(seenBy(first)).toEqual(["m0 alive", "m1 alive"]);
    expect(seenBy(plain)).toEqual(["m2 alive"]);
    expect(first?.status().dropped.plaintext).toBeGreaterThan(0);
  });

  test("go from plain to sealed in three steps, and from one key to the next, all the time one", async () => {
    const rings = [ring(), ring(), ring()];
    const next = generateGossipKey();
    const stages = rings.map((): { stage: EncryptionStage } => ({ stage: "accept" }));
    const world = new GossipWorld({ seed: "rollout", network: USUAL_NETWORK, driftPpmMax: 0 });
    const members = rings.map((cipher, at) => {
      const { ports } = world.seat(`m${at}`);
      const encryption = {
        cipher,
        get stage() {
          return stages[at]?.stage ?? "require";
        },
      };
      return new Membership({ nodeName: `m${at}` }, { ...ports, encryption });
    });
    const contact = members[0]?.localAddr ?? "";
    for (const member of members.slice(1)) void member.join([contact]);
    await pass(world, 2000);
    for (const stage of ["send", "require"] as const) {
      for (const one of stages) {
        one.stage = stage;
        await pass(world, 3000);
      }
    }
    for (const cipher of rings) cipher.install(next);
    for (const cipher of rings) {
      cipher.use(next);
      await pass(world, 3000);
    }
    for (const cipher of rings) cipher.remove(key);
    await pass(world, 40_000);
    for (const member of members) {
      expect(seenBy(member)).toEqual(["m0 alive", "m1 alive", "m2 alive"]);
      expect(member.status().dropped).not.toHaveProperty("undecryptable");
      expect(member.status().dropped).not.toHaveProperty("plaintext");
    }
  });
});
