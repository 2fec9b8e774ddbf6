// The ports of one node and the door it opens to its service: the signature that production
// (src/main.ts) and simulation (sim/world.ts) share. Types only; createNode is in create-node.ts.

import type { ClientRequest, NodeStatus } from "../base/client.ts";
import type { Instant } from "../base/ids.ts";
import type { Prng } from "../base/prng.ts";
import type { LogStatus } from "../log/protocol.ts";
import type { Clients } from "../ports/clients.ts";
import type { Clock } from "../ports/clock.ts";
import type { Disk } from "../ports/disk.ts";
import type { FaultSites } from "../ports/fault-sites.ts";
import type { Network } from "../ports/network.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import type { RaftStatus } from "../raft/protocol.ts";
import type { StateMachine } from "../state/state-machine.ts";
import type { MailClass } from "./mailbox.ts";
import type { News, NodeEvent, NodeOutput, Stopped } from "./protocol.ts";
import type { CommittedState } from "./replica.ts";

export interface NodePorts {
  readonly clock: Clock;
  readonly disk: Disk;
  readonly network: Network;
  readonly clients: Clients;
  readonly telemetry: Telemetry;
  readonly prng: Prng;
  /** Hears every turn as it happened; null when nobody records. */
  readonly recorder: Recorder | null;
  /** Where the simulator ends processes; null in production. */
  readonly faultSites: FaultSites | null;
  /** A user's own machine on the log; null for the log alone. */
  readonly machine: StateMachine | null;
  /** Called once, when the node has stopped, cleanly or not. */
  readonly stopped: (how: Stopped) => void;
}

/**
 * Hears every turn twice: what it is about to take, before anything is touched, and what it
 * decided.
 */
export interface Recorder {
  turnBegins(now: Instant, events: readonly NodeEvent[]): void;
  /** `rang` is true when the turn ended with a deadline event of the host's own. */
  turnEnds(rang: boolean, output: NodeOutput | null): void;
}

/** A running node, as its composition root sees it. */
export interface NodeHost {
  /** Opens the log; requests are refused until the node serves. */
  start(): void;
  /** False: the mailbox for such requests is full, nothing was taken, no answer will come. */
  offer(request: ClientRequest): boolean;
  /** What discovery has found out; nothing is answered. */
  hear(news: News): void;
  /** Begins a clean stop; `stopped` is called when it is done. */
  stop(): void;
  status(): NodeStatus;
  /** For checkers and tools; null until the log is open. The same object until it changes. */
  raft(): RaftStatus | null;
  /** The same of the log; a fresh object each time. */
  log(): LogStatus;
  /** What the committed entries mean here, and up to which; null until the log is open. */
  committedState(): CommittedState | null;
  /** The same of mail that waits to be heard, by class. */
  mail(): Readonly<Record<MailClass, number>>;
}
