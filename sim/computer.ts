// One computer of the simulated cluster: a disk and a name that stay, and a node that lives on them
// until it crashes or stops and is made anew by createNode. Owns lives; when they end is decided by
// sim/mishaps.ts, and what an ended life leaves by the ports.

import { assert } from "../src/base/assert.ts";
import type { Answer, ClientRequest } from "../src/base/client.ts";
import type { DiskOperation, DiskResult } from "../src/base/disk.ts";
import { type Micros, millis, type NodeId, type WallMs } from "../src/base/ids.ts";
import type { Notice } from "../src/base/notice.ts";
import type { Prng } from "../src/base/prng.ts";
import type { GossipStatus } from "../src/gossip/protocol.ts";
import { createNode } from "../src/node/create-node.ts";
import type { NodeHost, NodePorts } from "../src/node/ports.ts";
import type { MemberAddress, NodeOptions, Stopped } from "../src/node/protocol.ts";
import type { FaultSite, FaultSites } from "../src/ports/fault-sites.ts";
import type { RaftStatus } from "../src/raft/protocol.ts";
import type { Audience } from "./audience.ts";
import type { DiskImage } from "./checks/disk-memory.ts";
import type { Digest } from "./digest.ts";
import type { Computer, CrashKind } from "./observer.ts";
import type { Plan } from "./plan.ts";
import { SimClock, SimWall } from "./sim-clock.ts";
import { isLate, type KeptGossip, SimDiscovery } from "./sim-discovery.ts";
import { SimDisk } from "./sim-disk.ts";
import type { SimGossipNetwork } from "./sim-gossip-network.ts";
import type { SimNetwork } from "./sim-network.ts";
import type { Timeline } from "./timeline.ts";

const CLUSTER_ID = "51a7e0000000000000000000000ca1f7";

const SERVING_LOOK_MICROS = 50_000;

/** Makes the user's machine of one life of one node; null where the log is all there is. */
export type MachineOf = (name: NodeId, life: number) => NodePorts["machine"];

/** What a computer stands in. */
export interface Surroundings {
  readonly plan: Plan;
  readonly timeline: Timeline;
  readonly network: SimNetwork;
  readonly audience: Audience;
  readonly digest: Digest;
  readonly prng: Prng;
  readonly members: readonly MemberAddress[];
  /** Null in plans without discovery. */
  readonly gossip: SimGossipNetwork | null;
  /** The user's machine of a node's life that begins now, or null. */
  readonly machineOf: MachineOf;
  /** An answer leaves a node. */
  readonly answered: (computer: SimComputer, answer: Answer) => void;
  /** An operation is about to take effect, or just did: the moment for a crash. */
  readonly effect: (
    computer: SimComputer,
    operation: DiskOperation,
    edge: "before" | "after",
  ) => void;
  /** A turn came to a fault site, and nothing of it has been performed: the moment for a crash. */
  readonly reachedSite: (computer: SimComputer, site: FaultSite) => void;
  /** A node is gone, whatever the reason. */
  readonly wentDown: (computer: SimComputer) => void;
  /** A node took a turn by which its Raft has changed, and lives on. */
  readonly tookTurn: (computer: SimComputer) => void;
  /** The node has stopped, cleanly or because it cannot go on. */
  readonly stopped: (computer: SimComputer, how: Stopped) => void;
}

export class SimComputer implements Computer {
  readonly name: NodeId;
  readonly place: number;
  readonly disk: SimDisk;
  readonly wallClock: SimWall;
  readonly #surroundings: Surroundings;
  readonly #prng: Prng;
  #clock: SimClock | null = null;
  #host: NodeHost | null = null;
  #discovery: SimDiscovery | null = null;
  #keptGossip: KeptGossip = { incarnation: 0 };
  #life = 0;
  /** Pauses that are in force. */
  #pauses = 0;
  /** What came to the door of a paused process, oldest first. */
  #atTheDoor: (() => void)[] = [];
  /** True between the two ends of a turn, and for good when it threw. */
  isInTurn = false;
  #isLost = false;
  /** It has failed for ever: nobody starts it again either. */
  isOutside = false;
  /** What its Raft said last in an earlier life on this disk. */
  #lastRaft: RaftStatus | null = null;
  /** Of the last turn; undefined until somebody asks. */
  #raft: RaftStatus | null | undefined = undefined;
  /** As it was told last. */
  #toldRaft: RaftStatus | null = null;

  constructor(place: number, surroundings: Surroundings) {
    const { timeline, plan } = surroundings;
    this.name = nameOf(place);
    this.place = place;
    this.#surroundings = surroundings;
    this.#prng = surroundings.prng.fork(this.name);
    this.wallClock = new SimWall(timeline, plan.wallAheadMs[place] ?? 0);
    this.disk = new SimDisk(timeline, plan.disk, this.#prng.fork("disk"), {
      submitted: (operation) => this.#submitted(operation),
      reached: (operation) => this.#survives(operation, "before"),
      applied: (operation, result) => this.#applied(operation, result),
    });
  }

  get life(): number {
    return this.#life;
  }

  get host(): NodeHost | null {
    return this.#host;
  }

  get raft(): RaftStatus | null {
    if (this.#raft === undefined) this.#raft = this.#host?.raft() ?? null;
    return this.#raft;
  }

  get gossip(): GossipStatus | null {
    return this.#discovery?.status() ?? null;
  }

  /** What its Raft says, or said last of what is on its disk; null before it said anything. */
  get known(): RaftStatus | null {
    return this.raft ?? this.#lastRaft;
  }

  /** Its disk is damaged, or has forgotten something: nobody starts it again. */
  get isLost(): boolean {
    return this.#isLost;
  }

  get isPaused(): boolean {
    return this.#pauses > 0;
  }

  get wall(): WallMs {
    return (this.#clock?.wall() ?? 0) as WallMs;
  }

  /** Makes a node on what the disk holds. */
  start(): void {
    assert(this.#host === null, "a computer runs one node at a time", this.name);
    const { network, audience, plan } = this.#surroundings;
    this.#life++;
    this.#raft = undefined;
    const prng = this.#prng.fork(`life ${this.#life}`);
    const origin = prng.below(1_000_000_000);
    const clock = this.#makeClock(origin, prng.fork("clock"), () => this.#tookTurn());
    this.#clock = clock;
    const founders = plan.discovery === null ? this.#surroundings.members : [];
    this.#host = createNode(nodeOptionsOf(plan, this.name, founders), {
      clock,
      disk: this.disk,
      network: network.plug(this.name),
      clients: { answer: (answer) => this.#answered(answer) },
      telemetry: { notice: (notice) => this.#noticed(notice) },
      prng: prng.fork("node"),
      recorder: null,
      machine: this.#surroundings.machineOf(this.name, this.#life),
      faultSites: this.#makeFaultSites(),
      stopped: (how) => this.#surroundings.stopped(this, how),
    });
    audience.tell("nodeStarted", this);
    this.#host.start();
    if (plan.discovery !== null) this.#awaitServing(origin, prng.fork("discovery"));
  }

  #makeClock(origin: number, prng: Prng, rang: () => void): SimClock {
    const { timeline, plan } = this.#surroundings;
    return new SimClock(timeline, {
      origin,
      driftPpm: plan.driftPpm[this.place] ?? 0,
      wall: this.wallClock,
      prng,
      rings: () => {
        this.#raft = undefined;
        this.isInTurn = true;
      },
      rang,
    });
  }

  /** Gossip begins when the node serves, as in an agent. */
  #awaitServing(origin: number, prng: Prng): void {
    const life = this.#life;
    const { timeline, plan, gossip: network } = this.#surroundings;
    timeline.after(SERVING_LOOK_MICROS, () => {
      const host = this.#host;
      if (host === null || this.#life !== life || plan.discovery === null || network === null)
        return;
      const isEarly = isLate(plan.discovery, this.place) && timeline.now < lateMicros(plan);
      if (isEarly || host.status().state !== "serving") {
        this.#awaitServing(origin, prng);
        return;
      }
      this.#discovery = new SimDiscovery({
        ...{ name: this.name, place: this.place, address: addressOf(this.name) },
        ...{ plan, planned: plan.discovery, host, network },
        clock: this.#makeClock(origin, prng.fork("clock"), () => this.#gossiped()),
        prng: prng.fork("gossip"),
        telemetry: { notice: (notice) => this.#noticed(notice) },
        kept: this.#keptGossip,
      });
      if (this.isPaused) this.#discovery.pause();
    });
  }

  #gossiped(): void {
    this.isInTurn = false;
    this.#surroundings.digest.mix(this.place);
    this.#surroundings.audience.tell("gossiped", this);
  }

  #noticed(notice: Notice): void {
    this.#surroundings.digest.mixText(notice.what);
    this.#surroundings.audience.tell("noticed", this, notice);
  }

  #answered(answer: Answer): void {
    if (this.#discovery?.maybeAnswered(answer) === true) return;
    this.#surroundings.answered(this, answer);
  }

  /** The same when it is down, and not for good. */
  maybeStart(): void {
    if (this.#host === null && !this.isLost && !this.isOutside) this.start();
  }

  /** Ends the node between two events. The power can go while it is down, too. */
  crash(kind: CrashKind): void {
    if (this.#host !== null) this.#unplug(kind);
    const loss = this.disk.crash(kind);
    const hasForgotten = this.#lookAtDisk();
    this.#surroundings.audience.tell("nodeCrashed", this, kind, loss);
    if (hasForgotten) this.lose();
  }

  /** Takes down a node that said it has stopped. */
  retire(): void {
    this.#unplug("process");
    this.disk.crash("process");
    if (this.#lookAtDisk()) this.lose();
  }

  /** The power goes, and when it is back there is another disk: so old, or an empty one. */
  crashOnto(image: DiskImage, ageMs: number | null): void {
    const { audience } = this.#surroundings;
    if (this.#host !== null) this.#unplug("power");
    const loss = this.disk.crash("power");
    this.disk.replace(image);
    this.#keptGossip = { incarnation: 0 };
    // On an empty disk it is another instance, on an older one it knows less.
    this.#lastRaft = null;
    audience.tell("diskReplaced", this, ageMs);
    audience.tell("nodeCrashed", this, "power", loss);
  }

  /** Its disk has rotted: with nobody there the next node may start on less than was promised. */
  rottedWhileDown(): void {
    if (this.#host === null && this.#lookAtDisk()) this.lose();
  }

  /** Nobody starts a node on this disk any more. */
  lose(): void {
    if (this.#isLost) return;
    this.#isLost = true;
    this.#surroundings.audience.tell("diskLost", this);
  }

  /**
   * True when a node would start without a word on less than it promised, and must not. Where
   * nothing is bounded it may: then what the disk has forgotten never was.
   */
  #lookAtDisk(): boolean {
    const { forgotten } = this.disk;
    if (forgotten === null || this.#isLost) return false;
    if (this.#surroundings.plan.bounded) return true;
    this.disk.accept();
    this.#surroundings.audience.tell("diskForgot", this, forgotten);
    return false;
  }

  /** The process takes no turn until the returned function is called; nothing when it is down. */
  pause(): () => void {
    const life = this.#life;
    if (this.#host === null) return () => undefined;
    if (this.#pauses++ === 0) {
      this.#clock?.pause();
      this.#discovery?.pause();
      this.#surroundings.network.at(this.name)?.pause();
      this.#surroundings.audience.tell("nodePaused", this);
    }
    return () => {
      if (this.#host !== null && this.#life === life && --this.#pauses === 0) this.#resume();
    };
  }

  /** For what comes from a client while the process is paused. */
  whenAwake(arrive: () => void): void {
    this.#atTheDoor.push(arrive);
  }

  /** False: the node is down, or has no room. */
  offer(request: ClientRequest): boolean {
    if (this.#host === null || !this.#host.offer(request)) return false;
    this.#surroundings.audience.tell("offered", this, request);
    return true;
  }

  #resume(): void {
    this.#surroundings.audience.tell("nodeResumed", this);
    this.#surroundings.network.at(this.name)?.resume();
    this.#openDoor();
    this.#discovery?.resume();
    this.#clock?.resume();
  }

  #openDoor(): void {
    for (const arrive of this.#atTheDoor.splice(0)) arrive();
  }

  #unplug(kind: CrashKind): void {
    this.#lastRaft = this.known;
    this.#pauses = 0;
    this.#clock?.halt();
    this.#clock = null;
    this.#discovery?.halt();
    this.#discovery = null;
    this.#host = null;
    this.#raft = null;
    this.#surroundings.network.unplug(this.name, kind);
    this.#surroundings.wentDown(this);
    this.#openDoor();
  }

  #tookTurn(): void {
    this.isInTurn = false;
    const { digest, timeline, audience, tookTurn } = this.#surroundings;
    digest.mix(this.place);
    digest.mixCount(timeline.now);
    if (this.#host === null) return;
    const { raft } = this;
    const hasChanged = raft !== null && raft !== this.#toldRaft;
    if (hasChanged) {
      this.#toldRaft = raft;
      audience.tellRaft(this, raft);
    }
    audience.tellTurn(this);
    if (hasChanged) tookTurn(this);
  }

  /** The sites of one life: at the end of its turn a node may die at the first that it came to. */
  #makeFaultSites(): FaultSites {
    const life = this.#life;
    const reached: FaultSite[] = [];
    return {
      reached: (site) => void reached.push(site),
      survives: () => {
        for (const site of reached.splice(0)) this.#surroundings.reachedSite(this, site);
        return this.#host !== null && this.#life === life;
      },
    };
  }

  #submitted(operation: DiskOperation): void {
    const { digest, audience } = this.#surroundings;
    digest.mixText(operation.kind);
    digest.mixCount(operation.opId);
    if (operation.kind === "write-at") for (const part of operation.parts) digest.mixBytes(part);
    audience.tellSubmitted(this, operation);
  }

  #applied(operation: DiskOperation, result: DiskResult): boolean {
    const { digest, audience } = this.#surroundings;
    digest.mixText(result.kind);
    digest.mixCount(operation.opId);
    audience.tellCompleted(this, operation, result);
    return this.#survives(operation, "after");
  }

  /** False when that was the moment for a crash. */
  #survives(operation: DiskOperation, edge: "before" | "after"): boolean {
    const life = this.#life;
    this.#surroundings.effect(this, operation, edge);
    return this.#host !== null && this.#life === life;
  }
}

function nameOf(place: number): NodeId {
  return `n${place}` as NodeId;
}

/** All members of a cluster of that size, with addresses that no simulated network reads. */
export function membersOf(nodes: number): MemberAddress[] {
  return Array.from({ length: nodes }, (_, place) => {
    const id = nameOf(place);
    return { id, address: addressOf(id) };
  });
}

export function addressOf(name: NodeId): string {
  return `${name}.sim:1`;
}

/** More than any state of a simulated log. */
const SNAPSHOT_BYTES_MAX = 16 * 1024 * 1024;
/** So small that a state has many, and more than a receiver's log writes before it syncs. */
const SNAPSHOT_PART_BYTES = 64;

function nodeOptionsOf(plan: Plan, name: NodeId, members: readonly MemberAddress[]): NodeOptions {
  const isFounder = members.slice(0, plan.founders ?? members.length).some(({ id }) => id === name);
  const {
    electionTimeoutMinMs,
    electionTimeoutMaxMs,
    heartbeatIntervalMs,
    redialMinMs,
    redialMaxMs,
    scrubEveryMs,
    commitNoticeMicros,
    lostLeaderDivisor,
    ...bounds
  } = plan.options;
  return {
    ...bounds,
    name,
    clusterId: CLUSTER_ID,
    address: addressOf(name),
    // Who founds nothing waits to be admitted.
    members: isFounder ? members.slice(0, plan.founders ?? members.length) : [],
    electionTimeoutMin: millis(electionTimeoutMinMs),
    electionTimeoutMax: millis(electionTimeoutMaxMs),
    heartbeatInterval: millis(heartbeatIntervalMs),
    commitNoticeDelay: commitNoticeMicros as Micros,
    ...(lostLeaderDivisor === 1 ? {} : { lostLeaderDivisor }),
    snapshotBytesMax: SNAPSHOT_BYTES_MAX,
    snapshotPartBytes: SNAPSHOT_PART_BYTES,
    redialMin: millis(redialMinMs),
    redialMax: millis(redialMaxMs),
    scrubEvery: millis(scrubEveryMs),
  };
}

/** When nodes that are no founders begin to gossip. */
const lateMicros = ({ discovery }: Plan): number => (discovery?.lateMs ?? 0) * 1000;
