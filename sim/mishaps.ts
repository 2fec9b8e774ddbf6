// What goes wrong in a run, as the plan says it: crashes at instants or at effects on a disk, clean
// stops, cut paths, storms, slow disks; and the healing of all of it. Owns when; what a crash or a
// cut does is the computer's and the network's.

import type { DiskOperation } from "../src/base/disk.ts";
import type { NodeId } from "../src/base/ids.ts";
import type { FaultSite } from "../src/ports/fault-sites.ts";
import type { Audience } from "./audience.ts";
import { Caretaker } from "./caretaker.ts";
import type { SimComputer } from "./computer.ts";
import { DiskAtlas, NODES_REPAIR } from "./disk-atlas.ts";
import type { Electorates } from "./electorates.ts";
import { type Moment, Moments } from "./moments.ts";
import type { CrashKind } from "./observer.ts";
import type { Plan, PlannedEffect, PlannedMishap, PlannedOutsider, Target } from "./plan.ts";
import { Replacements } from "./replacements.ts";
import type { SimNetwork } from "./sim-network.ts";
import type { Timeline } from "./timeline.ts";

type PlannedCrash = Extract<PlannedMishap, { kind: "crash" }>;

/** A crash that waits for its effect. */
interface ArmedCrash {
  readonly place: number;
  readonly how: CrashKind;
  readonly downMs: number;
  readonly effect: PlannedEffect;
  left: number;
}

type PlannedMoment = Extract<PlannedMishap, { kind: "crash-at-moment" }>;

type NetworkMishap = Extract<
  PlannedMishap,
  { kind: "pairs-cut" | "clog" | "mute" | "unanswered" | "rule" | "half-close" | "corruption" }
>;

export class Mishaps {
  readonly #timeline: Timeline;
  readonly #network: SimNetwork;
  readonly #computers: readonly SimComputer[];
  readonly #audience: Audience;
  #armed: ArmedCrash[] = [];
  /** Null when no mishap of the plan waits for a moment. */
  #moments: Moments | null = null;
  #awaited: { readonly planned: PlannedMoment; left: number }[] = [];
  /** Undoes what is in force, by mishap. */
  readonly #inForce = new Map<PlannedMishap, () => void>();
  readonly #downUntil = new Map<number, number>();
  readonly #caretaker: Caretaker;
  /** Those that get back what they had lost. */
  readonly #mending = new Set<SimComputer>();
  readonly #atlas: DiskAtlas;
  readonly #electorates: Electorates;
  readonly #replacements: Replacements;
  #isHealed = false;

  constructor(
    timeline: Timeline,
    network: SimNetwork,
    computers: readonly SimComputer[],
    audience: Audience,
    electorates: Electorates,
    isBounded: boolean,
  ) {
    this.#timeline = timeline;
    this.#network = network;
    this.#computers = computers;
    this.#audience = audience;
    this.#caretaker = new Caretaker(timeline);
    this.#electorates = electorates;
    const bears = (lost: ReadonlySet<number>) => electorates.bears(({ place }) => !lost.has(place));
    this.#atlas = new DiskAtlas(computers.length, { nodesRepair: NODES_REPAIR, isBounded, bears });
    this.#replacements = new Replacements({
      timeline,
      computers,
      atlas: this.#atlas,
      electorates,
      isBounded,
    });
  }

  /** Puts every mishap of the plan on the timeline. */
  arm(plan: Plan): void {
    if (plan.mishaps.some(({ kind }) => kind === "crash-at-moment")) this.#moments = new Moments();
    for (const mishap of plan.mishaps) {
      if (mishap.atMs >= plan.healAtMs) continue;
      this.#timeline.at(mishap.atMs * 1000, () => this.#begin(mishap));
      if (mishap.kind === "older-image") this.#replacements.prepare(mishap);
    }
    for (const computer of this.#computers)
      computer.disk.losses.mayLose = (how) => {
        if (!this.#atlas.maybeLose(computer.place)) return false;
        this.#audience.tell("writeLost", computer, how);
        return true;
      };
  }

  /** An operation reaches an edge on a disk: a crash may have waited for it. */
  effect(computer: SimComputer, operation: DiskOperation, edge: "before" | "after"): void {
    if (edge === "after") this.#caretaker.look(computer);
    if (edge === "after")
      this.#reach(computer, this.#moments?.applied(computer, operation), "outside");
    if (this.#armed.length === 0 || computer.host === null) return;
    const struck = this.#armed.find((armed) => {
      const { of } = armed.effect;
      const isAwaited = of === "any" ? isChange(operation) : of === operation.kind;
      if (armed.place !== computer.place || armed.effect.edge !== edge || !isAwaited) return false;
      return --armed.left === 0;
    });
    if (struck === undefined) return;
    this.#armed.splice(this.#armed.indexOf(struck), 1);
    this.#crash(computer, struck.how, struck.downMs);
  }

  /** A turn has changed a node's Raft: a crash may have waited for what it reached by it. */
  tookTurn(computer: SimComputer): void {
    this.#maybeMended(computer);
    this.#replacements.tookTurn(computer);
    this.#reach(computer, this.#moments?.afterTurn(computer), "outside");
  }

  /**
   * Who has got back what it had lost has a true copy again, unless more is wrong with its disk.
   */
  #maybeMended(computer: SimComputer): void {
    const { raft } = computer;
    if (raft?.isMending === true) this.#mending.add(computer);
    else if (raft !== null && this.#mending.delete(computer) && !computer.disk.isDamaged)
      this.#atlas.restored(computer.place);
  }

  /** A turn came to a fault site, and nothing of it has been performed. */
  reachedSite(computer: SimComputer, site: FaultSite): void {
    if (computer.host !== null) this.#reach(computer, site, "inside");
  }

  #reach(
    computer: SimComputer,
    moment: Moment | null | undefined,
    seen: PlannedMoment["seen"],
  ): void {
    if (moment === null || moment === undefined) return;
    const waiting = this.#awaited.filter(({ planned }) => {
      return planned.moment === moment && planned.seen === seen;
    });
    for (const awaited of waiting) awaited.left--;
    const struck = waiting.find(({ left }) => left <= 0);
    if (struck === undefined) return;
    this.#awaited.splice(this.#awaited.indexOf(struck), 1);
    this.#audience.tell("momentStruck", computer, moment);
    this.#crash(computer, struck.planned.how, struck.planned.downMs);
  }

  /** A node has stopped as it was asked to: it is started again when its time has come. */
  stopped(computer: SimComputer): void {
    computer.retire();
    const due = Math.max(this.#downUntil.get(computer.place) ?? 0, this.#timeline.now);
    this.#timeline.at(due, () => computer.maybeStart());
  }

  /** A node has stopped by itself: true when its disk explains it, and it will be started again. */
  stoppedByDisk(computer: SimComputer, why: string): boolean {
    return this.#caretaker.stopped(computer, why);
  }

  /**
   * No mishap is left: paths are mended, disks quick again, and whoever is down starts. Then those
   * outside fail, for ever.
   */
  heal(outside: readonly PlannedOutsider[]): void {
    this.#isHealed = true;
    this.#armed = [];
    this.#awaited = [];
    for (const undo of this.#inForce.values()) undo();
    this.#inForce.clear();
    this.#replacements.end();
    for (const computer of this.#computers) {
      computer.disk.losses.disarm();
      this.#caretaker.maybeTakeDown(computer);
      computer.maybeStart();
    }
    // Whom they mean is known before the first of them fails: then somebody else may lead.
    const failing = outside.map(({ node, how }) => ({ computer: this.find(node), how }));
    for (const { computer, how } of failing) {
      if (computer.isOutside) continue;
      if (this.#isNeeded(computer)) this.#audience.tell("nodeSpared", computer);
      else this.#leaveOutside(computer, how);
    }
  }

  /** Whether the others are too few without it: disks may be lost, or be found to be, by then. */
  #isNeeded(computer: SimComputer): boolean {
    if (!this.isSound(computer)) return false;
    return !this.#electorates.bears((other) => other !== computer && this.isSound(other));
  }

  /** Whether a computer is there, and its disk as it should be as far as anybody could know. */
  isSound({ isLost, isOutside, place }: SimComputer): boolean {
    return !isLost && !isOutside && !this.#atlas.isDamaged(place);
  }

  #leaveOutside(computer: SimComputer, how: PlannedOutsider["how"]): void {
    const others = this.#computers.filter((other) => other !== computer);
    computer.isOutside = true;
    this.#audience.tell("nodeLeftOutside", computer, how);
    if (how === "power") computer.crash("power");
    else if (how === "pause") computer.pause();
    else if (how === "disk-hang") computer.disk.hang("all");
    for (const { name } of others) {
      if (how === "cut" || how === "deaf") this.#network.cut(name, computer.name);
      if (how === "cut" || how === "silent") this.#network.cut(computer.name, name);
    }
  }

  /** The computer meant: "leader" is who leads in the highest term, else the first node. */
  find(target: Target): SimComputer {
    let found = this.#computers[0] as SimComputer;
    if (target !== "leader") return this.#computers[target] ?? found;
    let term = -1;
    for (const computer of this.#computers) {
      const { raft } = computer;
      if (raft?.role !== "leader" || raft.term <= term) continue;
      found = computer;
      term = raft.term;
    }
    return found;
  }

  #begin(mishap: PlannedMishap): void {
    if (this.#isHealed) return;
    this.#audience.tell("mishapBegan", mishap);
    switch (mishap.kind) {
      case "crash":
        this.#beginCrash(mishap);
        return;
      case "crash-at-moment":
        this.#awaited.push({ planned: mishap, left: mishap.nth });
        return;
      case "pause":
        this.#endLater(mishap, this.find(mishap.node).pause());
        return;
      case "wall-step":
        this.find(mishap.node).wallClock.step(mishap.byMs);
        return;
      case "frozen-wall":
        this.#freezeWall(mishap);
        return;
      case "stop":
        this.#beginStop(mishap);
        return;
      case "partition": {
        const side = this.#namesOf(mishap.side);
        const rest = this.#computers.map(({ name }) => name).filter((name) => !side.includes(name));
        this.#cut(mishap, side, rest, true);
        return;
      }
      case "one-way":
        this.#cutOneWay(mishap);
        return;
      case "pairs-cut":
      case "clog":
      case "mute":
      case "unanswered":
      case "rule":
      case "half-close":
      case "corruption":
        this.#worsenNetwork(mishap);
        return;
      case "storm":
        this.#network.setStorm(mishap.dropPerMille, mishap.delayTimes);
        this.#endLater(mishap, () => this.#network.setStorm(0, 1));
        return;
      case "slow-disk": {
        const { disk } = this.find(mishap.node);
        disk.slowdown = mishap.times;
        this.#endLater(mishap, () => {
          disk.slowdown = 1;
        });
        return;
      }
      case "disk-error":
        this.#beginErrors(mishap);
        return;
      case "bit-rot":
        this.#rot(mishap);
        return;
      case "disk-hang":
        this.#beginHang(mishap);
        return;
      case "lost-write":
        this.find(mishap.node).disk.losses.arm(mishap.how, mishap.nth);
        return;
      case "wipe":
      case "older-image":
        this.#replacements.begin(mishap, this.find(mishap.node));
    }
  }

  #beginCrash({ node, how, effect, downMs }: PlannedCrash): void {
    const computer = this.find(node);
    if (effect === null) this.#crash(computer, how, downMs);
    else this.#armed.push({ place: computer.place, how, downMs, effect, left: effect.nth });
  }

  #beginStop({ node, downMs }: Extract<PlannedMishap, { kind: "stop" }>): void {
    const computer = this.find(node);
    this.#downUntil.set(computer.place, this.#timeline.now + downMs * 1000);
    computer.host?.stop();
  }

  #rot({ node, file, bits }: Extract<PlannedMishap, { kind: "bit-rot" }>): void {
    const computer = this.find(node);
    const { disk, place } = computer;
    const atlas = this.#atlas;
    const flipped = disk.rot(file, bits, (range) => {
      return range === null ? atlas.maybeLose(place) : atlas.maybeDamage(place, range);
    });
    if (flipped > 0) this.#audience.tell("bitsRotted", computer, flipped);
    if (flipped > 0) computer.rottedWhileDown();
  }

  #beginErrors(mishap: Extract<PlannedMishap, { kind: "disk-error" }>): void {
    const computer = this.find(mishap.node);
    const { errors } = computer.disk;
    this.#caretaker.patience(computer, mishap.restartMs);
    errors.begin(mishap);
    this.#endLater(mishap, () => errors.end(mishap));
  }

  /** Nothing else helps a node whose disk does not answer than to kill it. */
  #beginHang(mishap: Extract<PlannedMishap, { kind: "disk-hang" }>): void {
    const computer = this.find(mishap.node);
    const { life } = computer;
    if (computer.host === null) return;
    computer.disk.hang(mishap.of);
    this.#audience.tell("diskHung", computer);
    this.#endLater(mishap, () => {
      if (computer.life === life) this.#crash(computer, "process", mishap.downMs);
    });
  }

  #crash(computer: SimComputer, how: CrashKind, downMs: number): void {
    // A process that is down cannot die; a disk without a node can still lose its power.
    if (computer.host === null && how === "process") return;
    computer.crash(how);
    this.#timeline.after(downMs * 1000, () => computer.maybeStart());
  }

  #freezeWall(mishap: Extract<PlannedMishap, { kind: "frozen-wall" }>): void {
    const { wallClock } = this.find(mishap.node);
    wallClock.freeze();
    this.#endLater(mishap, () => wallClock.thaw());
  }

  #worsenNetwork(mishap: NetworkMishap): void {
    const network = this.#network;
    switch (mishap.kind) {
      case "pairs-cut":
        this.#cutPairs(mishap);
        return;
      case "clog":
        this.#clog(mishap);
        return;
      case "mute": {
        const { name } = this.find(mishap.node);
        network.mute(name, 1);
        this.#endLater(mishap, () => network.mute(name, -1));
        return;
      }
      case "unanswered": {
        const { name } = this.find(mishap.node);
        network.leaveUnanswered(name, 1);
        this.#endLater(mishap, () => network.leaveUnanswered(name, -1));
        return;
      }
      case "rule": {
        const [from, to] = [mishap.from, mishap.to].map((of) => of && this.#namesOf(of));
        const { now } = this.#timeline;
        this.#endLater(mishap, network.rules.begin(mishap, from ?? null, to ?? null, now));
        return;
      }
      case "half-close": {
        const undo = network.at(this.find(mishap.node).name)?.halfClose("reset by peer");
        if (undo !== undefined) this.#endLater(mishap, undo);
        return;
      }
      case "corruption":
        network.setCorruption(mishap.flipPerMille);
        this.#endLater(mishap, () => network.setCorruption(0));
    }
  }

  #clog(mishap: Extract<PlannedMishap, { kind: "clog" }>): void {
    const { name } = this.find(mishap.node);
    const others = this.#computers.filter((computer) => computer.name !== name);
    const paths = others.flatMap((other) => [
      [name, other.name] as const,
      [other.name, name] as const,
    ]);
    for (const [from, to] of paths) this.#network.clog(from, to);
    this.#endLater(mishap, () => {
      for (const [from, to] of paths) this.#network.unclog(from, to);
    });
  }

  #cutPairs(mishap: Extract<PlannedMishap, { kind: "pairs-cut" }>): void {
    const pairs = mishap.pairs.map(([one, other]) => {
      return [this.find(one).name, this.find(other).name] as const;
    });
    const each = (act: (from: NodeId, to: NodeId) => void) => {
      for (const [one, other] of pairs) {
        act(one, other);
        act(other, one);
      }
    };
    each((from, to) => this.#network.cut(from, to));
    for (const [one, other] of pairs) this.#audience.tell("pathsCut", [one], [other], true);
    this.#endLater(mishap, () => {
      each((from, to) => this.#network.mend(from, to));
      for (const [one, other] of pairs) this.#audience.tell("pathsMended", [one], [other], true);
    });
  }

  #cutOneWay(mishap: Extract<PlannedMishap, { kind: "one-way" }>): void {
    const from = this.#namesOf(mishap.from);
    const to = this.#namesOf(mishap.to).filter((there) => from.some((here) => here !== there));
    this.#cut(mishap, from, to, false);
  }

  #cut(
    mishap: PlannedMishap & { readonly forMs: number },
    from: readonly NodeId[],
    to: readonly NodeId[],
    isBothWays: boolean,
  ): void {
    const paths: [NodeId, NodeId][] = [];
    for (const here of from)
      for (const there of to) {
        if (here === there) continue;
        paths.push([here, there]);
        if (isBothWays) paths.push([there, here]);
      }
    for (const [here, there] of paths) this.#network.cut(here, there);
    this.#audience.tell("pathsCut", from, to, isBothWays);
    this.#endLater(mishap, () => {
      for (const [here, there] of paths) this.#network.mend(here, there);
      this.#audience.tell("pathsMended", from, to, isBothWays);
    });
  }

  #endLater(mishap: PlannedMishap & { readonly forMs: number }, undo: () => void): void {
    this.#inForce.set(mishap, undo);
    this.#timeline.after(mishap.forMs * 1000, () => {
      if (this.#inForce.delete(mishap)) undo();
    });
  }

  /** In place order, each once. */
  #namesOf(targets: readonly Target[]): NodeId[] {
    const meant = new Set(targets.map((target) => this.find(target)));
    return this.#computers.filter((computer) => meant.has(computer)).map(({ name }) => name);
  }
}

/** "any" effect is one that changes a disk. */
function isChange(operation: DiskOperation): boolean {
  switch (operation.kind) {
    case "create":
    case "write-at":
    case "sync":
    case "sync-dir":
    case "rename":
    case "unlink":
      return true;
    default:
      return false;
  }
}
