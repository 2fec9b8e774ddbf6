// What came from outside and had no effect: counted by reason, and told to operators at most once a
// minute a source, so that garbage costs a log nothing. Owns the counts and the patience; why
// something is dropped is decided where it is read.

import { after, type Instant, millis } from "../base/ids.ts";
import type { Notice } from "../base/notice.ts";
import type { DropReason } from "./protocol.ts";

const QUIET_SPAN = millis(60_000);
/** Sources remembered at once; further ones share one place until one of these is forgotten. */
export const DROP_SOURCES_MAX = 256;
const ALL_OTHERS = "others";

/** What happens among correct members too: acks that came late, and mail after we left. */
const USUAL: ReadonlySet<DropReason> = new Set(["no-such-ping", "after-leave"]);

interface Source {
  /** Nothing is told about it before this instant. */
  quietUntil: Instant;
  /** Drops since the last notice. */
  untold: number;
}

export class DropLedger {
  readonly #counts = new Map<DropReason, number>();
  /** In the order of quietUntil: the first to be forgotten comes first. */
  readonly #sources = new Map<string, Source>();

  /**
   * Counts one drop of something from `source` (an address as text); what to tell operators about
   * it, or null when that is usual or the source was spoken of less than a minute ago.
   */
  note(now: Instant, source: string, reason: DropReason): Notice | null {
    this.#counts.set(reason, (this.#counts.get(reason) ?? 0) + 1);
    if (USUAL.has(reason)) return null;
    this.#forgetBefore(now);
    const isKnown = this.#sources.has(source) || this.#sources.size < DROP_SOURCES_MAX;
    const name = isKnown ? source : ALL_OTHERS;
    const known = this.#sources.get(name);
    if (known !== undefined && now < known.quietUntil) {
      known.untold++;
      return null;
    }
    const untold = known?.untold ?? 0;
    this.#sources.delete(name);
    this.#sources.set(name, { quietUntil: after(now, QUIET_SPAN), untold: 0 });
    const facts = { source: name, reason, untoldSinceLast: untold };
    return { level: "warn", what: "gossip-dropped", facts };
  }

  /** Counts since the start; only reasons that happened. */
  get counts(): Readonly<Partial<Record<DropReason, number>>> {
    return Object.fromEntries(this.#counts);
  }

  /** Sources that have been quiet for a whole span without anything untold need no memory. */
  #forgetBefore(now: Instant): void {
    for (const [name, { quietUntil, untold }] of this.#sources) {
      if (now < quietUntil) return;
      if (untold === 0 || now >= after(quietUntil, QUIET_SPAN)) this.#sources.delete(name);
    }
  }
}
