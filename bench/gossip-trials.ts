// What is measured of gossip in virtual time: how soon a crash is suspected, known and known by
// all, how soon news is everywhere, what that costs, and whom slow members take for failed. Owns
// one trial each; sizes, figures to compare with and tables are gossip.ts.

import { type Instant, type Micros, millis } from "../src/base/ids.ts";
import { Prng } from "../src/base/prng.ts";
import { LAN_PROFILE } from "../src/gossip/profiles.ts";
import type { GossipProfile, Happening } from "../src/gossip/protocol.ts";
import { type FleetMember, type FleetOptions, GossipFleet } from "./gossip-fleet.ts";

/** How finely suspicions are looked for: they are nobody's happening. */
const LOOK = millis(10);
const FORMED_WITHIN = millis(120_000);
const KNOWN_WITHIN = millis(180_000);
/** Until rumors of what just happened are told no more. */
const SETTLING = millis(2000);
const REST = millis(30_000);
/** Enough where one thing happens at a time; a newcomer tells of all whom it meets. */
const FEW_RUMORS = 64;

export interface Detection {
  /** Milliseconds after the crash. */
  readonly suspectedMs: number;
  readonly knownMs: number;
  readonly knownByAllMs: number;
}

/** What one member sends in a second. */
export interface Load {
  readonly packets: number;
  readonly bytes: number;
}

export interface SizeFigures {
  readonly detections: readonly Detection[];
  /** Milliseconds from a change of tags until the last one knows, a trial each. */
  readonly spreadsMs: readonly number[];
  readonly atRest: Load;
  /** In the five seconds after a change of tags. */
  readonly withNews: Load;
}

/** A fleet of `size` whose members all know each other, with nothing to tell. */
class Formed {
  readonly fleet: GossipFleet;
  /** What came to be known since all was settled. */
  heard: { readonly at: Instant; readonly observer: FleetMember; readonly what: Happening }[] = [];
  readonly #picks: Prng;

  /**
   * All ask the first, twice: who came early learns of the late by the second answer. That is what
   * lets a large fleet be formed with few rumors.
   */
  constructor(seed: string, { size, rumorsMax, profile }: Omit<FleetOptions, "prng">) {
    const prng = new Prng(seed);
    this.#picks = prng.fork("picks");
    let joins = 0;
    this.fleet = new GossipFleet({
      size,
      rumorsMax,
      profile,
      prng,
      happened: (observer, what) => {
        if (what.kind === "join") joins += 1;
        this.heard.push({ at: this.fleet.now, observer, what });
      },
    });
    const [first, ...others] = this.fleet.members;
    for (const _ of ["once", "again"]) {
      for (const member of others) if (first !== undefined) this.fleet.join(member, first);
      this.fleet.run(millis(1000));
    }
    const isFormed = this.fleet.runUntil(() => joins >= size * (size - 1), FORMED_WITHIN);
    if (!isFormed) throw new Error(`${size} members do not find each other: nothing is measured`);
    this.settle();
  }

  settle(): void {
    do this.fleet.run(SETTLING);
    while (this.fleet.members.some(({ gossip }) => gossip.rumorCount > 0));
    this.heard = [];
  }

  pick(): FleetMember {
    return this.#picks.pick(this.fleet.members);
  }

  /** Up to a second of waiting: nothing is in step with anybody's clock. */
  wait(): void {
    this.fleet.run(this.#picks.between(1, 1_000_000) as Micros);
  }

  /** What was heard of `subject` of this kind; null when not by all within patience. */
  untilAllHear(subject: FleetMember, kind: Happening["kind"]): void {
    const wanted = this.fleet.members.length - 1;
    const isHeard = () => this.heard.length >= wanted && this.of(subject, kind).length >= wanted;
    if (this.fleet.runUntil(isHeard, KNOWN_WITHIN)) return;
    throw new Error(`${kind} of ${subject.name} is not known by all: nothing is measured`);
  }

  of(subject: FleetMember, kind: Happening["kind"]): readonly Instant[] {
    const heard = this.heard.filter(({ what }) => {
      return what.kind === kind && what.member.node === subject.name;
    });
    return heard.map(({ at }) => at);
  }

  /** What a member sends a second while `span` passes. */
  loadFor(span: Micros): Load {
    const { members } = this.fleet;
    const sum = () => ({
      packets: members.reduce((total, { packetsSent }) => total + packetsSent, 0),
      bytes: members.reduce((total, { bytesSent }) => total + bytesSent, 0),
    });
    const before = sum();
    this.fleet.run(span);
    const after = sum();
    const each = members.length * (span / 1_000_000);
    return {
      packets: (after.packets - before.packets) / each,
      bytes: (after.bytes - before.bytes) / each,
    };
  }
}

const MS = 1000;

/** `trials` crashes and as many changes of tags, one after the other. */
export function measureSize(size: number, trials: number, tick: () => void): SizeFigures {
  const options = { size, rumorsMax: FEW_RUMORS, profile: LAN_PROFILE };
  const formed = new Formed(`bench/gossip/${size}`, options);
  const detections: Detection[] = [];
  const spreadsMs: number[] = [];
  const loads: Load[] = [];
  for (let trial = 0; trial < trials; trial++) {
    detections.push(detect(formed));
    loads.push(spread(formed, `round ${trial}`, spreadsMs));
    tick();
  }
  // Last of all: what members learn by push/pulls after they have met is told on, too.
  const atRest = formed.loadFor(REST);
  const mean = (of: (load: Load) => number) =>
    loads.reduce((sum, load) => sum + of(load), 0) / loads.length;
  const withNews = { packets: mean(({ packets }) => packets), bytes: mean(({ bytes }) => bytes) };
  return { detections, spreadsMs, atRest, withNews };
}

function detect(formed: Formed): Detection {
  const { fleet } = formed;
  formed.wait();
  const crashed = formed.pick();
  const crashedAt = fleet.now;
  fleet.crash(crashed);
  const others = fleet.members.filter((member) => member !== crashed);
  while (!others.some(({ gossip }) => gossip.stateOf(crashed.name) !== "alive")) fleet.run(LOOK);
  const suspectedMs = (fleet.now - crashedAt) / MS;
  formed.untilAllHear(crashed, "fail");
  const known = formed.of(crashed, "fail").map((at) => (at - crashedAt) / MS);
  const contact = others[0];
  if (contact !== undefined) fleet.revive(crashed, contact);
  formed.untilAllHear(crashed, "join");
  formed.settle();
  return { suspectedMs, knownMs: Math.min(...known), knownByAllMs: Math.max(...known) };
}

function spread(formed: Formed, value: string, spreadsMs: number[]): Load {
  const { fleet } = formed;
  formed.wait();
  const changed = formed.pick();
  const changedAt = fleet.now;
  fleet.setTag(changed, value);
  const load = formed.loadFor(millis(5000));
  formed.untilAllHear(changed, "update");
  spreadsMs.push((Math.max(...formed.of(changed, "update")) - changedAt) / MS);
  formed.settle();
  return load;
}

export interface FalseWords {
  /** How often a member that was never slow was called failed, by anybody. */
  readonly byAll: number;
  /** Of these, by members that were never slow either. */
  readonly byHealthy: number;
  /** How often a slow one was called failed. */
  readonly ofSlow: number;
}

/**
 * SWIM as it was: no local health, so that nacks count for nothing; no more time for a suspicion
 * that few share; and no suspect is told first.
 */
export const WITHOUT_LIFEGUARD: GossipProfile = {
  ...LAN_PROFILE,
  awarenessMax: 1,
  suspicionMaxTimeoutMult: 1,
  tellsSuspects: false,
};

export interface SlowSetting {
  readonly size: number;
  readonly slow: number;
  /** What a slow member says and hears is held up for so long, then free for so long. */
  readonly held: Micros;
  readonly free: Micros;
  readonly span: Micros;
}

/** Whom members call failed while nobody is, and `slow` of them are held up now and again. */
export function falseWords(seed: string, setting: SlowSetting, profile: GossipProfile): FalseWords {
  const { size, slow, held, free, span } = setting;
  const formed = new Formed(seed, { size, rumorsMax: 8 * size, profile });
  const { fleet } = formed;
  const slowOnes = new Set(fleet.members.slice(0, slow).map(({ name }) => name));
  const end = fleet.now + span;
  while (fleet.now < end) {
    for (const member of fleet.members.slice(0, slow)) {
      member.heldUntil = (fleet.now + held) as Instant;
    }
    fleet.run((held + free) as Micros);
  }
  const fails = formed.heard.filter(({ what }) => what.kind === "fail");
  const ofHealthy = fails.filter(({ what }) => !slowOnes.has(what.member.node));
  const byHealthy = ofHealthy.filter(({ observer }) => !slowOnes.has(observer.name));
  return {
    byAll: ofHealthy.length,
    byHealthy: byHealthy.length,
    ofSlow: fails.length - ofHealthy.length,
  };
}
