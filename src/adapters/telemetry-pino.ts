// The Telemetry port as log lines: one notice, one line. Owns no level and no destination: those
// are the logger's, which the composition root makes.

import type { Logger } from "pino";

import type { Notice } from "../base/notice.ts";
import type { Telemetry } from "../ports/telemetry.ts";

/** Keys that pino writes itself; a fact of that name would be there twice. */
const PINO_KEYS: ReadonlySet<string> = new Set(["level", "time", "pid", "hostname", "name", "msg"]);

export class PinoTelemetry implements Telemetry {
  readonly #logger: Logger;

  /** `logger` may be a child, bound to what every line shall say. */
  constructor(logger: Logger) {
    this.#logger = logger;
  }

  notice({ level, what, facts }: Notice): void {
    if (!this.#logger.isLevelEnabled(level)) return;
    const line: Record<string, string | number | boolean | null> = {};
    for (const [key, fact] of Object.entries(facts)) {
      line[PINO_KEYS.has(key) ? `${key}_` : key] = fact;
    }
    this.#logger[level](line, what);
  }
}
