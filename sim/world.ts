// A whole cluster in one process and in virtual time: computers, the network between them, their
// clients, and what goes wrong. One queue, one loop; everything else is somebody's event on the
// timeline. Owns the course of a run, from its first start to its verdict; a run is made of a plan,
// and of nothing else.
//
//   plan --> [ mishaps and work ] -- healAtMs --> [ recover ] --> [ audit ] --> verdict
//
// The nodes are those of production (createNode); only what they are plugged into differs.

import { assert, InvariantViolation } from "../src/base/assert.ts";
import type { Entry } from "../src/base/entry.ts";
import { type Instant, NEVER, type NodeId, type Offset } from "../src/base/ids.ts";
import { isJoint } from "../src/base/membership.ts";
import { Prng } from "../src/base/prng.ts";
import type { Stopped } from "../src/node/protocol.ts";
import { crashKnownWithinMs } from "../src/service/membership.ts";
import { Audience } from "./audience.ts";
import { Beyond } from "./beyond.ts";
import { findGhost, findStranger } from "./checks/discovery-watch.ts";
import { proveUnelectable } from "./checks/electable.ts";
import { ClientPath } from "./client-path.ts";
import { type MachineOf, membersOf, SimComputer, type Surroundings } from "./computer.ts";
import { Digest } from "./digest.ts";
import type { DigestTape } from "./digest-tape.ts";
import { Electorates, takesPart } from "./electorates.ts";
import { History } from "./history.ts";
import { Mishaps } from "./mishaps.ts";
import type { Computer, Observer, Stage, Violation } from "./observer.ts";
import type { Plan } from "./plan.ts";
import type { ClientRoom } from "./sim-caller.ts";
import { makeGossipNetwork } from "./sim-discovery.ts";
import type { SimGossipNetwork } from "./sim-gossip-network.ts";
import { SimNetwork } from "./sim-network.ts";
import { PLAIN_VALUES, type RecordValues } from "./sim-record.ts";
import { Timeline } from "./timeline.ts";
import { Workload } from "./workload.ts";

/** pass: nothing wrong was seen. The others say what went wrong first. */
export type Verdict =
  | { readonly kind: "pass" }
  /** A property does not hold. */
  | { readonly kind: "safety"; readonly violation: Violation }
  /** Healed, and yet not everything was answered and equal in time. */
  | { readonly kind: "liveness"; readonly violation: Violation }
  /** A node threw, or stopped by itself. */
  | { readonly kind: "crash"; readonly violation: Violation };

/** How often the end of a run asks whether all is well. */
const LOOK_MICROS = 20_000;
/** Then the cluster is watched for as many election timeouts, in which nobody asks anything. */
const REST_TIMEOUTS = 4;
/** Long enough to tell what gossip costs at rest from what it still has to say. */
const GOSSIP_REST_MICROS = 10_000_000;

export class World implements Stage {
  readonly plan: Plan;
  readonly history = new History();
  readonly nodes: readonly Computer[];
  readonly #timeline = new Timeline();
  readonly #digest = new Digest();
  readonly #tape: DigestTape | null;
  readonly #audience: Audience;
  readonly #computers: readonly SimComputer[];
  readonly #network: SimNetwork;
  /** Null in plans without discovery. */
  readonly #gossip: SimGossipNetwork | null;
  readonly #path: ClientPath;
  readonly #electorates: Electorates;
  readonly #mishaps: Mishaps;
  readonly #room: ClientRoom;
  readonly #workload: Workload;
  /** Null where the atlas bounds what disks may lose. */
  readonly #beyond: Beyond | null;
  #verdict: Verdict | null = null;

  constructor(
    plan: Plan,
    observers: readonly Observer[],
    machineOf: MachineOf = () => null,
    values = PLAIN_VALUES,
    tape: DigestTape | null = null,
  ) {
    this.#tape = tape;
    tape?.begin(this.#digest);
    const prng = new Prng(plan.seed);
    this.plan = plan;
    this.#beyond = plan.bounded ? null : new Beyond();
    const heard = this.#beyond === null ? observers : [this.#beyond, ...observers];
    this.#audience = new Audience(heard, plan.options.batchBytesMax);
    this.#network = new SimNetwork(
      this.#timeline,
      plan.network,
      prng.fork("sim.network"),
      (from, to, lane, frame) => {
        this.#digest.mixBytes(frame);
        return this.#audience.tellFrame(this.#find(from), to, lane, frame);
      },
    );
    this.#network.taken = (by, from, message) => {
      this.#audience.tellTaken(this.#find(by), from, message);
    };
    this.#network.evicted = (from, to) => this.#audience.tell("frameEvicted", from, to);
    this.#gossip = this.#makeGossip(prng.fork("sim.gossip-network"));
    this.#path = new ClientPath(this.#timeline, plan.network, prng.fork("sim.client-path"));
    this.#computers = this.#assemble(prng.fork("sim.computers"), machineOf);
    this.nodes = this.#computers;
    const founders = this.#computers.slice(0, plan.founders ?? plan.nodes).map(({ name }) => name);
    this.#electorates = new Electorates(this.#computers, founders);
    this.#mishaps = new Mishaps(
      this.#timeline,
      this.#network,
      this.#computers,
      this.#audience,
      this.#electorates,
      plan.bounded,
    );
    this.#room = this.#makeRoom(values);
    this.#workload = new Workload(plan, this.#room, prng.fork("sim.workload"));
    this.#audience.tell("attach", this);
  }

  get now(): Instant {
    return this.#timeline.now;
  }

  /** Events so far. */
  get events(): number {
    return this.#timeline.happened;
  }

  /** Of everything so far. */
  get digest(): string {
    return this.#digest.toString();
  }

  /** Runs to the verdict; once. */
  run(): Verdict {
    const verdict = this.runUntil(NEVER);
    assert(verdict !== null, "a run ends with a verdict");
    return verdict;
  }

  /** Runs to an instant, all that is due then included; null without a verdict by then. Once. */
  runUntil(instant: Instant): Verdict | null {
    this.#mishaps.arm(this.plan);
    this.#timeline.at(this.plan.healAtMs * 1000, () => this.#heal());
    for (const computer of this.#computers) computer.start();
    this.#workload.begin();
    try {
      while (this.#verdict === null && this.#timeline.next <= instant) {
        this.#timeline.advance();
        this.#tape?.note(this.#timeline.happened, this.#timeline.now);
      }
    } catch (error) {
      const violation = this.#describeThrown(error);
      // A node that cannot make sense of what is left stops, and the run with it.
      const isNodes = error instanceof InvariantViolation && violation.node !== null;
      if (isNodes && this.#beyond?.maybeExplain(violation) === true) return { kind: "pass" };
      return { kind: "crash", violation };
    }
    return this.#verdict;
  }

  /** Frames on their way from a node, and those at its door that it has no room for. */
  framesOf(name: NodeId): { readonly sent: number; readonly refused: number } {
    return this.#network.at(name)?.frames ?? { sent: 0, refused: 0 };
  }

  /** What was lost in a run that nothing bounds, and what that explains. */
  get losses(): readonly string[] {
    return this.#beyond?.describe() ?? [];
  }

  /** An observer has seen a property broken: nothing after it counts. */
  report(violation: Violation): void {
    if (this.#beyond?.maybeExplain(violation) === true) return;
    this.#verdict ??= { kind: "safety", violation };
  }

  // ---- the end of a run ----

  #heal(): void {
    // Whoever is to found is needed until that is done: without it nothing could be shown.
    this.#mishaps.heal(this.#isUnfounded ? [] : this.plan.outside);
    this.#network.calm();
    this.#gossip?.calm();
    this.#path.isRough = false;
    this.#workload.close();
    this.#workload.probe();
    this.#audience.tell("healed");
    this.#await(
      "recovers-after-healing",
      () => this.#unrecovered(),
      () => this.#awaitConcord(),
    );
  }

  /**
   * Where nodes gossip: until each knows of each other whether it is there. Of whoever crashed it
   * must by the formula's time, however bad all feel and however slow their clocks are; of whoever
   * came back when somebody has tried it again.
   */
  #awaitConcord(): void {
    if (this.#gossip === null) {
      this.#audit();
      return;
    }
    const ghost = () => findGhost(this.#computers);
    const discord = () => findStranger(this.#computers) ?? ghost();
    const drift = Math.max(0, ...this.plan.driftPpm.map(Math.abs));
    const withinMs = crashKnownWithinMs("local", this.#computers.length);
    const boundMs = Math.ceil(withinMs * (1e6 / (1e6 - drift)));
    const agree = () => this.#await("gossip-agrees-after-healing", discord, () => this.#audit());
    this.#await("crash-known-to-all", ghost, agree, boundMs);
  }

  get #isUnfounded(): boolean {
    const isEmpty = this.#computers.every(({ raft }) => (raft?.lastIndex ?? 0) === 0);
    return this.#gossip !== null && isEmpty;
  }

  #audit(): void {
    const end = this.#committedEnd();
    this.#room.strangers = new Set(
      this.#computers.filter((computer) => this.#isStranger(computer)),
    );
    this.#workload.audit(end);
    const unread = () => (this.#workload.hasRead(end) ? null : `not every reader reached ${end}`);
    this.#await("readable-after-healing", unread, () => this.#recoverAgain());
  }

  /** Reading everything may have found rot, and that of the leader: then another has to lead. */
  #recoverAgain(): void {
    this.#await(
      "recovers-after-healing",
      () => this.#unrecovered(),
      () => this.#rest(),
    );
  }

  /** Nobody asks anything any more: whatever still goes on, goes on by itself. */
  #rest(): void {
    this.#audience.tell("recovered");
    const timeoutsMicros = REST_TIMEOUTS * this.plan.options.electionTimeoutMaxMs * 1000;
    const restMicros = this.#gossip === null ? timeoutsMicros : GOSSIP_REST_MICROS;
    this.#timeline.after(restMicros, () => this.#pass());
  }

  #pass(): void {
    this.#audience.tell("atEnd");
    this.#verdict ??= { kind: "pass" };
  }

  /** Goes on when nothing is missing any more; a liveness failure when that takes too long. */
  #await(
    property: string,
    missing: () => string | null,
    then: () => void,
    boundMs = this.plan.settleMs,
  ): void {
    const deadline = this.now + boundMs * 1000;
    const look = () => {
      const fact = missing();
      const excuse = this.#excuse(this.now >= deadline);
      if (fact === null) then();
      else if (excuse !== null) {
        this.#audience.tell("excused", excuse);
        this.#pass();
      } else if (this.now < deadline) this.#timeline.after(LOOK_MICROS, look);
      else {
        const bound = `${boundMs} ms later, with no mishap left, it had to be otherwise`;
        const violation = { property, facts: [fact, bound], at: this.now, node: null };
        if (this.#beyond?.maybeExplain(violation) === true) then();
        else this.#verdict ??= { kind: "liveness", violation };
      }
    };
    look();
  }

  /**
   * The proof that the cluster cannot recover: too few are left of it; or, where it had all its
   * time, those that are left are not enough for the membership they have come to.
   */
  #excuse(isLate: boolean): string | null {
    const lost = this.#computers.filter(({ isLost }) => isLost);
    const outside = this.#computers.filter(({ isLost, isOutside }) => isOutside && !isLost);
    const isLeft = ({ isLost, isOutside }: SimComputer) => !isLost && !isOutside;
    const left = this.#computers.filter(isLeft);
    if (this.#isUnfounded) {
      // All are there: whatever keeps them from founding is no excuse.
      const founders = this.plan.founders ?? this.plan.nodes;
      if (left.filter(({ place }) => place < founders).length === founders) return null;
      return "not all founders are left, and they had not met before";
    }
    // Where disks are bounded nobody has failed without whom the others cannot do.
    const quorum = Math.floor((this.plan.founders ?? this.plan.nodes) / 2) + 1;
    if (left.length >= quorum || this.#electorates.bears(isLeft))
      return isLate ? proveUnelectable(left) : null;
    const gone = [
      { what: "damaged", computers: lost },
      { what: "failed for ever", computers: outside },
    ].filter(({ computers }) => computers.length > 0);
    const names = gone.map(({ what, computers }) => {
      return `${computers.map(({ name }) => name).join(" ")} ${what}`;
    });
    return `${names.join(" and ")} leave ${left.length}, and a quorum is ${quorum}`;
  }

  /** What is not well yet, in one sentence; null when all is. */
  #unrecovered(): string | null {
    // Whoever gossips becomes a member, also one that has not been one yet.
    const isNobody = (computer: SimComputer) => this.#gossip === null && this.#isStranger(computer);
    const core = this.#computers.filter((computer) => {
      return !computer.isLost && !computer.isOutside && !isNobody(computer);
    });
    const learner = core.find(({ raft }) => this.#gossip !== null && raft?.isVoter !== true);
    if (learner !== undefined) return `${learner.name} is no voter`;
    // A leader whose own disk hangs may stay: the others' disks are enough for every commit.
    const leaders = this.#computers.filter(({ raft, isOutside, disk }) => {
      return raft?.role === "leader" && (!isOutside || disk.isHanging);
    });
    const raft = leaders[0]?.raft ?? null;
    const end = raft?.lastIndex;
    if (raft === null || leaders.length > 1) return `${leaders.length} nodes lead`;
    // Another will lead before long.
    if (raft.transferTo !== null || !raft.isVoter) return `${raft.self} is on its way out`;
    if (isJoint(raft.membership)) return `${raft.self} completes a change of the members`;
    for (const { name, raft: own } of core) {
      if (own?.isMending === true) return `${name} has not got back what it had lost`;
      if (own === null || own.commitIndex !== end || own.durableIndex !== end)
        return `${name} is at commit ${own?.commitIndex}, durable ${own?.durableIndex} of ${end}`;
    }
    if (!this.#workload.isAnswered) return "clients still wait for answers";
    return null;
  }

  /** No member by all that is known to whoever leads: it need not know what is committed. */
  #isStranger(computer: SimComputer): boolean {
    const { led } = this.#electorates;
    return led !== null && !takesPart(computer, led);
  }

  #committedEnd(): Offset {
    const ends = this.#computers.map(({ host }) => host?.status().endOffset ?? 0);
    return Math.max(...ends) as Offset;
  }

  // ---- putting it together ----

  #makeGossip(prng: Prng): SimGossipNetwork | null {
    const { discovery, nodes } = this.plan;
    if (discovery === null) return null;
    const names = membersOf(nodes).map(({ id }) => id);
    const parts = { timeline: this.#timeline, network: this.#network, digest: this.#digest };
    const sent = (name: NodeId) => {
      const computer = this.#computers.find((each) => each.name === name);
      if (computer !== undefined) this.#audience.tell("gossipSent", computer);
    };
    return makeGossipNetwork(discovery, { ...parts, prng, names, sent });
  }

  #assemble(prng: Prng, machineOf: MachineOf): SimComputer[] {
    const surroundings: Surroundings = {
      plan: this.plan,
      timeline: this.#timeline,
      network: this.#network,
      audience: this.#audience,
      digest: this.#digest,
      prng,
      members: membersOf(this.plan.nodes),
      gossip: this.#gossip,
      machineOf,
      answered: (computer, answer) => {
        this.#digest.mixText(answer.kind);
        this.#digest.mixCount(answer.requestId);
        this.#audience.tell("answered", computer, answer);
        this.#path.answered(computer, answer);
      },
      effect: (computer, operation, edge) => this.#mishaps.effect(computer, operation, edge),
      reachedSite: (computer, site) => this.#mishaps.reachedSite(computer, site),
      tookTurn: (computer) => this.#mishaps.tookTurn(computer),
      stopped: (computer, how) => this.#stopped(computer, how),
      wentDown: (computer) => this.#path.broke(computer),
    };
    return surroundings.members.map((_, place) => new SimComputer(place, surroundings));
  }

  #makeRoom(values: RecordValues): ClientRoom {
    return {
      timeline: this.#timeline,
      path: this.#path,
      computers: this.#computers,
      electorates: this.#electorates,
      strangers: new Set(),
      isSound: (computer) => this.#mishaps.isSound(computer),
      history: this.history,
      values,
      knownEnd: 0 as Offset,
      knownTimes: null,
      nextRecord: 1,
      nextControl: 1,
      isClosing: false,
      target: (target) => this.#mishaps.find(target),
      returned: (call) => this.#audience.tell("returned", call),
      altered: (entry, computer) => this.#reportAltered(entry, computer),
    };
  }

  #find(name: string): SimComputer {
    return this.#computers.find((computer) => computer.name === name) as SimComputer;
  }

  // ---- what must not happen ----

  #stopped(computer: SimComputer, how: Stopped): void {
    this.#audience.tell("nodeStopped", computer, how);
    if (how.kind === "clean") {
      this.#mishaps.stopped(computer);
      return;
    }
    if (this.#mishaps.stoppedByDisk(computer, how.why)) return;
    const facts = [
      `${computer.name} stopped by itself: ${how.why}`,
      "no mishap of the plan explains it",
    ];
    const violation = { property: "keeps-running", facts, at: this.now, node: computer.name };
    if (this.#beyond?.maybeExplain(violation) === true) {
      computer.retire();
      computer.lose();
      return;
    }
    this.#verdict ??= { kind: "crash", violation };
  }

  #reportAltered(entry: Entry, computer: SimComputer): void {
    const facts = [
      `${computer.name} answered a read with records at offset ${entry.offset} (index ${entry.index})`,
      "their bytes are not those of any record that was ever written",
    ];
    this.report({ property: "records-unaltered", facts, at: this.now, node: computer.name });
  }

  #describeThrown(error: unknown): Violation {
    const thrown = error instanceof Error ? error : new Error(String(error));
    const frames = (thrown.stack ?? "").split("\n").filter((line) => line.includes("    at "));
    const facts = [
      `${thrown.name}: ${thrown.message}`,
      ...frames.slice(0, 6).map((line) => line.trim()),
    ];
    const node = this.#computers.find(({ isInTurn }) => isInTurn)?.name ?? null;
    return { property: "keeps-running", facts, at: this.now, node };
  }
}
