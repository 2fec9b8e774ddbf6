// Short workloads of a log on a fake disk, stopped after every effect; keeps the model of what was
// asked for and what was acknowledged. Also draws workloads.

import { assert } from "../../src/base/assert.ts";
import { type Entry, LOG_START, type LogPoint, type LogWrite } from "../../src/base/entry.ts";
import type { LogIndex, Offset, Term, WallMs } from "../../src/base/ids.ts";
import { NO_MEMBERS } from "../../src/base/membership.ts";
import type { Prng } from "../../src/base/prng.ts";
import type { Checkpoint } from "../../src/log/checkpoint.ts";
import { indexOfCheckpoint } from "../../src/log/file-names.ts";
import type { LogOptions } from "../../src/log/protocol.ts";
import type { Enumeration } from "./crash-enumeration.ts";
import { type Bounds, endOf, type Limits, type ModelState, STATE_BYTES } from "./crash-model.ts";
import { entriesAfter, hardStateOf, LogDriver, type PickFile, stateAt } from "./driver.ts";
import { FakeDisk } from "./fake-disk.ts";

export type Step =
  | { readonly kind: "append"; readonly count: number; readonly bodyBytes?: number }
  /**
   * Cuts before `from`, or the last `back` entries as far as no checkpoint forbids, and goes on
   * with `count` entries of the next term; that term comes with the same write, or one before it.
   */
  | {
      readonly kind: "replace";
      readonly from?: number;
      readonly back?: number;
      readonly count: number;
      readonly apart?: boolean;
    }
  | { readonly kind: "vote"; readonly votedFor: string }
  /** At the durable end. */
  | { readonly kind: "checkpoint" }
  /** All records but those of the last so many entries are wanted no more. */
  | { readonly kind: "trim"; readonly keep: number }
  /** Receives so many bytes of a base that is so many entries ahead of the newest checkpoint. */
  | { readonly kind: "receive"; readonly ahead: number; readonly bytes: number }
  /** Replaces all by such a base, of which nothing or a part has been received, and appends. */
  | { readonly kind: "install"; readonly ahead: number; readonly count: number }
  /** Lets the disk finish; else the next step is handed in while the last is under way. */
  | { readonly kind: "settle" }
  | { readonly kind: "perform"; readonly operations: number }
  | { readonly kind: "reopen"; readonly how: "clean" | "settled" | "kill" | "power-loss" };

const NO_LIMITS: Limits = { checkpoints: [], checkpointMin: 0, startMin: 0, trimOffset: 0 };

export class Workload {
  readonly #options: LogOptions;
  readonly #pick: PickFile;
  readonly #enumeration: Enumeration;
  readonly #prng: Prng;
  #driver: LogDriver;
  /** States by write; the first is what was there at the last (re)open. */
  #states: readonly ModelState[] = [{ base: LOG_START, entries: [], hardState: hardStateOf(0) }];
  /** By the index of the base that the log begins at. */
  #limits: ReadonlyMap<number, Limits> = new Map([[0, NO_LIMITS]]);
  #bounds: Bounds = { states: this.#states, limits: this.#limits };
  #boundsOf = 0;
  /** Of the newest checkpoint that was asked for, and of which base; an installation is one. */
  #newest = { base: 0, index: 0 };
  /** A checkpoint that has its name, which is not durable. */
  #named: { base: number; index: number } | null = null;

  constructor(options: LogOptions, pick: PickFile, enumeration: Enumeration, prng: Prng) {
    this.#options = options;
    this.#pick = pick;
    this.#enumeration = enumeration;
    this.#prng = prng;
    this.#driver = this.#start(new FakeDisk());
  }

  run(steps: readonly Step[]): void {
    if (this.#now.hardState.term === 0) this.#submit({ hardState: hardStateOf(1) });
    for (const step of steps) this.#take(step);
    this.#driver.run();
  }

  #start(disk: FakeDisk): LogDriver {
    const driver = new LogDriver(disk, this.#options, this.#pick);
    this.#driver = driver;
    driver.afterEach = () => this.#crash();
    this.#look();
    this.#enumeration.crash(disk, this.#bounds);
    return driver.open();
  }

  /** Bounds are made anew only when they change: images are told apart by them. */
  #look(isChanged = true): void {
    const { persisted } = this.#driver;
    if (!isChanged && this.#boundsOf === persisted) return;
    this.#boundsOf = persisted;
    this.#bounds = { states: this.#states.slice(persisted), limits: this.#limits };
  }

  #limit(base: number, change: (limits: Limits) => Partial<Limits>): void {
    const limits = this.#limits.get(base) ?? NO_LIMITS;
    this.#limits = new Map(this.#limits).set(base, { ...limits, ...change(limits) });
    this.#look();
  }

  #crash(): void {
    const last = this.#driver.disk.performed.at(-1);
    const index = last?.kind === "rename" ? indexOfCheckpoint(last.to) : null;
    if (index !== null) {
      const owner = [...this.#limits].find(([, { checkpoints }]) => checkpoints.includes(index));
      if (owner !== undefined) this.#named = { base: owner[0], index };
    }
    if (last?.kind === "sync-dir" && this.#named !== null) {
      const { base, index: checkpointMin } = this.#named;
      this.#named = null;
      this.#limit(base, () => ({ checkpointMin }));
    }
    this.#look(false);
    this.#enumeration.crash(this.#driver.disk, this.#bounds);
  }

  get #now(): ModelState {
    return this.#states.at(-1) as ModelState;
  }

  #submit(write: Partial<Omit<LogWrite, "writeId">>, isTermKnown = false): void {
    const now = this.#now;
    const base = write.install?.at ?? now.base;
    const cut = write.truncateFrom ?? Number.MAX_SAFE_INTEGER;
    const kept = write.install === undefined ? now.entries.filter((e) => e.index < cut) : [];
    const hardState = write.hardState ?? now.hardState;
    const entries = [...kept, ...(write.entries ?? [])];
    this.#states = [...this.#states, { base, entries, hardState }];
    this.#look();
    this.#driver.submit(isTermKnown ? { ...write, hardState: null } : write);
  }

  #take(step: Step): void {
    const now = this.#now;
    const { term } = now.hardState;
    switch (step.kind) {
      case "append":
        this.#submit({ entries: entriesAfter(endOf(now), term, step.count, step.bodyBytes) });
        break;
      case "replace":
        this.#replace(step);
        break;
      case "vote":
        this.#submit({ hardState: hardStateOf(term + 1, step.votedFor) });
        break;
      case "checkpoint":
        this.#checkpoint();
        break;
      case "trim":
        this.#trim(step.keep);
        break;
      case "receive":
        this.#driver.receiveUpTo(this.#baseAhead(step.ahead), step.bytes);
        break;
      case "install":
        this.#install(step.ahead, step.count);
        break;
      case "perform":
        for (let n = 0; n < step.operations && this.#driver.perform(); n++);
        break;
      case "settle":
        this.#settle();
        break;
      case "reopen":
        this.#reopen(step.how);
        break;
    }
  }

  #replace(step: Extract<Step, { kind: "replace" }>): void {
    const now = this.#now;
    const end = endOf(now);
    const wanted = step.from ?? end.index + 1 - (step.back ?? 1);
    const from = Math.max(wanted, this.#newest.index + 1, now.base.index + 1) as LogIndex;
    const before = endOf({
      base: now.base,
      entries: now.entries.filter(({ index }) => index < from),
    });
    const term = now.hardState.term + 1;
    const entries = entriesAfter(before, term, step.count, 25);
    if (step.apart === true) this.#submit({ hardState: hardStateOf(term) });
    const truncateFrom = from <= end.index ? from : null;
    this.#submit({ hardState: hardStateOf(term), truncateFrom, entries }, step.apart);
  }

  #checkpoint(): void {
    const { base, entries } = this.#now;
    const index = Math.min(this.#driver.log.status().durableIndex, endOf(this.#now).index);
    if (index <= Math.max(this.#newest.index, base.index)) return;
    const at = endOf({ base, entries: entries.filter((entry) => entry.index <= index) });
    this.#newest = { base: base.index, index };
    this.#limit(base.index, ({ checkpoints }) => ({ checkpoints: [...checkpoints, index] }));
    this.#driver.step({ kind: "checkpoint", at, state: stateAt(index, STATE_BYTES) });
    this.#driver.afterEach();
  }

  #trim(keep: number): void {
    const { base, entries } = this.#now;
    const before = entries[entries.length - keep]?.offset;
    if (before === undefined || this.#newest.base !== base.index) return;
    this.#limit(base.index, ({ trimOffset }) => ({ trimOffset: Math.max(trimOffset, before) }));
    this.#driver.trim(before);
    this.#driver.afterEach();
  }

  #baseAhead(ahead: number): Checkpoint {
    const now = this.#now;
    const end = endOf(now);
    const index = (Math.max(this.#newest.index, now.base.index) + ahead) as LogIndex;
    const at: LogPoint = {
      index,
      term: now.hardState.term as Term,
      endOffset: (end.endOffset + 5) as Offset,
      timestamp: (end.timestamp + 10) as WallMs,
    };
    return { at, state: stateAt(index, STATE_BYTES) };
  }

  #install(ahead: number, count: number): void {
    const base = this.#baseAhead(ahead);
    const { at } = base;
    const { index } = at;
    this.#driver.receiveUpTo(base);
    this.#newest = { base: index, index };
    const limits = { checkpoints: [index], checkpointMin: index, startMin: index, trimOffset: 0 };
    this.#limit(index, () => limits);
    this.#submit({
      install: { ...base, membership: NO_MEMBERS },
      entries: entriesAfter(at, at.term, count),
    });
  }

  #settle(): void {
    this.#driver.run();
    const { base } = this.#now;
    const startMin = this.#driver.log.status().startIndex - 1;
    this.#limit(base.index, () => ({ startMin }));
  }

  #reopen(how: Extract<Step, { kind: "reopen" }>["how"]): void {
    if (how === "clean" || how === "settled") this.#settle();
    if (how === "clean") this.#driver.close();
    const { disk } = this.#driver;
    const take = (count: number) => this.#prng.below(count + 1);
    const image =
      how === "power-loss" ? disk.powerLossImage({ take, index: () => null }) : disk.killImage();
    this.#states = this.#states.slice(this.#driver.persisted);
    this.#named = null;
    const driver = this.#start(new FakeDisk(image));
    assert(driver.opened !== null, `refused: ${JSON.stringify(driver.refused)}`);
    this.#goOn(driver);
  }

  /** From what was found, which the enumeration held against the bounds already. */
  #goOn(driver: LogDriver): void {
    const { opened } = driver;
    assert(opened !== null, "not opened");
    const found: readonly Entry[] = driver.allEntries();
    const { base, hardState } = opened;
    const owner = [...this.#limits].findLast(([from]) => from <= base.index) ?? [0, NO_LIMITS];
    const index = opened.checkpoint?.at.index ?? 0;
    const known = owner[1].checkpoints.filter((each) => each >= base.index && each <= index);
    const limits = { checkpoints: known, checkpointMin: index, startMin: base.index };
    const kept: Limits = { ...limits, trimOffset: owner[1].trimOffset };
    this.#states = [{ base, entries: found, hardState }];
    this.#limits = new Map([[base.index as number, kept]]);
    this.#newest = { base: base.index, index: Math.max(index, base.index) };
    this.#look();
  }
}

/** So many steps of any kind, most of them appends. */
export function drawnSteps(prng: Prng, count: number): Step[] {
  return Array.from({ length: count }, () => drawnStep(prng));
}

function drawnStep(prng: Prng): Step {
  switch (prng.below(16)) {
    case 0:
    case 1:
      return { kind: "replace", back: prng.between(1, 9), count: prng.below(5) };
    case 2:
      return { kind: "replace", back: prng.between(1, 4), count: prng.below(3), apart: true };
    case 3:
      return { kind: "vote", votedFor: prng.pick(["n1", "n2", "a-node-with-a-longer-name"]) };
    case 4:
    case 5:
      return { kind: "checkpoint" };
    case 6:
      return { kind: "trim", keep: prng.between(1, 6) };
    case 7:
      if (prng.chance(1, 3)) {
        return { kind: "receive", ahead: prng.between(1, 20), bytes: prng.between(1, STATE_BYTES) };
      }
      return { kind: "install", ahead: prng.between(1, 20), count: prng.below(4) };
    case 8:
      return { kind: "reopen", how: prng.pick(["clean", "settled", "kill", "power-loss"]) };
    case 9:
      return { kind: "settle" };
    case 10:
      return { kind: "perform", operations: prng.between(1, 8) };
    default:
      return { kind: "append", count: prng.between(1, 6), bodyBytes: prng.pick([0, 40, 40, 500]) };
  }
}
