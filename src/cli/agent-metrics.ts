// What an agent shows of itself: figures on a port of their own, spans to whatever OpenTelemetry
// SDK the process has, a line a call in a log that is that talkative. Owns their making and their
// end; what each says is in src/adapters.

import type { Logger } from "pino";

import { LogWatcher, MetricsWatcher, TraceWatcher } from "../adapters/call-watchers.ts";
import { isAlive, isReady } from "../adapters/grpc-standard.ts";
import type { CallWatcher } from "../adapters/grpc-watch.ts";
import { MeasuredDisk } from "../adapters/measured-disk.ts";
import { CountingTelemetry, Metrics } from "../adapters/metrics.ts";
import { MetricsServer } from "../adapters/metrics-server.ts";
import { NodeMetrics, type NodeSources } from "../adapters/node-metrics.ts";
import type { Disk } from "../ports/disk.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import type { AgentConfig } from "./config.ts";
import { CommandError, describeError } from "./exit.ts";

export class AgentMetrics {
  /** Who watches the calls of clients. */
  readonly watchers: readonly CallWatcher[];
  readonly #address: AgentConfig["metrics"];
  readonly #metrics: Metrics | null;
  #server: MetricsServer | null = null;

  constructor({ metrics: address }: AgentConfig, version: string, logger: Logger) {
    this.#address = address;
    this.#metrics = address === null ? null : new Metrics(version);
    const counting = this.#metrics === null ? [] : [new MetricsWatcher(this.#metrics)];
    this.watchers = [...counting, new TraceWatcher(version), new LogWatcher(logger)];
  }

  /** The same telemetry, counted where there are figures. */
  counted(telemetry: Telemetry): Telemetry {
    return this.#metrics === null ? telemetry : new CountingTelemetry(this.#metrics, telemetry);
  }

  /** The same disk, measured where there are figures. */
  measured(disk: Disk): Disk {
    return this.#metrics === null ? disk : new MeasuredDisk(disk, this.#metrics);
  }

  /** Listens where it was told to; throws CommandError when it cannot. */
  async listen(sources: NodeSources, telemetry: Telemetry): Promise<void> {
    const [address, metrics] = [this.#address, this.#metrics];
    if (address === null || metrics === null) return;
    const node = new NodeMetrics(metrics.registry, sources);
    this.#server = new MetricsServer({
      ...address,
      metrics: () => {
        node.collect();
        return metrics.text();
      },
      isReady: () => isReady(sources.host.status()),
      isAlive: () => isAlive(sources.host.status()),
    });
    try {
      await this.#server.listen();
    } catch (error) {
      throw new CommandError(`metrics-addr: ${describeError(error)}`);
    }
    const facts = { address: `${address.host}:${address.port}` };
    telemetry.notice({ level: "info", what: "listening-for-metrics", facts });
  }

  close(): void {
    this.#server?.close();
  }
}
