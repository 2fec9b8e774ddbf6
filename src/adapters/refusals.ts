// Tells the operator about connections that were turned away, at most once a second for each
// reason, so that whoever knocks cannot fill the disk with log lines. Owns the counting of what was
// not told.

import type { Telemetry } from "../ports/telemetry.ts";

const QUIET_MS = 1000;

export class Refusals {
  readonly #telemetry: Telemetry;
  readonly #told = new Map<string, { atMs: number; untold: number }>();

  readonly #nowMs: () => number;

  constructor(telemetry: Telemetry, nowMs: () => number = () => performance.now()) {
    this.#telemetry = telemetry;
    this.#nowMs = nowMs;
  }

  /** `what` is one of a few fixed names. */
  tell(what: string, facts: Readonly<Record<string, string | number | null>>): void {
    const nowMs = this.#nowMs();
    const last = this.#told.get(what);
    if (last !== undefined && nowMs - last.atMs < QUIET_MS) {
      last.untold++;
      return;
    }
    const untold = last?.untold ?? 0;
    this.#told.set(what, { atMs: nowMs, untold: 0 });
    this.#telemetry.notice({ level: "warn", what, facts: { ...facts, untold } });
  }
}
