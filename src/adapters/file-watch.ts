// Says when one of a few files has changed. It looks, every second, instead of asking the system to
// tell: that sees symbolic links that are swapped (as Kubernetes does with secrets), files renamed
// into place and files on network disks, where notifications miss one or the other. Owns no
// contents: whoever is told reads the files.

import { stat } from "node:fs/promises";

const LOOK_EVERY_MS = 1000;

export class FileWatch {
  readonly #files: readonly string[];
  readonly #changed: () => Promise<void>;
  readonly #timer: NodeJS.Timeout;
  /** As told last; null before anything was told. */
  #told: string | null = null;
  #seen: string | null = null;
  #isLooking = false;

  /**
   * `changed` is called once the files have been the same for two looks, one call at a time, and
   * for the first time soon after the start: what changed between their reading and the first look
   * is found then.
   */
  constructor(files: readonly string[], changed: () => Promise<void>, everyMs = LOOK_EVERY_MS) {
    this.#files = files;
    this.#changed = changed;
    this.#timer = setInterval(() => void this.look(), everyMs);
    this.#timer.unref();
  }

  /** One look; harmless while another one is under way. */
  async look(): Promise<void> {
    if (this.#isLooking) return;
    this.#isLooking = true;
    try {
      const now = (await Promise.all(this.#files.map(traceOf))).join("\n");
      // Still being written, or half of a pair was replaced: the next look will tell.
      const isSettled = now === this.#seen;
      this.#seen = now;
      if (!isSettled || now === this.#told) return;
      this.#told = now;
      await this.#changed();
    } finally {
      this.#isLooking = false;
    }
  }

  close(): void {
    clearInterval(this.#timer);
  }
}

/** Differs whenever the contents may. Nanoseconds: two writes fit into one millisecond. */
async function traceOf(file: string): Promise<string> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(file, { bigint: true });
    return `${dev} ${ino} ${size} ${mtimeNs} ${ctimeNs}`;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? "unreadable";
  }
}
