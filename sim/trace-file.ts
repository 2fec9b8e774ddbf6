// A run as a file for other programs: ShiViz's log format, whose space-time diagrams show who knew
// what when, or NDJSON. Each event of a node carries the node's vector clock: one tick of its own,
// and all that came with the messages it took (Fidge, Mattern 1988). Owns clocks and forms; what
// happens is told by sim/narrator.ts.

import type { NodeId } from "../src/base/ids.ts";
import type { RaftMessage } from "../src/raft/protocol.ts";
import { type Narrated, Narrator } from "./narrator.ts";

type VectorClock = ReadonlyMap<string, number>;

/** Events that belong to no node have a host of their own. */
const RUN_HOST = "run";

/** In ShiViz's dialect, on the first line of a file; the second is for several runs in one. */
export const SHIVIZ_PARSER = "(?<host>\\S*) (?<time>\\S*) (?<clock>{.*})\\n(?<event>.*)";

export type TraceForm = "shiviz" | "ndjson";

/** NDJSON by its name, else ShiViz's format. */
export function formOf(file: string): TraceForm {
  return file.endsWith(".ndjson") ? "ndjson" : "shiviz";
}

/**
 * An observer that gives the lines of a trace file to `write`, each with its end; whoever takes a
 * message knows then what its sender knew when it sent it.
 */
export function traceInto(form: TraceForm, write: (text: string) => void): Narrator {
  const clocks = new VectorClocks();
  if (form === "shiviz") write(`${SHIVIZ_PARSER}\n\n`);
  return new Narrator((narrated) => {
    const host = narrated.node ?? RUN_HOST;
    const clock = clocks.tick(host, narrated);
    write(form === "shiviz" ? encodeShiviz(host, clock, narrated) : encodeRow(clock, narrated));
  });
}

class VectorClocks {
  readonly #now = new Map<string, VectorClock>();
  /** What the sender of a message knew. A copy that comes later is the same message. */
  readonly #sent = new WeakMap<RaftMessage, VectorClock>();

  /** The host's clock with this event in it. */
  tick(host: NodeId | typeof RUN_HOST, { kind, message }: Narrated): VectorClock {
    const clock = new Map(this.#now.get(host));
    const known = kind === "take" && message !== undefined ? this.#sent.get(message) : undefined;
    for (const [other, count] of known ?? [])
      clock.set(other, Math.max(clock.get(other) ?? 0, count));
    clock.set(host, (clock.get(host) ?? 0) + 1);
    this.#now.set(host, clock);
    if (kind === "send" && message !== undefined) this.#sent.set(message, clock);
    return clock;
  }
}

function encodeClock(clock: VectorClock): string {
  return JSON.stringify(Object.fromEntries([...clock].sort(([a], [b]) => (a < b ? -1 : 1))));
}

function encodeShiviz(host: string, clock: VectorClock, { at, kind, what }: Narrated): string {
  const time = (at / 1_000_000).toFixed(6);
  // Words from errors may hold anything; a line is a line.
  return `${host} ${time} ${encodeClock(clock)}\n${kind} ${what.replace(/\s+/g, " ")}\n`;
}

function encodeRow(clock: VectorClock, { at, node, kind, what }: Narrated): string {
  const row = { at, node, kind, what };
  return `${JSON.stringify(row).slice(0, -1)},"clock":${encodeClock(clock)}}\n`;
}
