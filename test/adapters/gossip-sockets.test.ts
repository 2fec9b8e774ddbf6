// The gossip sockets beyond their contract: ports that are taken, bounds, and the end.
import { createSocket, type Socket as UdpSocket } from "node:dgram";
import { connect } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { GossipSockets, type GossipSocketsOptions } from "../../src/adapters/gossip-sockets.ts";
import { type Address, parseIp } from "../../src/base/address.ts";
import { EMPTY_BYTES, freeze } from "../../src/base/bytes.ts";
import type { StreamId } from "../../src/base/ids.ts";
import type { Notice } from "../../src/base/notice.ts";
import type { GossipInbox } from "../../src/ports/gossip.ts";
import { nextRound, until } from "./peer-end.ts";

const LOOPBACK = parseIp("127.0.0.1") ?? EMPTY_BYTES;
const opened: GossipSockets[] = [];
afterEach(async () => {
  for (const sockets of opened.splice(0)) await sockets.shut();
});

interface Heard extends GossipInbox {
  readonly events: string[];
}

function makeEar(): Heard {
  const events: string[] = [];
  let accepted = 0;
  return {
    events,
    nextStreamId: () => {
      accepted += 2;
      return accepted as StreamId;
    },
    packet: (_from, bytes) => void events.push(`packet ${bytes.length}`),
    streamOpened: (streamId) => void events.push(`opened ${streamId}`),
    streamBytes: (streamId, bytes) => {
      events.push(`bytes ${streamId} ${Buffer.from(bytes).toString()}`);
      return true;
    },
    streamClosed: (streamId, why) => void events.push(`closed ${streamId} ${why}`),
    overflowed: (_peer, what) => void events.push(what),
  };
}

async function open(
  bind: Address,
  more: Partial<GossipSocketsOptions> = {},
): Promise<{ sockets: GossipSockets; ear: Heard; notices: Notice[] }> {
  const notices: Notice[] = [];
  const telemetry = { notice: (notice: Notice) => void notices.push(notice) };
  const sockets = await GossipSockets.open({ bind, telemetry, ...more });
  opened.push(sockets);
  const ear = makeEar();
  sockets.attach(ear);
  return { sockets, ear, notices };
}

const anyPort: Address = { ip: LOOPBACK, port: 0 };

describe("gossip sockets", () => {
  test("on a port that is taken say which, and what to do", async () => {
    const { sockets } = await open(anyPort);
    const { port } = sockets.address;
    await expect(open(sockets.address)).rejects.toThrow(
      new RegExp(`127\\.0\\.0\\.1:${port} .*EADDRINUSE.*: free that port`),
    );
  });

  test("need the port for UDP too, and give the TCP port back when it is taken", async () => {
    // Somebody else's connection may come to bear the same port in the meantime: another is tried.
    for (let tries = 1; ; tries++) {
      const udp: UdpSocket = createSocket("udp4");
      await new Promise<void>((resolve) => udp.bind(0, "127.0.0.1", resolve));
      const { port } = udp.address();
      await expect(open({ ip: LOOPBACK, port })).rejects.toThrow("free that port for UDP and TCP");
      await new Promise<void>((resolve) => udp.close(resolve));
      const again = await open({ ip: LOOPBACK, port }).catch((error: unknown) => error);
      if (!(again instanceof Error)) break;
      expect([tries < 5, again.message]).toEqual([true, expect.stringContaining("EADDRINUSE")]);
    }
  });

  test("free their port when they are shut, and hear nothing more", async () => {
    const first = await open(anyPort);
    const client = connect(first.sockets.address.port, "127.0.0.1");
    client.on("error", () => undefined);
    await until(() => first.ear.events.includes("opened 2"));
    await first.sockets.shut();
    await first.sockets.shut();
    first.sockets.sendPacket(first.sockets.address, freeze(Uint8Array.of(1)));
    first.sockets.dial(1 as StreamId, first.sockets.address);
    const second = await open(first.sockets.address);
    second.sockets.sendPacket(second.sockets.address, freeze(Uint8Array.of(1)));
    await until(() => second.ear.events.length === 1);
    expect(second.ear.events).toEqual(["packet 1"]);
    expect(first.ear.events).toEqual(["opened 2"]);
  });

  test("drop packets that the system does not take fast enough, and say so", async () => {
    const { sockets, ear } = await open(anyPort, { packetsUnsentMax: 10 });
    for (let packet = 0; packet < 30; packet++) {
      sockets.sendPacket(sockets.address, freeze(Uint8Array.of(packet)));
    }
    await until(() => ear.events.filter((event) => event === "packet 1").length === 10);
    expect(ear.events.filter((event) => event === "queue-full")).toHaveLength(20);
    sockets.sendPacket(sockets.address, freeze(Uint8Array.of(1)));
    await until(() => ear.events.filter((event) => event === "packet 1").length === 11);
  });

  test("report a packet that is too large for a datagram, once", async () => {
    const { sockets, ear, notices } = await open(anyPort);
    for (let packet = 0; packet < 3; packet++) {
      sockets.sendPacket(sockets.address, freeze(new Uint8Array(70_000)));
    }
    sockets.sendPacket(sockets.address, freeze(Uint8Array.of(1)));
    await until(() => ear.events.length === 1 && notices.length === 1);
    expect(notices[0]).toMatchObject({
      what: "gossip-packet-not-sent",
      facts: { bytes: 70_000, error: expect.stringContaining("EMSGSIZE") },
    });
  });

  test("answer an end that only stopped speaking, and close a stream that nobody reads", async () => {
    const { sockets, ear } = await open(anyPort, { streamBytesUnsentMax: 1 << 20 });
    const client = connect({ port: sockets.address.port, host: "127.0.0.1", allowHalfOpen: true });
    client.end("question");
    await until(() => ear.events.length === 3);
    expect(ear.events).toEqual([
      "opened 2",
      "bytes 2 question",
      "closed 2 the other end has closed",
    ]);
    sockets.write(2 as StreamId, freeze(Buffer.from("answer")));
    sockets.closeStream(2 as StreamId);
    let heard = "";
    client.on("data", (bytes) => {
      heard += bytes.toString();
    });
    await until(() => heard === "answer");

    const deaf = connect(sockets.address.port, "127.0.0.1");
    deaf.pause();
    deaf.on("error", () => undefined);
    await until(() => ear.events.includes("opened 4"));
    const chunk = freeze(new Uint8Array(512 * 1024));
    for (let round = 0; round < 200 && !ear.events.at(-1)?.startsWith("closed 4"); round++) {
      sockets.write(4 as StreamId, chunk);
      await nextRound();
    }
    expect(ear.events.at(-1)).toBe("closed 4 too much waited to be sent");
    deaf.destroy();
  });
});
