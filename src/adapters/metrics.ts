// Every figure that an agent publishes, by name, with what it means and what its labels may be.
// Owns the registry and what is counted as it happens; figures that are looked up when somebody
// asks are node-metrics.ts. Labels come from lists of ours, never from what clients send.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

import type { DiskOperation } from "../base/disk.ts";
import type { Notice } from "../base/notice.ts";
import type { Telemetry } from "../ports/telemetry.ts";

const RPC_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const DISK_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 5];

export class Metrics {
  readonly registry = new Registry();
  readonly rpcStarted: Counter<"method">;
  readonly rpcHandled: Counter<"method" | "code">;
  readonly rpcSeconds: Histogram<"method">;
  readonly rpcInFlight: Gauge<"method">;
  readonly rpcMessages: Counter<"method" | "direction">;
  readonly notices: Counter<"what" | "level">;
  readonly diskSeconds: Histogram<"operation">;
  readonly diskFailures: Counter<"operation" | "code">;
  readonly diskBytes: Counter<"direction">;
  readonly diskInFlight: Gauge;

  constructor(version: string) {
    const registers = [this.registry];
    const counter = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
      new Counter({ name, help, labelNames, registers });
    const gauge = <Label extends string>(name: string, help: string, labelNames: Label[] = []) =>
      new Gauge({ name, help, labelNames, registers });
    this.rpcStarted = counter("cairn_rpc_started_total", "Calls that came.", ["method"]);
    this.rpcHandled = counter("cairn_rpc_handled_total", "Calls that ended, by gRPC status.", [
      "method",
      "code",
    ]);
    this.rpcSeconds = new Histogram({
      name: "cairn_rpc_duration_seconds",
      help: "From a call's first byte to its status; a stream's is its whole life.",
      labelNames: ["method"],
      buckets: RPC_SECONDS,
      registers,
    });
    this.rpcInFlight = gauge("cairn_rpc_in_flight", "Calls under way.", ["method"]);
    this.rpcMessages = counter("cairn_rpc_messages_total", "Messages, received or sent.", [
      "method",
      "direction",
    ]);
    this.notices = counter("cairn_notices_total", "What the node had to tell, as in its log.", [
      "what",
      "level",
    ]);
    this.diskSeconds = new Histogram({
      name: "cairn_disk_operation_seconds",
      help: "From handing an operation to the disk to its end, by kind; sync is an fdatasync.",
      labelNames: ["operation"],
      buckets: DISK_SECONDS,
      registers,
    });
    this.diskFailures = counter("cairn_disk_failures_total", "Disk operations that failed.", [
      "operation",
      "code",
    ]);
    this.diskBytes = counter("cairn_disk_bytes_total", "Bytes read from or written to files.", [
      "direction",
    ]);
    this.diskInFlight = gauge("cairn_disk_in_flight", "Disk operations that have not ended.");
    const build = gauge("cairn_build_info", "Always 1; which build runs.", ["version", "node"]);
    build.set({ version, node: process.version }, 1);
    collectDefaultMetrics({ register: this.registry });
  }

  /** The text that Prometheus reads. */
  text(): Promise<string> {
    return this.registry.metrics();
  }
}

/** Passes notices on, and counts them: `what` is one of our own words. */
export class CountingTelemetry implements Telemetry {
  readonly #metrics: Metrics;
  readonly #next: Telemetry;

  constructor(metrics: Metrics, next: Telemetry) {
    this.#metrics = metrics;
    this.#next = next;
  }

  notice(notice: Notice): void {
    this.#metrics.notices.inc({ what: notice.what, level: notice.level });
    this.#next.notice(notice);
  }
}

/** Bytes that an operation puts on the disk. */
export function bytesWrittenBy(operation: DiskOperation): number {
  if (operation.kind !== "write-at") return 0;
  return operation.parts.reduce((sum, part) => sum + part.length, 0);
}
