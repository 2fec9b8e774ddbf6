// The memory of a gossip member as a file: read once, replaced as a whole and synced, so that a
// crash leaves the old one or the new one. Owns the order of writes; the bytes are
// src/service/gossip-memory.ts.

import { readFileSync } from "node:fs";
import { open, rename } from "node:fs/promises";
import path from "node:path";

import type { Telemetry } from "../ports/telemetry.ts";
import {
  decodeRemembered,
  encodeRemembered,
  type GossipMemory,
  type Remembered,
} from "../service/gossip-memory.ts";

export class GossipFile implements GossipMemory {
  readonly remembered: Remembered | null;
  readonly #file: string;
  readonly #telemetry: Telemetry;
  #next: Remembered | null = null;
  #writing: Promise<void> | null = null;

  /** What cannot be read is as if it were not there, and said so. */
  constructor(file: string, telemetry: Telemetry) {
    this.#file = path.resolve(file);
    this.#telemetry = telemetry;
    this.remembered = this.#read();
  }

  keep(remembered: Remembered): void {
    this.#next = remembered;
    this.#writing ??= this.#write();
  }

  /** Resolves once the latest is on the disk, or could not be written. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  #read(): Remembered | null {
    let bytes: Uint8Array;
    try {
      bytes = readFileSync(this.#file);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOENT") this.#tell("unreadable", error);
      return null;
    }
    const remembered = decodeRemembered(bytes);
    if (remembered === null) this.#tell("unreadable", "not a memory of this version, or damaged");
    return remembered;
  }

  async #write(): Promise<void> {
    try {
      for (let next = this.#next; next !== null; next = this.#next) {
        this.#next = null;
        await this.#replace(encodeRemembered(next));
      }
    } catch (error) {
      this.#tell("unwritten", error);
    } finally {
      this.#writing = null;
    }
  }

  async #replace(bytes: Uint8Array): Promise<void> {
    const aside = `${this.#file}.tmp`;
    const opened = await open(aside, "w", 0o640);
    try {
      await opened.writeFile(bytes);
      await opened.sync();
    } finally {
      await opened.close();
    }
    await rename(aside, this.#file);
  }

  #tell(how: "unreadable" | "unwritten", error: unknown): void {
    const why = error instanceof Error ? error.message : String(error);
    const facts = { file: this.#file, how, why };
    this.#telemetry.notice({ level: "warn", what: "gossip-memory", facts });
  }
}
