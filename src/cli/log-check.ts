// Whether a directory at rest is whole: every frame, the chain between entries and between
// segments, every index, seal and checkpoint, and then what an opening says and changes. Owns the
// findings and how bad each is; prints nothing and changes nothing.

import { type EntryHead, type LogPoint, pointAfter } from "../base/entry.ts";
import type { LogIndex, Position } from "../base/ids.ts";
import { decodeCheckpoint } from "../log/checkpoint.ts";
import { digestAfter, NO_DIGEST } from "../log/digest.ts";
import {
  baseOfSeal,
  checkpointFile,
  HARD_STATE_FILE,
  indexFile,
  indexOfCheckpoint,
  MANIFEST_FILE,
  sealFile,
  storeFile,
} from "../log/file-names.ts";
import { decodeHardState, HARD_STATE_FILE_BYTES } from "../log/hard-state.ts";
import { IndexTable } from "../log/index-file.ts";
import { describeDifference, type Manifest } from "../log/manifest.ts";
import type { StoreScan } from "../log/recovery.ts";
import { decodeSeal } from "../log/seal.ts";
import { describeRefusal } from "../node/status.ts";
import type { LogFiles } from "./log-files.ts";
import { rehearseOpening } from "./log-rehearsal.ts";

export interface Finding {
  /**
   * "note": as a crash leaves it, the next start puts it in order; "repair": wrong, and rebuilt
   * from what is right; "damage": acknowledged entries are lost or wrong in this directory.
   */
  readonly level: "note" | "repair" | "damage";
  readonly file: string;
  readonly position: number;
  readonly what: string;
}

export interface Checked {
  readonly manifest: Manifest | null;
  readonly findings: readonly Finding[];
  readonly segments: number;
  readonly entries: number;
  readonly bytes: number;
  readonly firstIndex: number;
  readonly lastIndex: number;
  /** Files that the next start would change. */
  readonly opening: readonly string[];
}

export async function checkLog(
  files: LogFiles,
  advance: (bytes: number) => void,
): Promise<Checked> {
  const check = new Check(files, advance);
  return await check.run();
}

class Check {
  readonly #files: LogFiles;
  readonly #advance: (bytes: number) => void;
  readonly #findings: Finding[] = [];
  /** Where checkpoints say that they are, until the entry was seen. */
  readonly #checkpoints = new Map<number, LogPoint>();
  #point: LogPoint | null = null;
  #entries = 0;
  #bytes = 0;
  #truncateFrom: LogIndex | null = null;

  constructor(files: LogFiles, advance: (bytes: number) => void) {
    this.#files = files;
    this.#advance = advance;
  }

  async run(): Promise<Checked> {
    const manifest = await this.#manifest();
    await this.#hardState();
    await this.#readCheckpoints();
    const { bases } = this.#files;
    for (const [at, base] of bases.entries()) {
      await this.#segment(base, manifest, at === bases.length - 1);
    }
    const lastIndex = this.#point?.index ?? 0;
    for (const [index] of this.#checkpoints) {
      if (index >= (bases[0] ?? 1) && index <= lastIndex) continue;
      if (index === (bases[0] ?? 1) - 1) continue;
      const what = "a checkpoint of an entry that the log does not hold";
      this.#find("note", checkpointFile(index as LogIndex), 0, what);
    }
    const opening = manifest === null ? [] : await this.#rehearse(manifest);
    return {
      manifest,
      findings: this.#findings,
      segments: bases.length,
      entries: this.#entries,
      bytes: this.#bytes,
      firstIndex: bases[0] ?? 0,
      lastIndex,
      opening,
    };
  }

  #find(level: Finding["level"], file: string, position: number, what: string): void {
    // The opening stops at the first damage, which the scan has found by itself mostly.
    const isKnown = this.#findings.some((found) => found.file === file && found.level === level);
    if (!isKnown || level !== "damage") this.#findings.push({ level, file, position, what });
  }

  async #manifest(): Promise<Manifest | null> {
    const manifest = await this.#files.manifest();
    if (manifest === null) {
      this.#find("damage", MANIFEST_FILE, 0, "is gone or cannot be read: whose log this is");
    } else if (manifest.differs !== undefined) {
      this.#find("damage", MANIFEST_FILE, 400, describeDifference(manifest.differs));
    }
    return manifest;
  }

  async #hardState(): Promise<void> {
    const file = HARD_STATE_FILE;
    if (!this.#files.sizes.has(file)) {
      this.#find("damage", file, 0, "is gone: which term this node voted in");
      return;
    }
    const decoded = decodeHardState(await this.#files.read(file, 0, HARD_STATE_FILE_BYTES));
    if (decoded.kind === "hard-state") this.#truncateFrom = decoded.state.truncateFrom;
    else this.#find("damage", file, 0, "cannot be read: which term this node voted in");
  }

  async #readCheckpoints(): Promise<void> {
    for (const file of this.#files.sizes.keys()) {
      const index = indexOfCheckpoint(file);
      if (index === null) continue;
      const checkpoint = decodeCheckpoint(await this.#files.readWhole(file));
      if (checkpoint?.at.index === index) this.#checkpoints.set(index, checkpoint.at);
      else this.#find("repair", file, 0, "the checkpoint cannot be read: an older one is used");
    }
  }

  async #segment(base: LogIndex, manifest: Manifest | null, isLast: boolean): Promise<void> {
    const file = storeFile(base);
    const header = await this.#files.header(base);
    if (header === null) {
      const what = "its header cannot be read";
      this.#find(isLast && this.#point !== null ? "note" : "damage", file, 0, what);
      return;
    }
    const { before } = header;
    const id = manifest?.identity;
    if (id !== undefined && header.clusterId !== id.clusterId) {
      this.#find("damage", file, 32, "it is a segment of another cluster");
    }
    if (this.#point !== null && !isSame(before, this.#point)) {
      const what = `it does not join on to entry ${this.#point.index}`;
      this.#find("damage", file, 0, what);
    }
    const table = new IndexTable();
    let digest = NO_DIGEST;
    const visit = (head: EntryHead, position: Position) => {
      table.append(head.offset - before.endOffset, position);
      digest = digestAfter(digest, head);
      this.#passCheckpoint(head);
      this.#entries++;
    };
    const passed = async (bytes: number) => this.#advance(this.#bytes + bytes);
    const truncateFrom = this.#truncateFrom;
    const scan = await this.#files.scan(base, header, { truncateFrom, visit, passed });
    this.#bytes += this.#files.sizes.get(file) ?? 0;
    this.#point = scan.point;
    this.#judge(file, scan, isLast);
    await this.#index(base, table, manifest?.cleanStop != null);
    if (this.#files.sizes.has(sealFile(base))) await this.#seal(base, scan, digest);
  }

  #judge(file: string, { verdict, end }: StoreScan, isLast: boolean): void {
    if (verdict.kind === "clean") return;
    if (verdict.kind === "torn-tail" && (isLast || this.#truncateFrom !== null)) {
      const bytes = verdict.tornEnd - end;
      const what = `${bytes} bytes of a write that was never acknowledged: ${verdict.what}`;
      this.#find("note", file, end, what);
    } else this.#find("damage", file, end, verdict.what);
  }

  async #index(base: LogIndex, table: IndexTable, wasClean: boolean): Promise<void> {
    const file = indexFile(base);
    if (!this.#files.sizes.has(file)) {
      this.#find("note", file, 0, "the index is gone: it is rebuilt");
      return;
    }
    const expected = table.used;
    const found = await this.#files.read(file, 0, expected.length);
    const at = expected.findIndex((byte, place) => byte !== found[place]);
    if (at < 0) return;
    const slot = Math.floor(at / 12);
    const what = `entry ${base + slot} is not where the index says`;
    // Of the active segment anything may be there after a crash.
    const isActive = base === this.#files.bases.at(-1);
    this.#find(isActive && !wasClean ? "note" : "repair", file, slot * 12, what);
  }

  async #seal(base: LogIndex, scan: StoreScan, digest: number): Promise<void> {
    const file = sealFile(base);
    const seal = decodeSeal(await this.#files.readWhole(file));
    if (seal === null) this.#find("repair", file, 0, "the seal cannot be read");
    else if (!isSame(seal.last, scan.point) || seal.end !== scan.end || seal.digest !== digest) {
      this.#find("repair", file, 0, "the seal is not that of the entries in the store");
    }
  }

  #passCheckpoint(head: EntryHead): void {
    const at = this.#checkpoints.get(head.index);
    if (at === undefined) return;
    this.#checkpoints.delete(head.index);
    if (isSame(at, pointAfter(head))) return;
    const what = "the checkpoint is of another entry than the one in the log";
    this.#find("damage", checkpointFile(head.index), 0, what);
  }

  /** The machine's own opinion; whatever it says that was not found is a finding, too. */
  async #rehearse({ identity }: Manifest): Promise<readonly string[]> {
    const { refused, changed } = await rehearseOpening(this.#files, identity);
    if (refused?.kind === "damaged") {
      const { file, position, what } = refused.damage;
      this.#find("damage", file, position, what);
    } else if (refused !== null) this.#find("damage", MANIFEST_FILE, 0, describeRefusal(refused));
    return refused === null ? changed.filter((file) => !isRoutine(file)) : [];
  }
}

/** Every start writes these, whatever it finds. */
function isRoutine(file: string): boolean {
  return file === HARD_STATE_FILE || file.startsWith(MANIFEST_FILE) || baseOfSeal(file) !== null;
}

function isSame(a: LogPoint, b: LogPoint): boolean {
  return (
    a.index === b.index &&
    a.term === b.term &&
    a.endOffset === b.endOffset &&
    a.timestamp === b.timestamp
  );
}
