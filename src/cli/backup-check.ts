// Whether a backup is what it says, found out while its files go by, whoever wrote them last: every
// checksum, the chain, the state of the base, and in the end the manifest against all of it. Owns
// these checks for `cairn backup`, `cairn backup verify` and `cairn restore` alike; keeps one file
// in memory, and of the log what it means.

import { createHash } from "node:crypto";

import type { FrozenBytes } from "../base/bytes.ts";
import { crc32c } from "../base/crc32c.ts";
import type { LogPoint } from "../base/entry.ts";
import {
  type BackupContent,
  BackupDamage,
  type BackupOwner,
  BackupReader,
} from "../service/backup-files.ts";
import { State } from "../state/state.ts";
import {
  BACKUP_MANIFEST_FILE,
  type BackedUpFile,
  type BackupManifest,
  hexOfCrc,
} from "./backup-manifest.ts";
import { CommandError } from "./exit.ts";

/** As the node's: a checkpoint never holds more. */
const PRODUCERS_MAX = 10_000;

export class BackupCheck {
  readonly #reader: BackupReader;
  readonly #files: BackedUpFile[] = [];
  #state = State.empty(PRODUCERS_MAX);
  #baseIndex = 0;
  #entries = 0;
  #bytes = 0;

  /** `owner` null: nobody has said yet whose it is. */
  constructor(owner: BackupOwner | null) {
    this.#reader = new BackupReader(owner);
  }

  /** In order. */
  get files(): readonly BackedUpFile[] {
    return this.#files;
  }

  get entries(): number {
    return this.#entries;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get point(): LogPoint {
    return this.#reader.point;
  }

  /** What all entries so far mean, without a user's own machine. */
  get state(): State {
    return this.#state;
  }

  /** The next file; throws a CommandError that says what is wrong with which byte of it. */
  file(name: string, bytes: FrozenBytes): BackupContent {
    const content = this.#read(name, bytes);
    if (content.kind === "checkpoint") {
      const { at, state } = content.checkpoint;
      const restored = State.restore(PRODUCERS_MAX, at, state);
      if (restored === null) throw new CommandError(`${name}: its state cannot be read`);
      this.#state = restored;
      this.#baseIndex = at.index;
    } else {
      for (const entry of content.entries) {
        this.#state.append(entry);
        this.#state.commit(entry.index, () => undefined);
      }
      this.#state.release(this.#state.committed.index);
      this.#entries += content.entries.length;
    }
    this.#bytes += bytes.length;
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    this.#files.push({ name, bytes: bytes.length, crc32c: hexOfCrc(crc32c(bytes)), sha256 });
    return content;
  }

  /** There is no more: the manifest must say the same as all files have. */
  end(manifest: BackupManifest): void {
    const { lastIndex, lastTerm, endOffset, baseIndex, files, startOffset } = manifest;
    const { index, term, endOffset: end } = this.point;
    const { clusterId, instanceId } = this.#reader.owner ?? manifest;
    const claims: readonly (readonly [string, unknown, unknown])[] = [
      ["cluster", manifest.clusterId, clusterId],
      ["instance", manifest.instanceId, instanceId],
      ["number of files", files.length, this.#files.length],
      ["base", baseIndex, this.#baseIndex],
      ["last entry", lastIndex, index],
      ["last term", lastTerm, term],
      ["end offset", endOffset, end],
      ["start offset", startOffset, this.#state.startOffset],
    ];
    for (const [what, said, found] of claims) {
      if (said !== found) throw contradicted(`${what} ${said}, the files have ${found}`);
    }
    for (const [nth, said] of files.entries()) {
      const found = this.#files[nth];
      for (const part of ["name", "bytes", "crc32c", "sha256"] as const) {
        if (found?.[part] === said[part]) continue;
        throw contradicted(`${said.name}: ${part} ${said[part]}, it has ${found?.[part]}`);
      }
    }
  }

  #read(name: string, bytes: FrozenBytes): BackupContent {
    try {
      return this.#reader.read(name, bytes);
    } catch (error) {
      if (error instanceof BackupDamage) throw new CommandError(error.message);
      throw error;
    }
  }
}

function contradicted(what: string): CommandError {
  return new CommandError(`${BACKUP_MANIFEST_FILE} says ${what}`);
}
