// One real node with everything around it: the ports of src/adapters, the node of src/node, the
// service, the one TCP port in front of both, and their common end. The agent and an embedding
// program (src/embedded-node.ts) are made of this; neither settings nor signals are read here.

import { randomBytes } from "node:crypto";

import { FileDisk } from "../adapters/file-disk.ts";
import type { CallWatcher } from "../adapters/grpc-watch.ts";
import { GZIP_PACKING } from "../adapters/gzip-packing.ts";
import type { IndexMaps } from "../adapters/index-maps.ts";
import { OsClock } from "../adapters/os-clock.ts";
import { PeerLinks } from "../adapters/peer-links.ts";
import { PortMux } from "../adapters/port-mux.ts";
import type { MembershipChange } from "../base/client.ts";
import type { Fault } from "../base/faults.ts";
import { Prng } from "../base/prng.ts";
import { createNode } from "../node/create-node.ts";
import type { NodeHost, Recorder } from "../node/ports.ts";
import type { NodeOptions, Stopped } from "../node/protocol.ts";
import type { Authorizer } from "../ports/authorizer.ts";
import type { Disk } from "../ports/disk.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import type { GossipControls } from "../service/admin-requests.ts";
import { LogService } from "../service/log-service.ts";
import type { StateMachine } from "../state/state-machine.ts";
import { ClientFronts } from "./client-fronts.ts";
import type { AgentConfig } from "./config.ts";
import { nodeOptionsOf, peerFrameBytesMax, serviceOptionsOf } from "./node-options.ts";
import type { TlsPems } from "./tls-files.ts";

const SEND_BYTES_MAX = 16 * 1024 * 1024;
const OPENING_LOOK_MS = 10;

export interface AssemblyParts {
  readonly serverTls: TlsPems | null;
  readonly peerTls: TlsPems | null;
  readonly authorizer: Authorizer;
  /** The subject of clients without TLS; null refuses them. */
  readonly anonymousSubject: string | null;
  readonly telemetry: Telemetry;
  readonly index: IndexMaps;
  readonly machine: StateMachine | null;
  /** Who watches clients' calls. */
  readonly watchers: readonly CallWatcher[];
  /** Puts something in front of the disk; the disk itself when nobody measures it. */
  readonly measured: (disk: Disk) => Disk;
  /** Makes what hears every turn; null when nobody does. */
  readonly recorder: ((options: NodeOptions, seed: string) => Recorder) | null;
}

export class NodeAssembly {
  readonly host: NodeHost;
  readonly clock = new OsClock();
  readonly links: PeerLinks;
  readonly fronts: ClientFronts;
  /** Resolves when the node has ended, cleanly or not; the rest is still open then. */
  readonly stopped: Promise<Stopped>;
  readonly #disk: FileDisk;
  readonly #service: LogService;
  readonly #mux: PortMux;

  constructor(config: AgentConfig, parts: AssemblyParts) {
    const { telemetry, authorizer, machine } = parts;
    const { limits } = config;
    const options = nodeOptionsOf(config);
    const seed = randomBytes(16).toString("hex");
    this.#disk = new FileDisk({ directory: config.dataDir, index: parts.index });
    this.links = new PeerLinks({
      certificates: parts.peerTls,
      frameBytesMax: peerFrameBytesMax(config),
      sendBytesMax: SEND_BYTES_MAX,
      acceptedMax: limits["peer-connections"],
      handshakeMsMax: limits["handshake-ms"],
      telemetry,
    });
    this.#service = new LogService(
      { ...serviceOptionsOf(config), anonymousSubject: parts.anonymousSubject },
      { authorizer, clock: this.clock, packing: GZIP_PACKING, telemetry },
    );
    const { serverTls: tls, watchers } = parts;
    this.fronts = new ClientFronts(config, this.#service, { tls, telemetry, watchers });
    this.#mux = this.#openPort(config, telemetry);
    const { promise, resolve } = withResolver<Stopped>();
    this.stopped = promise;
    this.host = createNode(options, {
      clock: this.clock,
      disk: parts.measured(this.#disk),
      network: this.links,
      clients: this.#service,
      telemetry,
      prng: new Prng(seed),
      recorder: parts.recorder?.(options, seed) ?? null,
      machine,
      faultSites: null,
      stopped: resolve,
    });
    this.#service.attach(this.host);
  }

  get indexKind(): FileDisk["indexKind"] {
    return this.#disk.indexKind;
  }

  /** Requests of clients without an answer. */
  get inFlight(): number {
    return this.#service.inFlight;
  }

  /** What operators may ask of gossip, from now on. */
  attachGossip(gossip: GossipControls): void {
    this.#service.admin.attachGossip(gossip);
  }

  /** As `LogService.changeMembership`. */
  changeMembership(change: MembershipChange): Promise<Fault | null> {
    return this.#service.changeMembership(change);
  }

  get isOpening(): boolean {
    return this.host.status().state === "opening";
  }

  /** Rejects with an Error for the operator when the port is not to be had. */
  async listen(): Promise<void> {
    await this.#mux.listen();
  }

  /** True once the node has opened its log and serves; false when it never will. */
  async untilServing(): Promise<boolean> {
    while (this.isOpening) await new Promise((resolve) => setTimeout(resolve, OPENING_LOOK_MS));
    return this.host.status().state === "serving";
  }

  /** Takes no further connections; clients' calls under way get `graceMs`. */
  async closeDoors(graceMs: number): Promise<void> {
    this.#mux.stopListening();
    await this.fronts.close(graceMs);
  }

  /** Ends everything in the order in which it depends on the rest; `closeDoors` comes before. */
  async close(): Promise<Stopped> {
    this.host.stop();
    const end = await this.stopped;
    await this.release();
    return end;
  }

  /** Gives back sockets, timers and files of a node that has ended, or was never started. */
  async release(): Promise<void> {
    this.links.closeAll();
    this.#mux.destroy();
    this.clock.close();
    await this.#disk.close();
  }

  #openPort({ listenHost, listenPort, limits }: AgentConfig, telemetry: Telemetry): PortMux {
    return new PortMux({
      host: listenHost,
      port: listenPort,
      // While the log is being opened the node has no links yet: a peer that is turned away dials
      // again at once, one that is taken would wait for a hello until it gives up.
      onPeer: (socket) => (this.isOpening ? socket.destroy() : this.links.accept(socket)),
      onClient: (socket) => this.fronts.inject(socket),
      telemetry,
      firstByteMsMax: limits["first-byte-ms"],
      silentMax: limits["silent-connections"],
      connectionsMax: limits.connections + limits["peer-connections"],
    });
  }
}

function withResolver<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}
