// `npm run sim -- --mutant NAME`: breaks our own code in one place and shows that the simulator
// notices. Owns the hunt for a failing seed and its words; the list of mutants is catalogue.ts, the
// figures of all of them are measure.ts.

import { EXIT_CODES, EXIT_USAGE } from "../run.ts";
import { type Build, breakBuild, buildSources } from "./build.ts";
import { MUTANTS } from "./catalogue.ts";
import { Hunter } from "./hunter.ts";
import { huntOf, type Kill, type Mutant } from "./mutant.ts";
import { runTests } from "./test-run.ts";

/** Seeds among which every mutant of the catalogue must fail. */
export const SEEDS_MAX = 200;

/**
 * Hunts the named mutant, in `seed` alone or in seeds 1, 2, ... until one fails. Returns the exit
 * code: the failing run's own, 4 when the mutant survived, 64 for an unknown name.
 */
export async function runMutant(
  name: string,
  print: (line: string) => void,
  seed: string | null = null,
): Promise<number> {
  const mutant = findMutant(name, print);
  if (mutant === null) return EXIT_USAGE;
  print(`mutant   ${mutant.name}: ${mutant.breaks}`);
  for (const line of describeEdit(mutant)) print(line);
  const began = performance.now();
  const kill = await huntOnce(mutant, seed === null ? seedsUpTo(SEEDS_MAX) : [seed]);
  const seconds = ((performance.now() - began) / 1000).toFixed(1);
  if (kill === null) {
    const where = seed === null ? `${SEEDS_MAX} seeds` : `seed ${seed}`;
    print(`SURVIVED ${mutant.name}: ${where} in ${seconds} s did not notice`);
    return EXIT_CODES.unknown;
  }
  print("");
  for (const line of describeKill(kill)) print(line);
  if (huntOf(mutant).by === "simulator")
    print(`replay: npm run sim -- --mutant ${mutant.name} --seed ${kill.seed}`);
  print(`KILLED ${mutant.name} by seed ${kill.seed}, ${kill.property}, in ${seconds} s`);
  return EXIT_CODES[kill.verdict];
}

/** Prints all names when there is none of that name. */
export function findMutant(name: string, print: (line: string) => void): Mutant | null {
  const mutant = MUTANTS.find((known) => known.name === name);
  if (mutant !== undefined) return mutant;
  print(`error: there is no mutant "${name}"; the mutants are:`);
  for (const known of MUTANTS) print(`  ${known.name.padEnd(34)} ${known.breaks}`);
  return null;
}

/** 1, 2, ... */
function seedsUpTo(count: number): string[] {
  return Array.from({ length: count }, (_, at) => String(at + 1));
}

/** The seeds of a hunt, the known one first. */
export function seedsFor(mutant: Mutant): string[] {
  const known = String(mutant.knownSeed ?? 1);
  return [known, ...seedsUpTo(SEEDS_MAX).filter((seed) => seed !== known)];
}

async function huntOnce(mutant: Mutant, seeds: readonly string[]): Promise<Kill | null> {
  const sound = await buildSources();
  try {
    return await killMutant(sound, mutant, seeds);
  } finally {
    sound.remove();
  }
}

/** Breaks a copy of a sound build and runs seeds on it until one fails; null when none does. */
export async function killMutant(
  sound: Build,
  mutant: Mutant,
  seeds: readonly string[],
): Promise<Kill | null> {
  const hunt = huntOf(mutant);
  if (hunt.by === "tests") return (await runTests(hunt.files, mutant)).kill;
  const broken = await breakBuild(sound, mutant);
  const hunter = new Hunter(broken);
  try {
    for (const seed of seeds) {
      const { kill } = await hunter.run(hunt, seed);
      if (kill !== null) return kill;
    }
    return null;
  } finally {
    hunter.stop();
    broken.remove();
  }
}

function describeEdit({ file, find, replace }: Mutant): string[] {
  const rows = (mark: string, text: string) =>
    text.split("\n").flatMap((line) => (line.trim() === "" ? [] : [`  ${mark} ${line.trim()}`]));
  return [`edit     ${file}`, ...rows("-", find), ...rows("+", replace)];
}

function describeKill(kill: Kill): string[] {
  const at = (kill.at / 1_000_000).toFixed(6);
  return [
    `${kill.verdict}: ${kill.property} does not hold, at ${at} s of seed ${kill.seed}`,
    ...kill.facts.map((fact, place) => `  ${place + 1}. ${fact}`),
  ];
}
