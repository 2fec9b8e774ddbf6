// Feeds a recorded production run to the same node again: same options, same seed, same mail at the
// same instants; every output must come out byte for byte. Owns the comparison; the format is
// src/service/recording.ts.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

import { equalBytes } from "../src/base/bytes.ts";
import { crc32c } from "../src/base/crc32c.ts";
import { Prng } from "../src/base/prng.ts";
import { Node } from "../src/node/node.ts";
import {
  decodeRecording,
  encodeOutput,
  RECORDING_SUFFIX,
  type Recording,
} from "../src/service/recording.ts";

export interface Replayed {
  readonly turns: number;
  readonly events: number;
  readonly outputBytes: number;
  /** CRC-32C over all outputs, in order. */
  readonly digest: number;
  /** Null when every output was equal. */
  readonly difference: Difference | null;
}

export interface Difference {
  /** From 1. */
  readonly turn: number;
  readonly recorded: Uint8Array;
  readonly replayed: Uint8Array;
}

/** Runs a recording through a fresh node, up to the first output that differs. */
export function replayRecording(recording: Recording): Replayed {
  const node = new Node(recording.options, new Prng(recording.seed));
  let events = 0;
  let outputBytes = 0;
  let digest = 0;
  for (const [at, turn] of recording.turns.entries()) {
    for (const event of turn.events) node.step(turn.now, event);
    if (turn.rang) node.step(turn.now, { kind: "deadline" });
    events += turn.events.length;
    const replayed = encodeOutput(node.takeOutput());
    outputBytes += replayed.length;
    digest = crc32c(replayed, digest);
    if (!equalBytes(replayed, turn.output)) {
      const difference = { turn: at + 1, recorded: turn.output, replayed };
      return { turns: at + 1, events, outputBytes, digest, difference };
    }
  }
  return { turns: recording.turns.length, events, outputBytes, digest, difference: null };
}

/**
 * Replays every recording in a directory; prints a line for each. Exit code: 0 equal, 3 not, 64
 * none.
 */
export function replay(directory: string): number {
  const names = recordingsIn(directory);
  if (names.length === 0) {
    process.stderr.write(`no recordings (*${RECORDING_SUFFIX}) in ${directory}\n`);
    return 64;
  }
  let code = 0;
  for (const name of names) {
    const recording = decodeRecording(readFileSync(join(directory, name)));
    if (typeof recording === "string") {
      process.stderr.write(`${join(directory, name)}: ${recording}\n`);
      code = 64;
      continue;
    }
    const replayed = replayRecording(recording);
    process.stdout.write(`${describe(name, recording, replayed)}\n`);
    if (replayed.difference !== null) code = 3;
  }
  return code;
}

function recordingsIn(directory: string): string[] {
  try {
    return readdirSync(directory)
      .filter((name) => name.endsWith(RECORDING_SUFFIX))
      .sort();
  } catch {
    return [];
  }
}

function describe(name: string, recording: Recording, replayed: Replayed): string {
  const { turns, events, outputBytes, digest, difference } = replayed;
  const node = `${name}: node ${recording.options.name}`;
  const cut = recording.cutBytes > 0 ? `, ${recording.cutBytes} bytes cut off by a crash` : "";
  if (difference === null) {
    const equal = `${outputBytes} output bytes equal, digest ${digest.toString(16).padStart(8, "0")}`;
    return `PASS ${node}, ${turns} turns, ${events} events, ${equal}${cut}`;
  }
  const { turn, recorded, replayed: again } = difference;
  const sizes = `${recorded.length} bytes then, ${again.length} bytes now`;
  return `FAIL ${node}: the output of turn ${turn} differs (${sizes})${cut}`;
}
