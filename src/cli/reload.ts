// What an agent takes into use again when its file has changed: certificates and access rules,
// without a restart. What cannot be used is said, and what was in use stays. Owns the watching, the
// order of reloads and the warnings before certificates expire; reading and checking is each
// source's own.

import { FileWatch } from "../adapters/file-watch.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import { describeError } from "./exit.ts";
import { certificatesOf, expiryOf } from "./expiry.ts";

/** Something made of files. */
export interface ReloadSource {
  /** Kebab-case: notices are called `<what>-reloaded` and `<what>-not-reloaded`. */
  readonly what: string;
  readonly files: readonly string[];
  /**
   * Reads, checks and takes into use. Null when the files hold what is in use already, else a few
   * words on what came into use. Throws when they cannot be used; then nothing has changed.
   */
  reload(): Promise<string | null>;
}

export class Reloader {
  readonly #telemetry: Telemetry;
  readonly #watches: readonly FileWatch[];
  /** Sources whose files, as they are now, cannot be used. */
  readonly #broken = new Set<ReloadSource>();

  constructor(telemetry: Telemetry, sources: readonly ReloadSource[], everyMs?: number) {
    this.#telemetry = telemetry;
    this.#watches = sources.map(
      (source) => new FileWatch(source.files, () => this.#reload(source), everyMs),
    );
  }

  close(): void {
    for (const watch of this.#watches) watch.close();
  }

  async #reload(source: ReloadSource): Promise<void> {
    const { what } = source;
    const files = source.files.join(", ");
    try {
      const now = await source.reload();
      const wasBroken = this.#broken.delete(source);
      if (now === null && !wasBroken) return;
      const facts = { files, now: now ?? "as it was" };
      this.#telemetry.notice({ level: "info", what: `${what}-reloaded`, facts });
    } catch (error) {
      this.#broken.add(source);
      const facts = { files, why: describeError(error), inUse: "what was in use before" };
      this.#telemetry.notice({ level: "error", what: `${what}-not-reloaded`, facts });
    }
  }
}

const DAY_MS = 24 * 60 * 60 * 1000;

/** Certificates in use, by the file they came from. */
export type PemsInUse = () => readonly { readonly file: string; readonly pem: string }[];

/** Tells of certificates that have ended or soon will: when made, daily, and when asked. */
export class ExpiryWarnings {
  readonly #telemetry: Telemetry;
  readonly #inUse: PemsInUse;
  readonly #now: () => number;
  readonly #timer: NodeJS.Timeout;

  constructor(telemetry: Telemetry, inUse: PemsInUse, now: () => number = Date.now) {
    this.#telemetry = telemetry;
    this.#inUse = inUse;
    this.#now = now;
    this.#timer = setInterval(() => this.tell(), DAY_MS);
    this.#timer.unref();
    this.tell();
  }

  tell(): void {
    const told = new Set<string>();
    for (const { file, pem } of this.#inUse()) {
      for (const certificate of certificatesOf(pem) ?? []) {
        const { name, notAfter, daysLeft, state } = expiryOf(certificate, this.#now());
        // One file often serves clients and peers both.
        const once = `${file} ${certificate.fingerprint256}`;
        if (state === "valid" || told.has(once)) continue;
        told.add(once);
        this.#telemetry.notice({
          level: state === "expired" ? "error" : "warn",
          what: `certificate-${state}`,
          facts: { file, name, notAfter, daysLeft },
        });
      }
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }
}
