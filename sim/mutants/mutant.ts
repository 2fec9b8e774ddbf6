// What a mutant is: one edit at one place of our own sources that breaks one promise, and who must
// notice. Owns the form and its application to a source text; the list is catalogue.ts.

import type { Profile } from "../profiles.ts";
import type { VerdictName } from "../run.ts";

/** Who must notice a mutant. */
export type Hunt =
  /** Whole nodes in the simulator, with the plans that seeds draw from a profile. */
  | { readonly by: "simulator"; readonly profile: Profile }
  /** Random plans on the core of consensus alone, judged as in test/raft/plans.ts. */
  | { readonly by: "core"; readonly setting: CoreSetting }
  /** Test files, from the repository's root. */
  | { readonly by: "tests"; readonly files: readonly string[] };

/** Whom a plan on the core begins with; joiners are up and empty, and come with trims. */
export interface CoreSetting {
  readonly voters: number;
  readonly joiners: number;
  /** Messages come that no correct peer sends. */
  readonly badInput?: boolean;
  /** Disks of a minority at a time lose the end of their log. */
  readonly losses?: boolean;
}

export interface Mutant {
  /** Kebab-case, what `--mutant` takes. */
  readonly name: string;
  /** What is wrong with the code then, in one sentence. */
  readonly breaks: string;
  /** Where the bug has been seen: a public report, a paper, or a name of the trade. */
  readonly source?: string;
  /** The properties of which one must be found broken; none for tests, whose files are named. */
  readonly properties: readonly string[];
  /** From the repository's root. */
  readonly file: string;
  /** Must stand in the file exactly once. */
  readonly find: string;
  readonly replace: string;
  /** Plans of the profile `swarm` in the simulator, unless it says so. */
  readonly hunt?: Hunt;
  /** A seed that has shown it, tried first: any other may do as well. None for tests. */
  readonly knownSeed?: number;
  /** Why nothing can tell it from the sources as they are: for a survivor only. */
  readonly equivalent?: string;
}

const USUAL_HUNT: Hunt = { by: "simulator", profile: "swarm" };

export function huntOf({ hunt }: Mutant): Hunt {
  return hunt ?? USUAL_HUNT;
}

/** What a hunted seed showed. */
export interface Kill {
  readonly seed: string;
  readonly verdict: VerdictName;
  readonly property: string;
  readonly facts: readonly string[];
  /** Simulated microseconds at which it was found; of the core, 0. */
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
