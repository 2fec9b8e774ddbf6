// What a mutant is: one edit at one place of our own sources that breaks one promise. Owns the form
// and its application to a source text; the list is catalogue.ts.

import type { VerdictName } from "../run.ts";

export interface Mutant {
  /** Kebab-case, what `--mutant` takes. */
  readonly name: string;
  /** What is wrong with the code then, in one sentence. */
  readonly breaks: string;
  /** The properties of which one must be found broken. */
  readonly properties: readonly string[];
  /** From the repository's root. */
  readonly file: string;
  /** Must stand in the file exactly once. */
  readonly find: string;
  readonly replace: string;
  /** A seed that has shown it, tried first: any other may do as well. */
  readonly knownSeed: number;
}

/** What a hunted seed showed. */
export interface Kill {
  readonly seed: string;
  readonly verdict: VerdictName;
  readonly property: string;
  readonly facts: readonly string[];
  /** Simulated microseconds at which it was found. */
  readonly at: number;
}

/** The mutated text of the file; throws when the place is not there exactly once. */
export function mutate(mutant: Mutant, source: string): string {
  const places = source.split(mutant.find).length - 1;
  if (places !== 1) {
    const what = `its text stands ${places} times in ${mutant.file}, and must stand there once`;
    throw new Error(`mutant ${mutant.name} does not apply: ${what}: ${mutant.find}`);
  }
  // A function, so that no "$" of the replacement means anything.
  return source.replace(mutant.find, () => mutant.replace);
}
