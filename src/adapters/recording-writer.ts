// Writes a run down while it happens (`agent --record DIR`), each turn before anything else
// happens, so that what a kill -9 leaves is whole up to the last turn. The format is
// src/service/recording.ts.

import { closeSync, mkdirSync, openSync, readdirSync, writeSync } from "node:fs";
import { join } from "node:path";

import type { Instant } from "../base/ids.ts";
import type { Recorder } from "../node/ports.ts";
import type { NodeEvent, NodeOptions, NodeOutput } from "../node/protocol.ts";
import {
  encodeEvents,
  encodeOutput,
  encodeStart,
  encodeTurn,
  RECORDING_SUFFIX,
} from "../service/recording.ts";

export class RecordingWriter implements Recorder {
  /** The file this run goes to. */
  readonly file: string;
  readonly #fd: number;
  #now = 0 as Instant;
  #events = new Uint8Array(0);

  /** Begins the next numbered file in `directory`, which is made when missing. */
  constructor(directory: string, options: NodeOptions, seed: string) {
    mkdirSync(directory, { recursive: true });
    const before = readdirSync(directory).filter((name) => name.endsWith(RECORDING_SUFFIX)).length;
    const number = String(before + 1).padStart(6, "0");
    this.file = join(directory, `run-${number}${RECORDING_SUFFIX}`);
    this.#fd = openSync(this.file, "wx", 0o600);
    writeSync(this.#fd, encodeStart(options, seed));
  }

  turnBegins(now: Instant, events: readonly NodeEvent[]): void {
    this.#now = now;
    this.#events = encodeEvents(events).slice();
  }

  turnEnds(rang: boolean, output: NodeOutput | null): void {
    const block = encodeTurn(this.#now, this.#events, rang, encodeOutput(output));
    let written = 0;
    while (written < block.length) written += writeSync(this.#fd, block, written);
  }

  close(): void {
    closeSync(this.#fd);
  }
}
