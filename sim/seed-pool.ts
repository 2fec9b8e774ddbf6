// Worker processes that run seeds side by side, each one seed at a time. A worker that dies, runs
// out of memory or takes too long costs the seed it had, which is told, and a new one takes its
// place. Owns processes and patience; what they run is sim/seed-worker.ts.

import { type ChildProcess, fork } from "node:child_process";

import type { SeedOfProfile, TimedReport } from "./seed-worker.ts";

/** What became of a seed. */
export type SeedOutcome =
  | ({ readonly kind: "report" } & SeedOfProfile & TimedReport)
  /** Its worker is gone; `why` is the last that it said. */
  | ({ readonly kind: "died"; readonly why: string; readonly wallMs: number } & SeedOfProfile)
  /** It had no report in time, and its worker was killed. */
  | ({ readonly kind: "late"; readonly wallMs: number } & SeedOfProfile);

export interface PoolOptions {
  /** The compiled worker, perhaps of a broken build. */
  readonly program: string;
  readonly jobs: number;
  /** For one seed, on this machine; null for as long as it takes. */
  readonly timeoutMs: number | null;
  /** Megabytes of heap of one worker. */
  readonly heapMbMax: number;
  /** Ends everything at once; seeds under way are not told of. */
  readonly signal?: AbortSignal;
}

/** What a worker may say before it dies, kept for the one line that tells why. */
const LAST_WORDS = 4000;

/**
 * Runs what `next` gives until it gives null; `heard` is told of each seed, in the order in which
 * they end. Resolves when all workers are gone.
 */
export async function runSeeds(
  next: () => SeedOfProfile | null,
  heard: (outcome: SeedOutcome) => void,
  options: PoolOptions,
): Promise<void> {
  const work = async () => {
    const worker = new Worker(options);
    const abort = () => worker.kill();
    options.signal?.addEventListener("abort", abort);
    try {
      while (options.signal?.aborted !== true) {
        const planned = next();
        if (planned === null) break;
        const outcome = await worker.run(planned);
        // What an abort has killed says nothing about its seed.
        if (!isAborted(options)) heard(outcome);
      }
    } finally {
      options.signal?.removeEventListener("abort", abort);
      worker.kill();
    }
  };
  await Promise.all(Array.from({ length: options.jobs }, work));
}

function isAborted({ signal }: PoolOptions): boolean {
  return signal?.aborted === true;
}

/** One place in the pool, over all the processes that take it. */
class Worker {
  readonly #options: PoolOptions;
  #child: ChildProcess | null = null;

  constructor(options: PoolOptions) {
    this.#options = options;
  }

  run(planned: SeedOfProfile): Promise<SeedOutcome> {
    const child = this.#child ?? this.#start();
    this.#child = child;
    const began = performance.now();
    const spent = () => performance.now() - began;
    return new Promise((resolve) => {
      let said = "";
      let isLate = false;
      const listen = (text: Buffer) => {
        said = `${said}${text}`.slice(-LAST_WORDS);
      };
      const { timeoutMs } = this.#options;
      const alarm =
        timeoutMs === null
          ? null
          : setTimeout(() => {
              isLate = true;
              this.kill();
            }, timeoutMs);
      const settle = () => {
        if (alarm !== null) clearTimeout(alarm);
        child.off("close", closed);
        child.off("message", told);
        child.stderr?.off("data", listen);
      };
      const closed = (code: number | null, signal: string | null) => {
        settle();
        this.#child = null;
        const wallMs = spent();
        if (isLate) resolve({ kind: "late", ...planned, wallMs });
        else resolve({ kind: "died", ...planned, why: whyOf(said, code, signal), wallMs });
      };
      const told = (message: unknown) => {
        settle();
        resolve({ kind: "report", ...planned, ...(message as TimedReport) });
      };
      child.stderr?.on("data", listen);
      child.once("close", closed);
      child.once("message", told);
      child.send(planned, () => undefined);
    });
  }

  kill(): void {
    this.#child?.kill("SIGKILL");
    this.#child = null;
  }

  #start(): ChildProcess {
    const { program, heapMbMax } = this.#options;
    return fork(program, [], {
      execArgv: [`--max-old-space-size=${heapMbMax}`],
      stdio: ["ignore", "ignore", "pipe", "ipc"],
    });
  }
}

/** The line that names the error, and how the process ended. */
function whyOf(said: string, code: number | null, signal: string | null): string {
  const end = signal === null ? `exit ${code}` : signal;
  const line = /^(?:\w*(?:Error|Violation)\b.*|.*FATAL ERROR.*)$/m.exec(said)?.[0]?.trim();
  return line === undefined ? end : `${line} (${end})`;
}
