// Where a backup's files stand: in a directory, or one after another in a tar stream, which `tar`
// lists and unpacks. Owns both forms and that a backup has its name only once it is whole; what is
// in the files is backup-check.ts's business.

import { createReadStream } from "node:fs";
import { mkdir, readFile, rename, rm, stat } from "node:fs/promises";
import path from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";

import tar from "tar-stream";

import { type FrozenBytes, freeze } from "../base/bytes.ts";
import {
  BACKUP_MANIFEST_FILE,
  type BackupManifest,
  decodeBackupManifest,
} from "./backup-manifest.ts";
import { CommandError, describeError, EXIT } from "./exit.ts";
import { freeDirectory, syncDirectory, writeDurably } from "./new-cluster.ts";

/** The folder in the stream, so that unpacking one leaves one folder. */
const FOLDER = "cairn-backup";
/** A file is held in memory while it is looked into; above any that is made. */
export const FILE_BYTES_MAX = 2 * 1024 * 1024 * 1024;

/** Standard output, or input. */
export const STREAM = "-";

/** Where the files go, in order; the manifest is the last one. */
export interface BackupTarget {
  file(name: string, bytes: Uint8Array): Promise<void>;
  /** All is there and durable, under its name. */
  done(): Promise<void>;
  /** What there is of it is no backup, and is taken away. */
  abandon(): Promise<void>;
}

export async function targetOf(to: string): Promise<BackupTarget> {
  if (to !== STREAM) return DirectoryTarget.make(to);
  if (process.stdout.isTTY === true) {
    const how = "send it to a file or another command: cairn backup --to - > backup.tar";
    throw new CommandError(`--to -: a backup is no text for a terminal; ${how}`, EXIT.usage);
  }
  return new TarTarget(process.stdout);
}

/** Made aside and renamed: under its name it is whole. */
class DirectoryTarget implements BackupTarget {
  readonly #directory: string;
  readonly #aside: string;

  private constructor(directory: string) {
    this.#directory = directory;
    this.#aside = `${directory}.unfinished`;
  }

  static async make(to: string): Promise<DirectoryTarget> {
    const target = new DirectoryTarget(await freeDirectory(to, `--to ${to}`));
    await rm(target.#aside, { recursive: true, force: true });
    await mkdir(target.#aside, { recursive: true, mode: 0o750 });
    return target;
  }

  async file(name: string, bytes: Uint8Array): Promise<void> {
    try {
      await writeDurably(path.join(this.#aside, name), bytes);
    } catch (error) {
      throw new CommandError(`${path.join(this.#aside, name)}: ${describeError(error)}`);
    }
  }

  async done(): Promise<void> {
    await syncDirectory(this.#aside);
    await rename(this.#aside, this.#directory);
    await syncDirectory(path.dirname(this.#directory));
  }

  async abandon(): Promise<void> {
    await rm(this.#aside, { recursive: true, force: true });
  }
}

class TarTarget implements BackupTarget {
  readonly #pack = tar.pack();
  readonly #piped: Promise<void>;
  readonly #begunAt = new Date();
  #failed: CommandError | null = null;

  constructor(stream: NodeJS.WritableStream) {
    this.#piped = pipeline(this.#pack, stream, { end: false }).catch((error: unknown) => {
      this.#failed = new CommandError(`standard output: ${describeError(error)}`);
    });
  }

  /** Resolves when it was taken up by whoever reads. */
  async file(name: string, bytes: Uint8Array): Promise<void> {
    const header = { name: `${FOLDER}/${name}`, mode: 0o640, mtime: this.#begunAt };
    const taken = new Promise<void>((resolve, reject) => {
      const content = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
      const entry = this.#pack.entry({ ...header, size: bytes.length }, content, (error) => {
        if (error == null) resolve();
        else reject(error);
      });
      // The callback has it, too; unheard, it would end the process.
      entry.on("error", reject);
    });
    // A reader that is gone takes nothing any more, which `piped` knows the reason of.
    await Promise.race([taken.catch(() => this.#piped), this.#piped]);
    if (this.#failed !== null) throw this.#failed;
  }

  async done(): Promise<void> {
    this.#pack.finalize();
    await this.#piped;
    if (this.#failed !== null) throw this.#failed;
  }

  /** Without the end of a tar stream, and without a manifest. */
  async abandon(): Promise<void> {
    this.#pack.destroy();
    await this.#piped;
  }
}

export interface ArchivedFile {
  readonly name: string;
  readonly bytes: FrozenBytes;
}

export interface BackupSource {
  /** In order, the manifest last. */
  readonly files: AsyncIterable<ArchivedFile>;
  /** Of all of them; null where that is not known beforehand. */
  readonly bytes: number | null;
  /** Null where it is read last. */
  readonly manifest: BackupManifest | null;
}

/** A directory, a tar file, or `-` for a tar stream on standard input. */
export async function sourceOf(from: string): Promise<BackupSource> {
  const manifest = null;
  if (from === STREAM) {
    return { files: untarred(process.stdin, "standard input"), bytes: null, manifest };
  }
  const found = await stat(from).catch((error: unknown) => {
    throw new CommandError(`cannot read ${from}: ${describeError(error)}`, EXIT.usage);
  });
  if (!found.isDirectory()) {
    return { files: untarred(createReadStream(from), from), bytes: found.size, manifest };
  }
  const text = await textOf(path.join(from, BACKUP_MANIFEST_FILE), from);
  const known = decodeBackupManifest(text);
  const bytes = known.files.reduce((sum, file) => sum + file.bytes, 0);
  return { files: standing(from, text, known.files), bytes, manifest: known };
}

async function textOf(file: string, directory: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    const what = (error as NodeJS.ErrnoException).code === "ENOENT" ? "is not there" : "";
    const why = `${BACKUP_MANIFEST_FILE} ${what === "" ? describeError(error) : what}`;
    throw new CommandError(`${directory} is no whole backup: ${why}`);
  }
}

async function* standing(
  directory: string,
  manifest: string,
  files: readonly { readonly name: string; readonly bytes: number }[],
): AsyncGenerator<ArchivedFile, void, undefined> {
  for (const { name, bytes } of files) {
    const found = await readFile(path.join(directory, name)).catch((error: unknown) => {
      throw new CommandError(`${name}: ${describeError(error)}`);
    });
    if (found.length !== bytes) {
      throw new CommandError(`${name}: ${found.length} bytes, and ${bytes} were written`);
    }
    yield { name, bytes: freeze(found) };
  }
  yield { name: BACKUP_MANIFEST_FILE, bytes: freeze(Buffer.from(manifest)) };
}

async function* untarred(
  stream: Readable,
  named: string,
): AsyncGenerator<ArchivedFile, void, undefined> {
  const extract = tar.extract();
  // What fails in the stream ends the iteration below.
  const piped = pipeline(stream, extract).catch(() => undefined);
  try {
    for await (const entry of extract) {
      const { name, size = 0, type } = entry.header;
      if (type !== "file") {
        entry.resume();
        continue;
      }
      if (size > FILE_BYTES_MAX) throw new CommandError(`${named}: ${name} is no backup's file`);
      yield { name: path.posix.basename(name), bytes: freeze(await wholeOf(entry, size)) };
    }
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(`${named} is no whole tar stream of a backup: ${describeError(error)}`);
  } finally {
    extract.destroy();
    stream.destroy();
    await piped;
  }
}

async function wholeOf(entry: AsyncIterable<Buffer>, size: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(size);
  let at = 0;
  for await (const part of entry) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
