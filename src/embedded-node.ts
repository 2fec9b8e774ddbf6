// What `import ... from "cairnlog/node"` gives: one member of a cluster inside your own process,
// and your own StateMachine on its log. The node is the one that `cairn agent` runs
// (src/cli/node-assembly.ts); this file binds options, a client of the cluster and the machine's
// progress to it. Touches neither signals nor the environment.

import { setTimeout as sleep } from "node:timers/promises";

import { type DataLock, lockDataDirectory } from "./adapters/data-lock.ts";
import { chooseIndex } from "./adapters/index-maps.ts";
import type { NodeStatus } from "./base/client.ts";
import type { Notice } from "./base/notice.ts";
import { AppliedMachine } from "./cli/applied-machine.ts";
import { type AgentConfig, loadAgentConfig } from "./cli/config.ts";
import { describeError } from "./cli/exit.ts";
import { NodeAssembly } from "./cli/node-assembly.ts";
import { splitAddress } from "./cli/settings.ts";
import { checkPeerCertificate, type TlsPems } from "./cli/tls-files.ts";
import {
  type AppendOptions,
  type AppendResult,
  type CairnClient,
  CairnError,
  connect,
  type RecordToAppend,
} from "./client/client.ts";
import type { Stopped } from "./node/protocol.ts";
import type { StateMachine } from "./state/state-machine.ts";

export type { FrozenBytes } from "./base/bytes.ts";
export type { NodeStatus } from "./base/client.ts";
export type { EntryHead } from "./base/entry.ts";
export type { Notice } from "./base/notice.ts";
export { decodeBatch, type RecordView } from "./base/record-batch.ts";
export {
  type AppendOptions,
  type AppendResult,
  type CairnClient,
  CairnError,
  type RecordToAppend,
} from "./client/client.ts";
export type { Stopped } from "./node/protocol.ts";
export type { StateMachine } from "./state/state-machine.ts";

/** Contents of PEM files that belong together. */
export interface NodePems {
  readonly cert: Buffer | string;
  readonly key: Buffer | string;
  readonly ca: Buffer | string;
}

export interface CreateNodeOptions {
  /** This member's name among `peers`. */
  readonly name: string;
  /** Made when missing; one node a directory. */
  readonly dataDir: string;
  /** `host:port` to listen on: this member's place in `peers`. */
  readonly address: string;
  /** The founders' addresses by name, this one among them; the same on each. */
  readonly peers: Readonly<Record<string, string>>;
  /** A name that only members of one cluster share; absent: made of the founders' names. */
  readonly clusterId?: string;
  /**
   * Certificates as `cairn certs node` makes them: `server` for clients and for this node's own
   * client, `peer` for links between members. Whoever has a certificate of `server.ca` may do
   * everything. Absent: plaintext, on loopback addresses only.
   */
  readonly tls?: { readonly server: NodePems; readonly peer: NodePems };
  /**
   * Hears every committed record; to be made anew for each node. What it throws is an uncaught
   * exception of the process: a machine that cannot go on must not.
   */
  readonly machine?: StateMachine;
  /** The lower bound of the time without a leader until an election; 1000. */
  readonly electionTimeoutMs?: number;
  /** Hears what operators should know. */
  readonly onNotice?: (notice: Notice) => void;
}

export interface LinearizableOptions {
  readonly signal?: AbortSignal;
  /** 30,000. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 30_000;
const GRACE_MS = 2_000;
/** Between two looks at how far the machine has come. */
const LOOK_MS = 2;

/**
 * Locks the directory, opens the log, listens, and meets the others. Resolves once the node serves,
 * which is before there is a leader. Rejects with an Error that names the option that is wrong, or
 * says why the directory or the address cannot be used.
 */
export async function createNode(options: CreateNodeOptions): Promise<EmbeddedNode> {
  const config = configOf(options);
  const lock = await lockDataDirectory(config.dataDir);
  const node = await openNode(config, options, lock).catch(async (error: unknown) => {
    await lock.release();
    throw error;
  });
  return node;
}

async function openNode(
  config: AgentConfig,
  { tls, machine, onNotice = () => undefined }: CreateNodeOptions,
  lock: DataLock,
): Promise<EmbeddedNode> {
  const serverTls = tls === undefined ? null : pemsOf(tls.server);
  const peerTls = tls === undefined ? null : pemsOf(tls.peer);
  if (peerTls !== null) checkPeerCertificate(peerTls, PEER_PARTS, config.nodeName);
  const applied = machine === undefined ? null : new AppliedMachine(machine);
  const assembly = new NodeAssembly(config, {
    serverTls,
    peerTls,
    authorizer: { allows: () => true },
    anonymousSubject: serverTls === null ? "loopback" : null,
    telemetry: { notice: onNotice },
    index: chooseIndex(config.index).maps,
    machine: applied,
    // Its program may have an OpenTelemetry SDK; figures it takes from the node itself.
    watchers: [],
    measured: (disk) => disk,
    recorder: null,
  });
  try {
    await assembly.listen();
  } catch (error) {
    await assembly.release();
    throw error;
  }
  const client = connect({
    addresses: config.members.map(({ address }) => address),
    ...(serverTls === null ? {} : { credentials: serverTls }),
  });
  const node = new EmbeddedNode(assembly, client, applied, lock);
  assembly.host.start();
  if (await assembly.untilServing()) return node;
  const end = await node.stopped;
  throw new Error(end.kind === "failed" ? end.why : "the node has stopped");
}

const PEER_PARTS = { cert: "tls.peer.cert", key: "tls.peer.key", ca: "tls.peer.ca" };

/** A member of the cluster in this process. */
export class EmbeddedNode {
  /** Of the whole cluster, by all founders' addresses; closed with the node. */
  readonly client: CairnClient;
  /** Resolves when the node has ended and everything of it is closed; never rejects. */
  readonly stopped: Promise<Stopped>;
  readonly #assembly: NodeAssembly;
  readonly #applied: AppliedMachine | null;
  #isEnding = false;

  constructor(
    assembly: NodeAssembly,
    client: CairnClient,
    applied: AppliedMachine | null,
    lock: DataLock,
  ) {
    this.#assembly = assembly;
    this.#applied = applied;
    this.client = client;
    this.stopped = assembly.stopped.then(async (how) => {
      // By itself: there is nobody left to be gentle with.
      if (!this.#isEnding) await this.#closeDoors(0);
      await assembly.release();
      await lock.release();
      return how;
    });
  }

  /**
   * Appends at consecutive offsets, all or none, wherever the leader is; resolves with the first
   * offset once a majority has the records on disk. Idempotent: it is tried again without doubling.
   */
  append(records: readonly RecordToAppend[], options: AppendOptions = {}): Promise<AppendResult> {
    return this.client.append(records, options);
  }

  /**
   * Resolves when this node's machine has applied everything that was acknowledged anywhere before
   * the call: what it says then is linearizable. Without a machine: when all that is committed
   * here. Rejects with a CairnError: "deadline-exceeded", "cancelled", or "closed".
   */
  async linearizable(options: LinearizableOptions = {}): Promise<void> {
    const { signal: given, timeoutMs = TIMEOUT_MS } = options;
    const patience = AbortSignal.timeout(timeoutMs);
    const signal = given === undefined ? patience : AbortSignal.any([given, patience]);
    const reason = () =>
      given?.aborted === true
        ? new CairnError("cancelled", "aborted")
        : new CairnError("deadline-exceeded", `not up to date within ${timeoutMs} ms`);
    const end = await orAborted(this.client.checkTail({ signal }), signal, reason);
    while (this.appliedEndOffset < end) {
      if (this.#isEnding) throw new CairnError("closed", "the node was stopped");
      if (signal.aborted) throw reason();
      await sleep(LOOK_MS);
    }
  }

  /** End of what the machine has applied, exclusive; without one, of what is committed here. */
  get appliedEndOffset(): number {
    return this.#applied?.endOffset ?? this.#assembly.host.status().endOffset;
  }

  status(): NodeStatus {
    return this.#assembly.host.status();
  }

  /** Ends calls under way, then the node; resolves with how it ended. May be called again. */
  async stop(): Promise<Stopped> {
    if (!this.#isEnding) {
      await this.#closeDoors(GRACE_MS);
      this.#assembly.host.stop();
    }
    return this.stopped;
  }

  async #closeDoors(graceMs: number): Promise<void> {
    this.#isEnding = true;
    this.client.close();
    await this.#assembly.closeDoors(graceMs);
  }
}

function orAborted<T>(promise: Promise<T>, signal: AbortSignal, reason: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(reason());
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

function pemsOf({ cert, key, ca }: NodePems): TlsPems {
  return { cert: Buffer.from(cert), key: Buffer.from(key), ca: Buffer.from(ca) };
}

/** The agent's settings, each checked as the agent's, and its defaults. */
function configOf(options: CreateNodeOptions): AgentConfig {
  const { name, dataDir, address, peers, clusterId, electionTimeoutMs } = options;
  const place = splitAddress(address);
  if (place === null) throw refused("address", `expected host:port, got ${address}`);
  if (Object.hasOwn(peers, name) && peers[name] !== address) {
    throw refused("address", `${address}, but peers says that ${name} is ${peers[name]}`);
  }
  if (options.tls === undefined) {
    for (const [peer, where] of Object.entries(peers)) checkLoopback(peer, where);
  }
  const flags = {
    "node-name": name,
    "data-dir": dataDir,
    peers,
    ...(clusterId === undefined ? {} : { "cluster-id": clusterId }),
    ...(electionTimeoutMs === undefined ? {} : { "election-timeout-ms": electionTimeoutMs }),
  };
  try {
    const givenBy = { originOf: () => "createNode", answersForLinks: true };
    return loadAgentConfig(flags, {}, givenBy);
  } catch (error) {
    throw new Error(describeError(error), { cause: error });
  }
}

function checkLoopback(peer: string, address: string): void {
  const host = splitAddress(address)?.host ?? "";
  if (/^127(\.\d{1,3}){3}$/.test(host) || host === "::1" || host === "localhost") return;
  const why = "without tls nothing but loopback is served";
  throw refused("peers", `${peer} is ${address}, and ${why}: give tls: { server, peer }`);
}

function refused(option: string, what: string): Error {
  return new Error(`createNode: ${option}: ${what}`);
}
