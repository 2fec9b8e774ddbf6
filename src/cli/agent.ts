// `cairn agent`: one real node. The composition root: settings, the data directory's lock, the
// node with everything around it (node-assembly.ts), signals and the end. Decides nothing about the
// log.

import { readdirSync } from "node:fs";
import { lockDataDirectory } from "../adapters/data-lock.ts";
import { chooseIndex } from "../adapters/index-maps.ts";
import type { NodeSources } from "../adapters/node-metrics.ts";
import { RecordingWriter } from "../adapters/recording-writer.ts";
import { PinoTelemetry } from "../adapters/telemetry-pino.ts";
import { InvariantViolation } from "../base/assert.ts";
import type { NodeOptions, Stopped } from "../node/protocol.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import { AgentDiscovery } from "./agent-discovery.ts";
import { createLogger, LastTurns, Recorders } from "./agent-log.ts";
import { AgentMetrics } from "./agent-metrics.ts";
import { AgentSecurity } from "./agent-security.ts";
import { type AgentConfig, loadAgentConfig } from "./config.ts";
import { CommandError, describeError, EXIT } from "./exit.ts";
import type { AgentReady } from "./local-cluster.ts";
import { NodeAssembly } from "./node-assembly.ts";
import { onAskedToStop } from "./signals.ts";
import { say } from "./terminal.ts";

type Logger = ReturnType<typeof createLogger>;

/** Calls under way get this part of the time that a clean stop may take. */
const GRACE_SHARE = 0.5;

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
    await new Agent(config, security, logger, version).run();
  } finally {
    await lock.release();
  }
}

class Agent {
  readonly #config: AgentConfig;
  readonly #version: string;
  readonly #security: AgentSecurity;
  readonly #logger: Logger;
  readonly #telemetry: Telemetry;
  readonly #metrics: AgentMetrics;
  readonly #node: NodeAssembly;
  readonly #lastTurns = new LastTurns();
  #recording: RecordingWriter | null = null;
  #discovery: AgentDiscovery | null = null;
  #isEnding = false;
  #askToStop: (why: string) => void = () => undefined;

  constructor(config: AgentConfig, security: AgentSecurity, logger: Logger, version: string) {
    this.#config = config;
    this.#version = version;
    this.#security = security;
    this.#logger = logger;
    this.#metrics = new AgentMetrics(config, version, logger);
    const telemetry = this.#metrics.counted(new PinoTelemetry(logger));
    this.#telemetry = telemetry;
    const { serverTls, peerTls, authorizer } = security;
    this.#node = new NodeAssembly(config, {
      serverTls,
      peerTls,
      authorizer,
      anonymousSubject: null,
      telemetry,
      index: this.#openIndex(),
      machine: null,
      watchers: this.#metrics.watchers,
      measured: (disk) => this.#metrics.measured(disk),
      recorder: (options, seed) => this.#openRecorder(options, seed),
    });
    security.watch(telemetry, { server: this.#node.fronts, peer: this.#node.links });
  }

  async run(): Promise<void> {
    process.on("uncaughtException", (error) => this.#die(error));
    const asked = this.#untilAskedToStop();
    const { listenHost, listenPort } = this.#config;
    try {
      await this.#node.listen();
    } catch (error) {
      const key = `rpc-port: ${describeError(error)}`;
      throw new CommandError(`${key}; choose another address with --bind-addr and --rpc-port`);
    }
    this.#logger.info({ address: `${listenHost}:${listenPort}` }, "listening");
    await this.#node.fronts.listen();
    await this.#metrics.listen(this.#sources(), this.#telemetry);
    if (this.#config.serverTls === null) {
      const why = "without server-tls files nobody can prove who they are: all is refused";
      this.#logger.warn({ why }, "no-transport-security");
    }
    this.#node.host.start();
    const serving = this.#serve();
    serving.catch(() => undefined); // Awaited below; until then nobody listens.
    const how = await Promise.race([asked.then(() => null), serving, this.#node.stopped]);
    this.#isEnding = true;
    await this.#close(how);
  }

  #sources(): NodeSources {
    const { fronts, host } = this.#node;
    return {
      host,
      clients: () => {
        const { connections, unreadBytes } = fronts;
        return { inFlight: this.#node.inFlight, connections, unreadBytes };
      },
      gossip: () => this.#discovery?.membership.status() ?? null,
      certificates: () => this.#security.ends(),
    };
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

  #openRecorder(options: NodeOptions, seed: string): Recorders {
    const { recordDir } = this.#config;
    if (recordDir === null) return new Recorders([this.#lastTurns]);
    this.#recording = openRecording(recordDir, options, seed);
    this.#logger.warn({ file: this.#recording.file }, "recording every turn: this grows fast");
    return new Recorders([this.#lastTurns, this.#recording]);
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
      this.#askToStop = ask;
      onAskedToStop(ask);
      process.on("disconnect", () => ask("the parent process is gone"));
    });
  }

  /** Never resolves; rejects when this agent cannot serve as it was told to. */
  async #serve(): Promise<never> {
    const isServing = await this.#node.untilServing();
    if (isServing) this.#tellServing();
    const { gossip } = this.#config;
    if (gossip !== null && isServing) {
      const { host, clock } = this.#node;
      const discovery = await AgentDiscovery.open(this.#config, gossip, {
        host,
        clock,
        telemetry: this.#telemetry,
        change: (change) => this.#node.changeMembership(change),
        version: this.#version,
      });
      this.#discovery = discovery;
      this.#node.attachGossip({
        members: () => discovery.membership.members(),
        leave: async () => {
          await discovery.membership.leave();
          // Calls under way are let finish: this one's answer, too.
          this.#askToStop("it has left");
        },
        forceLeave: (name, prune) => discovery.forceLeave(name, prune),
        keys: (act, key) => discovery.keys(act, key),
        rtt: (from, to) => discovery.membership.rtt(from, to),
        sendEvent: (name, payload, coalesce) =>
          discovery.membership.userEvent(name, payload, { coalesce }),
        query: (...question) => discovery.membership.query(...question),
        watch: () => discovery.talk.watch(),
      });
      // A stop that came while contacts were asked has found nothing to close.
      if (this.#isEnding) await discovery.close();
    }
    return new Promise(() => undefined);
  }

  #tellServing(): void {
    const { listenHost, listenPort } = this.#config;
    const address = `${listenHost}:${listenPort}`;
    this.#logger.info({ address, index: this.#node.indexKind }, "serving");
    const ready: AgentReady = { ready: true, address, index: this.#node.indexKind };
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
    this.#metrics.close();
    await this.#discovery?.close();
    const graceMs = how === null ? stopTimeoutMs * GRACE_SHARE : 0;
    const begunMs = performance.now();
    await this.#node.closeDoors(graceMs);
    if (how === null && performance.now() - begunMs >= graceMs) {
      const { inFlight } = this.#node;
      this.#logger.warn({ graceMs, inFlight }, "calls-cut-off");
    }
    const end = await this.#node.close();
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
