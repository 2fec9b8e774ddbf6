// The demo's producer: each line an append of its own through the client library, a bounded number
// of them in flight, and what was acknowledged when. Owns the bookkeeping that the proof rests on.

import type { CairnClient } from "../client/client.ts";
import type { Line } from "./lines.ts";

/** Lines under way at once; the client joins those that wait into one batch. */
const LINES_IN_FLIGHT = 64;

export class DemoWriter {
  /** The acknowledged offset of each line, null while there is none. */
  readonly offsets: (number | null)[];
  readonly #client: CairnClient;
  readonly #lines: readonly Line[];
  readonly #progressed: (acknowledged: number) => void;
  readonly #begunMs = performance.now();
  #acknowledged = 0;
  #underWay = 0;
  #lastMs: number | null = null;
  #longestGapMs = 0;
  #endedMs: number | null = null;
  #failure: unknown = null;
  /** Both the sender and whoever waits for a moment to kill. */
  #waiters: (() => void)[] = [];

  constructor(
    client: CairnClient,
    lines: readonly Line[],
    progressed: (acknowledged: number) => void,
  ) {
    this.#client = client;
    this.#lines = lines;
    this.#progressed = progressed;
    this.offsets = new Array<number | null>(lines.length).fill(null);
  }

  get acknowledgedCount(): number {
    return this.#acknowledged;
  }

  /** The longest time between two acknowledgements. */
  get longestGapMs(): number {
    return this.#longestGapMs;
  }

  get elapsedMs(): number {
    return (this.#endedMs ?? performance.now()) - this.#begunMs;
  }

  /** Acknowledged lines a second. */
  get rate(): number {
    return Math.round((this.#acknowledged * 1000) / Math.max(1, this.elapsedMs));
  }

  /** Resolves when all lines are acknowledged; throws what the first append that failed threw. */
  async run(): Promise<void> {
    for (const [at, line] of this.#lines.entries()) {
      while (this.#underWay >= LINES_IN_FLIGHT) await this.#change();
      this.#underWay++;
      this.#wakeAll();
      void this.#append(at, line);
    }
    while (this.#underWay > 0) await this.#change();
    this.#endedMs = performance.now();
  }

  /** Resolves while at least one line is under way, or when there is nothing left to send. */
  async inFlight(): Promise<void> {
    while (this.#underWay === 0 && this.#acknowledged < this.#lines.length) await this.#change();
  }

  async #append(at: number, { bytes }: Line): Promise<void> {
    try {
      const { offset } = await this.#client.append([{ value: bytes }]);
      this.offsets[at] = offset;
      this.#acknowledged++;
      const now = performance.now();
      this.#longestGapMs = Math.max(this.#longestGapMs, now - (this.#lastMs ?? now));
      this.#lastMs = now;
      this.#progressed(this.#acknowledged);
    } catch (error) {
      this.#failure ??= error;
    } finally {
      this.#underWay--;
      this.#wakeAll();
    }
  }

  #wakeAll(): void {
    const waiters = this.#waiters;
    this.#waiters = [];
    for (const wake of waiters) wake();
  }

  async #change(): Promise<void> {
    if (this.#failure === null) {
      await new Promise<void>((resolve) => {
        this.#waiters.push(resolve);
      });
    }
    if (this.#failure !== null) throw this.#failure;
  }
}
