// A node's place in the network for tests: peer links behind a multiplexed port on loopback.

import type { Socket } from "node:net";

import { PeerLinks, type PeerLinksOptions } from "../../src/adapters/peer-links.ts";
import { PortMux, type PortMuxOptions } from "../../src/adapters/port-mux.ts";
import type { NodeId } from "../../src/base/ids.ts";
import type { Notice } from "../../src/base/notice.ts";

export const FRAME_BYTES_MAX = 1_000_000;

export interface PeerEnd {
  readonly name: NodeId;
  readonly network: PeerLinks;
  readonly mux: PortMux;
  readonly address: string;
  readonly port: number;
  readonly notices: Notice[];
  /** Connections that were not a peer's. */
  readonly clients: Socket[];
  close(): void;
}

export async function listenAsPeer(
  name: string,
  links: Partial<PeerLinksOptions> = {},
  port: Partial<PortMuxOptions> = {},
): Promise<PeerEnd> {
  const notices: Notice[] = [];
  const clients: Socket[] = [];
  const telemetry = { notice: (notice: Notice): void => void notices.push(notice) };
  const network = new PeerLinks({
    certificates: null,
    frameBytesMax: FRAME_BYTES_MAX,
    sendBytesMax: 4_000_000,
    telemetry,
    ...links,
  });
  const mux = new PortMux({
    host: "127.0.0.1",
    port: 0,
    onPeer: (socket) => network.accept(socket),
    onClient: (socket) => clients.push(socket),
    telemetry,
    ...port,
  });
  const bound = await mux.listen();
  return {
    name: name as NodeId,
    network,
    mux,
    address: `127.0.0.1:${bound}`,
    port: bound,
    notices,
    clients,
    close: () => {
      network.closeAll();
      mux.destroy();
    },
  };
}

/** One round of the event loop. */
export function nextRound(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Rounds of the event loop until `isDone`; the test's time-out ends what never comes. */
export async function until(isDone: () => boolean): Promise<void> {
  while (!isDone()) await nextRound();
}
