// Tells by V8's coverage whether the edited place of a compiled file has run. Owns the look; what
// is made of it is hunt.ts.

import { Session } from "node:inspector";
import { pathToFileURL } from "node:url";

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

/** Tells whether the edited place has run since the last time it was asked. */
export class Reach {
  readonly #file: string;
  readonly #offset: number;
  readonly #session = new Session();
  /** What runs when the module is loaded is never run again, and has its effect for ever. */
  #isAtLoad = false;

  /** Begun before the code is loaded, or its blocks are not counted. */
  constructor(file: string, offset: number) {
    this.#file = pathToFileURL(file).href;
    this.#offset = offset;
    this.#session.connect();
    this.#session.post("Profiler.enable");
    this.#session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  loaded(): void {
    this.#isAtLoad = this.take();
  }

  /** The innermost block around the place decides; what is not told of has not run. */
  take(): boolean {
    let innermost: Range | null = null;
    this.#session.post("Profiler.takePreciseCoverage", (error, coverage) => {
      if (error !== null) throw error;
      const script = coverage.result.find(({ url }) => url === this.#file);
      for (const range of script?.functions.flatMap(({ ranges }) => ranges) ?? []) {
        const isAround = range.startOffset <= this.#offset && this.#offset < range.endOffset;
        if (isAround && (innermost === null || sizeOf(range) <= sizeOf(innermost)))
          innermost = range;
      }
    });
    return this.#isAtLoad || ((innermost as Range | null)?.count ?? 0) > 0;
  }
}

function sizeOf({ startOffset, endOffset }: Range): number {
  return endOffset - startOffset;
}
