// One computer's data directory over all the lives of its node: operations take drawn time,
// complete in order on each file, and crashes leave what a real one could. The contracts are
// src/base/disk.ts and src/ports/disk.ts. Owns names, order and time; the bytes of a file are
// sim/sim-file.ts. Where the disk has not done what it said, both are kept: what a node reads, and
// what was written.

import { assert } from "../src/base/assert.ts";
import { concat, freeze } from "../src/base/bytes.ts";
import type { DiskErrorCode, DiskOperation, DiskResult } from "../src/base/disk.ts";
import type { OpId } from "../src/base/ids.ts";
import type { Prng } from "../src/base/prng.ts";
import type { Disk, DiskInbox } from "../src/ports/disk.ts";
import { type DiskImage, forgottenIn } from "./checks/disk-memory.ts";
import { drawPlaceOfRot, isVitalFile, type RotKind, rotKindOf, VITAL_KINDS } from "./checks/rot.ts";
import type { IndexRange } from "./disk-atlas.ts";
import { DiskErrors } from "./disk-errors.ts";
import { LostWrites } from "./lost-writes.ts";
import type { CrashKind, CrashLoss, DiskView } from "./observer.ts";
import type { DiskProfile } from "./plan.ts";
import { SECTOR_BYTES, SimFile } from "./sim-file.ts";
import { SimNames } from "./sim-names.ts";
import { drawSpan } from "./spans.ts";
import type { Timeline } from "./timeline.ts";

/** Who stands beside the disk and may pull the plug; a false answer says that the node is gone. */
export interface DiskWitness {
  submitted(operation: DiskOperation): void;
  /** About to take effect. */
  reached(operation: DiskOperation): boolean;
  /** Took effect; the node hears of it next. */
  applied(operation: DiskOperation, result: DiskResult): boolean;
}

type WriteAt = Extract<DiskOperation, { kind: "write-at" }>;

interface Pending {
  readonly operation: DiskOperation;
  /** Changes of names that were complete when the operation was submitted. */
  readonly changesBefore: number;
}

const DONE: DiskResult = { kind: "done" };
const DIRECTORY: readonly string[] = [""];
/** No file has this name. */
const ALL_NAMES = "*";
const NOTHING_STUCK: ReadonlySet<string> = new Set();

/**
 * What takes longer is a hang, which is a mishap of its own and ends with the others. A leader
 * gives way to a disk that makes it wait four election timeouts, at least 1.2 s: once all is healed
 * there is no reason for that.
 */
const OPERATION_MICROS_MAX = 1_000_000;

export class SimDisk implements Disk, DiskView {
  readonly #timeline: Timeline;
  readonly #profile: DiskProfile;
  readonly #prng: Prng;
  readonly #witness: DiskWitness;
  #inbox: DiskInbox | null = null;
  readonly #names = new SimNames();
  #pending = new Map<OpId, Pending>();
  /** Instant at which the last operation submitted for a name completes. */
  #busyUntil = new Map<string, number>();
  /** What it acknowledges and does not do. */
  readonly losses = new LostWrites();
  /** Names as they were written, where a power loss took some that were said to be durable. */
  #written: ReadonlyMap<string, SimFile> | null = null;
  #forgotten: string | null = null;
  /** Operations of the lives before are ignored. */
  #life = 0;
  /** How many times longer everything takes; a mishap may raise it. */
  slowdown = 1;
  /** Names whose operations never complete, up to the next crash; "all" stands for all names. */
  readonly #stuck = new Set<string>();
  /** The next operation that changes something is the first that never completes. */
  #hangsNext = false;
  /** What it refuses at the moment. */
  readonly errors: DiskErrors;

  constructor(timeline: Timeline, profile: DiskProfile, prng: Prng, witness: DiskWitness) {
    this.#timeline = timeline;
    this.#profile = profile;
    this.#prng = prng;
    this.#witness = witness;
    this.errors = new DiskErrors(prng.fork("errors"));
  }

  attach(inbox: DiskInbox): void {
    this.#inbox = inbox;
    this.errors.beginLife();
    this.#hangsNext = false;
    this.#written = null;
  }

  submit(operation: DiskOperation): void {
    assert(!this.#pending.has(operation.opId), "an operation id is used once", operation.opId);
    this.#witness.submitted(operation);
    const changesBefore = this.#names.changed;
    this.#pending.set(operation.opId, { operation, changesBefore });
    const names = namesOf(operation);
    let from: number = this.#timeline.now;
    for (const name of names) from = Math.max(from, this.#busyUntil.get(name) ?? 0);
    const instant = from + this.#drawDuration(operation);
    for (const name of names) this.#busyUntil.set(name, instant);
    const life = this.#life;
    this.#timeline.at(instant, () => {
      if (life === this.#life) this.#complete(operation);
    });
  }

  /**
   * Nothing completes any more until the node dies; or only the next change and, since operations
   * on a file are performed in order, what comes after it on the same files.
   */
  hang(what: "all" | "next-change"): void {
    if (what === "all") this.#stuck.add(ALL_NAMES);
    else this.#hangsNext = true;
  }

  /** True while something will never complete. */
  get isHanging(): boolean {
    return this.#stuck.size > 0;
  }

  /**
   * Flips up to `count` bits of files of that kind, in vital ones where `mayRot` says that it may;
   * says how many. A mishap's at rest.
   */
  rot(kind: RotKind, count: number, mayRot: (range: IndexRange | null) => boolean): number {
    const { seen, durable } = this.#names;
    const files = [...durable].filter(
      ([file, content]) =>
        rotKindOf(file) === kind && seen.get(file) === content && content.length > 0,
    );
    let flipped = 0;
    for (let left = files.length === 0 ? 0 : count; left > 0; left--) {
      const [file, content] = this.#prng.pick(files);
      const place = drawPlaceOfRot(kind, content.durableBytes(), this.#prng);
      if (place === null) continue;
      const { position, index } = place;
      if (!this.survivesPowerLoss(file, position, position + 1)) continue;
      const range = index === null ? null : { first: index, last: index };
      if (this.#isVital(file) && !mayRot(range)) continue;
      content.rot(position, 1 << this.#prng.below(8));
      flipped++;
    }
    // Nobody is there to notice: what the next one would not know any more is judged as in a crash.
    if (flipped > 0 && this.#inbox === null) this.#lookForForgotten();
    return flipped;
  }

  /** Something that a node cannot do without reads otherwise than it was written. */
  get isDamaged(): boolean {
    if (this.#written !== null) return true;
    return [...this.#names.seen].some(([file, { isWrong }]) => isWrong && this.#isVital(file));
  }

  #isVital(file: string): boolean {
    return isVitalFile(file, this.#names.seen.keys());
  }

  /** What a node that starts after the last crash would not know any more; null: nothing. */
  get forgotten(): string | null {
    return this.#forgotten;
  }

  /** Nobody remembers what is forgotten: what reads wrong is what is there. */
  accept(): void {
    for (const content of this.#names.seen.values()) content.accept();
    this.#written = null;
    this.#forgotten = null;
  }

  /** Another disk is put into a computer that is down: an older image of this one, or none. */
  replace(image: DiskImage): void {
    assert(this.#inbox === null, "a disk is replaced while no node is on it");
    this.#life++;
    const files = [...image].map(([file, bytes]): [string, SimFile] => {
      const content = new SimFile();
      content.write(0, [bytes]);
      content.sync();
      return [file, content];
    });
    this.#names.replace(new Map(files));
    this.#written = null;
    this.#forgotten = null;
  }

  get crashes(): number {
    return this.#life;
  }

  survivesPowerLoss(file: string, start: number, end: number): boolean {
    const content = (this.#written ?? this.#names.seen).get(file);
    if (content === undefined) return false;
    const isNamed = this.#written !== null || this.#names.isCertain(file);
    return isNamed && content.survivesPowerLoss(start, end);
  }

  durableImage(): ReadonlyMap<string, Uint8Array> {
    return imageOf(this.#names.durable, (content) => content.durableBytes());
  }

  writtenImage(): ReadonlyMap<string, Uint8Array> {
    return imageOf(this.#written ?? this.#names.seen, (content) => content.cachedBytes());
  }

  /**
   * The node is gone. What it had submitted may have happened or not, in order on each file; then,
   * if the power went too, nothing that was not synced is certain. Its inbox hears nothing more.
   */
  crash(kind: CrashKind): CrashLoss {
    this.#life++;
    this.#inbox = null;
    let loss: CrashLoss = { lostBytes: this.#finishSome(), tornWrites: 0, lostNames: 0 };
    if (kind === "power") loss = this.#losePower(loss);
    else for (const content of this.#names.seen.values()) content.loseProcess(this.#prng);
    this.#pending.clear();
    this.#busyUntil.clear();
    this.#stuck.clear();
    this.#lookForForgotten();
    return loss;
  }

  #lookForForgotten(): void {
    this.#forgotten = this.isDamaged ? forgottenIn(this.#readImage(), this.writtenImage()) : null;
  }

  /** What a process that starts now would really read. */
  #readImage(): DiskImage {
    return imageOf(this.#names.seen, (content) => content.read(0, content.length));
  }

  #complete(operation: DiskOperation): void {
    if (this.#getsStuck(operation)) return;
    if (!this.#witness.reached(operation)) return;
    const pending = this.#pending.get(operation.opId);
    assert(pending !== undefined, "a completing operation was submitted", operation.opId);
    this.#pending.delete(operation.opId);
    const grows = this.#grows(operation);
    const code = this.errors.strike(operation, grows) ?? this.#overflow(operation, grows);
    const result = code === null ? this.#apply(pending) : this.#refuse(operation, code);
    if (!this.#witness.applied(operation, result)) return;
    assert(this.#inbox !== null, "a disk completes for somebody: attach an inbox first");
    this.#inbox.diskDone(operation.opId, result);
  }

  #apply({ operation, changesBefore }: Pending): DiskResult {
    switch (operation.kind) {
      case "create":
        return this.#create(operation.file);
      case "rename":
        return this.#rename(operation.from, operation.to);
      case "unlink":
        return this.#unlink(operation.file);
      case "sync-dir": {
        const isLie = this.#names.unsynced(changesBefore) > 0 && this.losses.strike("names");
        this.#names.sync(changesBefore, isLie ? this.#prng : null);
        return DONE;
      }
      case "list":
        return { kind: "listed", files: this.#list() };
    }
    const content = this.#names.seen.get(operation.file);
    if (content === undefined) return failed("ENOENT", `${operation.file} does not exist`);
    switch (operation.kind) {
      case "write-at":
        this.#write(operation, content);
        return DONE;
      case "read-at": {
        const bytes = content.read(operation.position, operation.length);
        this.errors.maybeMisread(bytes);
        return { kind: "read", bytes: freeze(bytes) };
      }
      case "sync":
        content.sync();
        return DONE;
      case "map":
        if (content.length === operation.length) return { kind: "mapped", view: content.map() };
        return failed("EOTHER", `${operation.file} has ${content.length} bytes to map`);
      case "flush-map":
        return DONE;
      case "unmap":
        content.unmap();
        return DONE;
    }
  }

  #write({ file, position, parts }: WriteAt, content: SimFile): void {
    const isPhantom = isOfVitalKind(file) && this.losses.strike("phantom");
    const isMisdirected = isOfVitalKind(file) && this.losses.strike("misdirected");
    if (!isPhantom && !isMisdirected) {
      content.write(position, parts);
      return;
    }
    content.writeInVain(position, parts);
    if (isMisdirected) this.#landElsewhere(concat(parts), content);
  }

  /** Over whatever stands there, in the same file or in another one that matters. */
  #landElsewhere(bytes: Uint8Array, intended: SimFile): void {
    const others = [...this.#names.seen].filter(
      ([file, { length }]) => length > 0 && isOfVitalKind(file),
    );
    const content = this.#prng.chance(1, 2) ? intended : (this.#prng.pick(others)[1] as SimFile);
    const sectors = Math.ceil(content.length / SECTOR_BYTES);
    content.overlay(this.#prng.below(sectors) * SECTOR_BYTES, bytes);
  }

  #getsStuck(operation: DiskOperation): boolean {
    const names = namesOf(operation);
    const isNext = this.#hangsNext && isChange(operation);
    const isStuck = this.#stuck.has(ALL_NAMES) || names.some((name) => this.#stuck.has(name));
    if (!isNext && !isStuck) return false;
    if (isNext) this.#hangsNext = false;
    for (const name of names) this.#stuck.add(name);
    return true;
  }

  /** True for what needs room on the disk that it does not have yet. */
  #grows(operation: DiskOperation): boolean {
    if (operation.kind === "create") return true;
    if (operation.kind !== "write-at") return false;
    const length = this.#names.seen.get(operation.file)?.length ?? 0;
    return operation.position + lengthOf(operation.parts) > length;
  }

  /** The error of a disk that has no room for what an operation adds; null when it has. */
  #overflow(operation: DiskOperation, grows: boolean): DiskErrorCode | null {
    const { capacityBytes } = this.#profile;
    if (!grows || capacityBytes === 0 || operation.kind !== "write-at") return null;
    let bytes = operation.position + lengthOf(operation.parts);
    for (const [file, content] of this.#names.seen) {
      if (file !== operation.file) bytes += content.length;
    }
    return bytes > capacityBytes ? "ENOSPC" : null;
  }

  /**
   * A write that fails may be there in part; a sync that fails loses what it was asked for, and the
   * next one says that all is well.
   */
  #refuse(operation: DiskOperation, code: DiskErrorCode): DiskResult {
    if (operation.kind === "write-at" && this.#prng.chance(1, 2)) {
      this.#writeSome(operation, NOTHING_STUCK);
    } else if (operation.kind === "sync") {
      this.#names.seen.get(operation.file)?.failSync(this.#prng);
    } else if (operation.kind === "sync-dir" && this.#names.unsynced(this.#names.changed) > 0) {
      if (this.losses.mayLose("names")) this.#names.sync(this.#names.changed, this.#prng);
    }
    return failed(code, `${operation.kind} refused by a mishap`);
  }

  #create(file: string): DiskResult {
    if (this.#names.seen.has(file)) return failed("EEXIST", `${file} exists`);
    this.#names.create(file, new SimFile());
    return DONE;
  }

  #rename(from: string, to: string): DiskResult {
    return this.#names.rename(from, to) ? DONE : failed("ENOENT", `${from} does not exist`);
  }

  #unlink(file: string): DiskResult {
    return this.#names.unlink(file) ? DONE : failed("ENOENT", `${file} does not exist`);
  }

  #list(): { file: string; bytes: number }[] {
    const files = [...this.#names.seen].map(([file, content]) => ({ file, bytes: content.length }));
    return files.sort((a, b) => (a.file < b.file ? -1 : 1));
  }

  /**
   * Performs, for each file, some first part of what was submitted; says how many bytes were not.
   */
  #finishSome(): number {
    const stuck = new Set<string>();
    let lostBytes = 0;
    for (const pending of this.#pending.values()) {
      const { operation } = pending;
      const names = namesOf(operation);
      if (!names.some((name) => stuck.has(name)) && this.#prng.chance(1, 2)) this.#apply(pending);
      else {
        if (operation.kind === "write-at") lostBytes += this.#writeSome(operation, stuck);
        for (const name of names) stuck.add(name);
      }
    }
    return lostBytes;
  }

  /** A write that was cut short, unless an earlier operation on its file already was. */
  #writeSome(operation: WriteAt, stuck: ReadonlySet<string>): number {
    const bytes = lengthOf(operation.parts);
    const content = this.#names.seen.get(operation.file);
    if (content === undefined || stuck.has(operation.file) || bytes === 0) return bytes;
    let left = this.#prng.below(bytes);
    const lost = bytes - left;
    const parts: Uint8Array[] = [];
    for (const part of operation.parts) {
      parts.push(part.subarray(0, left));
      left -= Math.min(left, part.length);
    }
    content.write(operation.position, parts);
    return lost;
  }

  #losePower(before: CrashLoss): CrashLoss {
    let { lostBytes, tornWrites, lostNames } = before;
    const seen = [...this.#names.seen.values()];
    const { undone, told } = this.#names.losePower(this.#prng);
    lostNames += undone;
    for (const content of new Set([...seen, ...told.values()])) {
      const lost = content.losePower(this.#prng);
      lostBytes += lost.lostBytes;
      tornWrites += lost.tornWrites;
    }
    // Names that are gone, and those of files that were removed and are there again.
    const { seen: found } = this.#names;
    const isVitalWrong = [...told.keys(), ...found.keys()].some((file) => {
      return isOfVitalKind(file) && found.get(file) !== told.get(file);
    });
    if (isVitalWrong) this.#written = told;
    return { lostBytes, tornWrites, lostNames };
  }

  #drawDuration(operation: DiskOperation): number {
    const { operationMeanMicros, syncMeanMicros, slowPerMille } = this.#profile;
    const isSync = operation.kind === "sync" || operation.kind === "sync-dir";
    const mean = isSync ? syncMeanMicros : operationMeanMicros;
    const isSlow = slowPerMille > 0 && this.#prng.chance(slowPerMille, 1000);
    const micros = drawSpan(this.#prng, mean) * this.slowdown * (isSlow ? 100 : 1);
    return 1 + Math.min(micros, OPERATION_MICROS_MAX);
  }
}

/** The names whose operations are performed in order; "" is the directory itself. */
function namesOf(operation: DiskOperation): readonly string[] {
  switch (operation.kind) {
    case "sync-dir":
    case "list":
      return DIRECTORY;
    case "rename":
      return [operation.from, operation.to];
    default:
      return [operation.file];
  }
}

function isChange({ kind }: DiskOperation): boolean {
  return kind === "write-at" || kind === "sync" || kind === "sync-dir" || kind === "create";
}

function isOfVitalKind(file: string): boolean {
  const kind = rotKindOf(file);
  return kind !== null && VITAL_KINDS.has(kind);
}

function imageOf(
  names: ReadonlyMap<string, SimFile>,
  bytesOf: (content: SimFile) => Uint8Array,
): ReadonlyMap<string, Uint8Array> {
  return new Map([...names].map(([name, content]) => [name, bytesOf(content)]));
}

function lengthOf(parts: readonly Uint8Array[]): number {
  let length = 0;
  for (const part of parts) length += part.length;
  return length;
}

function failed(code: DiskErrorCode, message: string): DiskResult {
  return { kind: "failed", code, message };
}
