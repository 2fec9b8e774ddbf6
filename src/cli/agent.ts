// `cairn agent`: one real node. The composition root: settings, the data directory's lock, the
// ports, the node of src/node, the service, the one TCP port in front of both, signals and the end.
// Decides nothing about the log.

import { randomBytes } from "node:crypto";
import { readdirSync } from "node:fs";
import { lockDataDirectory } from "../adapters/data-lock.ts";
import { FileDisk } from "../adapters/file-disk.ts";
import { GZIP_PACKING } from "../adapters/gzip-packing.ts";
import { chooseIndex } from "../adapters/index-maps.ts";
import { OsClock } from "../adapters/os-clock.ts";
import { PeerLinks } from "../adapters/peer-links.ts";
import { PortMux } from "../adapters/port-mux.ts";
import { RecordingWriter } from "../adapters/recording-writer.ts";
import { PinoTelemetry } from "../adapters/telemetry-pino.ts";
import { InvariantViolation } from "../base/assert.ts";
import { Prng } from "../base/prng.ts";
import { createNode } from "../node/create-node.ts";
import type { NodeHost } from "../node/ports.ts";
import type { Stopped } from "../node/protocol.ts";
import { LogService } from "../service/log-service.ts";
import { AgentDiscovery } from "./agent-discovery.ts";
import { createLogger, LastTurns, Recorders } from "./agent-log.ts";
import { AgentSecurity } from "./agent-security.ts";
import { ClientFronts } from "./client-fronts.ts";
import { type AgentConfig, loadAgentConfig } from "./config.ts";
import { CommandError, describeError, EXIT } from "./exit.ts";
import type { AgentReady } from "./local-cluster.ts";
import { nodeOptionsOf, peerFrameBytesMax, serviceOptionsOf } from "./node-options.ts";
import { onAskedToStop } from "./signals.ts";
import { say } from "./terminal.ts";

type Logger = ReturnType<typeof createLogger>;

const SEND_BYTES_MAX = 16 * 1024 * 1024;
/** Calls under way get this part of the time that a clean stop may take. */
const GRACE_SHARE = 0.5;
const SERVING_LOOK_MS = 10;

/** Runs until a signal, its parent's end, or the node's own end. */
export async function runAgent(
  flags: Readonly<Record<string, unknown>>,
  version: string,
): Promise<void> {
  const config = loadAgentConfig(flags, process.env);
  const security = await AgentSecurity.open(config);
  const logger = createLogger(config.logLevel, { node: config.nodeName, pid: process.pid });
  const lock = await lockDataDirectory(config.dataDir).catch(refuseDirectory(config));
  checkMayCreate(config);
  logger.info({ version, nodejs: process.version, ...describeConfig(config) }, "starting");
  try {
    await new Agent(config, security, logger).run();
  } finally {
    await lock.release();
  }
}

class Agent {
  readonly #config: AgentConfig;
  readonly #security: AgentSecurity;
  readonly #logger: Logger;
  readonly #clock = new OsClock();
  readonly #disk: FileDisk;
  readonly #links: PeerLinks;
  readonly #service: LogService;
  readonly #fronts: ClientFronts;
  readonly #mux: PortMux;
  readonly #host: NodeHost;
  readonly #lastTurns = new LastTurns();
  readonly #recording: RecordingWriter | null;
  readonly #stopped: Promise<Stopped>;
  readonly #telemetry: PinoTelemetry;
  #discovery: AgentDiscovery | null = null;
  #isEnding = false;

  constructor(config: AgentConfig, security: AgentSecurity, logger: Logger) {
    this.#config = config;
    this.#security = security;
    this.#logger = logger;
    const telemetry = new PinoTelemetry(logger);
    this.#telemetry = telemetry;
    const options = nodeOptionsOf(config);
    const { limits } = config;
    const seed = randomBytes(16).toString("hex");
    this.#disk = new FileDisk({ directory: config.dataDir, index: this.#openIndex() });
    this.#links = new PeerLinks({
      certificates: security.peerTls,
      frameBytesMax: peerFrameBytesMax(config),
      sendBytesMax: SEND_BYTES_MAX,
      acceptedMax: limits["peer-connections"],
      handshakeMsMax: limits["handshake-ms"],
      telemetry,
    });
    this.#service = new LogService(serviceOptionsOf(config), {
      authorizer: security.authorizer,
      clock: this.#clock,
      packing: GZIP_PACKING,
      telemetry,
    });
    this.#fronts = new ClientFronts(config, this.#service, security.serverTls, telemetry);
    this.#mux = new PortMux({
      host: config.listenHost,
      port: config.listenPort,
      // While the log is being opened the node has no links yet: a peer that is turned away dials
      // again at once, one that is taken would wait for a hello until it gives up.
      onPeer: (socket) => (this.#isOpening() ? socket.destroy() : this.#links.accept(socket)),
      onClient: (socket) => this.#fronts.inject(socket),
      telemetry,
      firstByteMsMax: limits["first-byte-ms"],
      silentMax: limits["silent-connections"],
      connectionsMax: limits.connections + limits["peer-connections"],
    });
    this.#recording =
      config.recordDir === null ? null : openRecording(config.recordDir, options, seed);
    let stopped: (how: Stopped) => void = () => undefined;
    this.#stopped = new Promise((resolve) => {
      stopped = resolve;
    });
    this.#host = createNode(options, {
      clock: this.#clock,
      disk: this.#disk,
      network: this.#links,
      clients: this.#service,
      telemetry,
      prng: new Prng(seed),
      recorder: this.#recorder(),
      machine: null,
      faultSites: null,
      stopped,
    });
    this.#service.attach(this.#host);
    security.watch(telemetry, { server: this.#fronts, peer: this.#links });
  }

  async run(): Promise<void> {
    process.on("uncaughtException", (error) => this.#die(error));
    const asked = this.#untilAskedToStop();
    const { listenHost, listenPort } = this.#config;
    try {
      await this.#mux.listen();
    } catch (error) {
      const key = `rpc-port: ${describeError(error)}`;
      throw new CommandError(`${key}; choose another address with --bind-addr and --rpc-port`);
    }
    this.#logger.info({ address: `${listenHost}:${listenPort}` }, "listening");
    await this.#fronts.listen();
    if (this.#config.serverTls === null) {
      const why = "without server-tls files nobody can prove who they are: all is refused";
      this.#logger.warn({ why }, "no-transport-security");
    }
    this.#host.start();
    const serving = this.#serve();
    serving.catch(() => undefined); // Awaited below; until then nobody listens.
    const how = await Promise.race([asked.then(() => null), serving, this.#stopped]);
    this.#isEnding = true;
    await this.#close(how);
  }

  #openIndex(): ReturnType<typeof chooseIndex>["maps"] {
    try {
      const { maps, fallback } = chooseIndex(this.#config.index);
      this.#logger.info({ index: maps.kind, fallback }, "index");
      return maps;
    } catch (error) {
      throw new CommandError(`index: ${describeError(error)}`);
    }
  }

  #recorder(): Recorders {
    const all = [this.#lastTurns, ...(this.#recording === null ? [] : [this.#recording])];
    if (this.#recording !== null) {
      this.#logger.warn({ file: this.#recording.file }, "recording every turn: this grows fast");
    }
    return new Recorders(all);
  }

  /** Resolves at the first signal, or when the parent that started us for itself is gone. */
  #untilAskedToStop(): Promise<void> {
    return new Promise((resolve) => {
      const ask = (why: string) => {
        if (this.#isEnding) return;
        this.#isEnding = true;
        this.#logger.info({ why }, "stopping");
        resolve();
      };
      onAskedToStop(ask);
      process.on("disconnect", () => ask("the parent process is gone"));
    });
  }

  #isOpening(): boolean {
    return this.#host.status().state === "opening";
  }

  /** Never resolves; rejects when this agent cannot serve as it was told to. */
  async #serve(): Promise<never> {
    await this.#tellWhenServing();
    const { gossip } = this.#config;
    if (gossip !== null && this.#host.status().state === "serving") {
      const discovery = await AgentDiscovery.open(this.#config, gossip, {
        host: this.#host,
        clock: this.#clock,
        telemetry: this.#telemetry,
        change: (change) => this.#service.changeMembership(change),
      });
      this.#discovery = discovery;
      // A stop that came while contacts were asked has found nothing to close.
      if (this.#isEnding) await discovery.close();
    }
    return new Promise(() => undefined);
  }

  async #tellWhenServing(): Promise<void> {
    while (this.#isOpening()) {
      await new Promise((resolve) => setTimeout(resolve, SERVING_LOOK_MS));
    }
    if (this.#host.status().state !== "serving") return;
    const { listenHost, listenPort } = this.#config;
    const address = `${listenHost}:${listenPort}`;
    this.#logger.info({ address, index: this.#disk.indexKind }, "serving");
    const ready: AgentReady = { ready: true, address, index: this.#disk.indexKind };
    // A parent that left between spawn and now is found by "disconnect".
    process.send?.(ready, undefined, undefined, () => undefined);
  }

  /** Ends everything in the order in which it depends on the rest; bounded. */
  async #close(how: Stopped | null): Promise<void> {
    const { stopTimeoutMs } = this.#config;
    const patience = setTimeout(() => {
      say(`cairn: not stopped after ${stopTimeoutMs} ms (stop-timeout-ms): stopping at once`);
      process.exit(EXIT.failed);
    }, stopTimeoutMs);
    this.#security.close();
    await this.#discovery?.close();
    this.#mux.stopListening();
    const graceMs = how === null ? stopTimeoutMs * GRACE_SHARE : 0;
    const begunMs = performance.now();
    await this.#fronts.close(graceMs);
    if (how === null && performance.now() - begunMs >= graceMs) {
      const { inFlight } = this.#service;
      this.#logger.warn({ graceMs, inFlight }, "calls-cut-off");
    }
    this.#host.stop();
    const end = how ?? (await this.#stopped);
    this.#links.closeAll();
    this.#mux.destroy();
    this.#clock.close();
    await this.#disk.close();
    this.#recording?.close();
    clearTimeout(patience);
    if (process.connected) process.disconnect();
    if (end.kind === "failed") {
      this.#logger.error({ why: end.why }, "stopped");
      throw new CommandError(end.why);
    }
    this.#logger.info("stopped");
  }

  /** A bug: better one node less than one wrong record. */
  #die(error: unknown): void {
    const what = error instanceof InvariantViolation ? "broken invariant" : "unexpected error";
    const stack = error instanceof Error ? error.stack : String(error);
    this.#logger.fatal({ stack, lastTurns: this.#lastTurns.take() }, what);
    say(`cairn: ${what}: ${describeError(error)}; the last turns are in the log`);
    process.exit(EXIT.failed);
  }
}

function openRecording(
  ...[directory, options, seed]: ConstructorParameters<typeof RecordingWriter>
): RecordingWriter {
  try {
    return new RecordingWriter(directory, options, seed);
  } catch (error) {
    throw new CommandError(`record: ${describeError(error)}`, EXIT.usage);
  }
}

function refuseDirectory({ dataDir }: AgentConfig): (error: unknown) => never {
  return (error) => {
    const text = describeError(error);
    throw new CommandError(`data-dir: ${text.includes(dataDir) ? text : `${dataDir}: ${text}`}`);
  };
}

/** An empty directory becomes a cluster's beginning only when somebody said so. */
function checkMayCreate({ dataDir, mayCreate, gossip }: AgentConfig): void {
  if (mayCreate || gossip !== null || readdirSync(dataDir).some((name) => !name.startsWith(".")))
    return;
  const how =
    "--bootstrap begins a cluster of one, --peers names the members of a larger one, " +
    "--start-join-addrs finds one";
  throw new CommandError(
    `data-dir: ${dataDir} is empty, and no cluster is named: ${how}`,
    EXIT.usage,
  );
}

function describeConfig(config: AgentConfig): Record<string, unknown> {
  const { clusterId: cluster, dataDir, members, serverTls, peerTls } = config;
  const list = members.map(({ id, address }) => `${id}=${address}`).join(",");
  const kindOf = (files: unknown) => (files === null ? "none" : "mutual");
  const tls = `clients ${kindOf(serverTls)}, peers ${kindOf(peerTls)}`;
  return { cluster, dataDir, members: list, tls };
}
