// Makes broken builds: the sources compiled beside our own node_modules, so that imports resolve,
// and copies of that with one file edited. Owns the folders and their removal; never touches the
// sources.

import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { type Mutant, mutate } from "./mutant.ts";

/** What a simulated node is made of, the simulator, and the judge of plans on the core alone. */
const FOLDERS = ["src", "sim", "test/raft"];

/** A compiled tree of its own; `remove` it when done. */
export interface Build {
  /** Where `src` and `sim` are, compiled. */
  readonly dist: string;
  /** The compiled file that was edited, and the first place in it that is another. */
  readonly edit: { readonly file: string; readonly offset: number } | null;
  readonly remove: () => void;
}

/**
 * The folder above us that holds the sources and how to compile them; throws when this is no clone.
 */
export function repositoryRoot(): string {
  for (let folder = import.meta.dirname; ; folder = path.dirname(folder)) {
    if (existsSync(path.join(folder, "tsconfig.base.json"))) return folder;
    if (folder === path.dirname(folder)) {
      throw new Error(
        "mutants are edits of the sources: clone the repository, the package has none",
      );
    }
  }
}

/** Compiles the sources as they are. */
export async function buildSources(): Promise<Build> {
  const root = repositoryRoot();
  return inNewFolder(root, "unmutated", async (folder) => {
    for (const name of FOLDERS) {
      cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
    }
    await compile(root, folder, { include: FOLDERS, exclude: ["**/*.test.ts"] });
    return null;
  });
}

/** A copy of a finished build, with the one file compiled anew that the mutant edits. */
export async function breakBuild(sound: Build, mutant: Mutant): Promise<Build> {
  const root = repositoryRoot();
  return inNewFolder(root, mutant.name, async (folder) => {
    cpSync(sound.dist, path.join(folder, "dist"), { recursive: true });
    const broken = path.join(folder, mutant.file);
    mkdirSync(path.dirname(broken), { recursive: true });
    writeFileSync(broken, mutate(mutant, readFileSync(path.join(root, mutant.file), "utf8")));
    await compile(root, folder, { files: [mutant.file] });
    const compiled = mutant.file.replace(/\.ts$/, ".js");
    const file = path.join(folder, "dist", compiled);
    return { file, offset: firstDifference(path.join(sound.dist, compiled), file) };
  });
}

/** Characters that two files have in common at their beginnings. */
function firstDifference(one: string, other: string): number {
  const [a, b] = [readFileSync(one, "utf8"), readFileSync(other, "utf8")];
  let at = 0;
  while (at < a.length && a[at] === b[at]) at++;
  return at;
}

async function inNewFolder(
  root: string,
  name: string,
  fill: (folder: string) => Promise<Build["edit"]>,
): Promise<Build> {
  const cache = path.join(root, "node_modules", ".cache", "cairn-mutants");
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(path.join(cache, `${name}-`));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    const edit = await fill(folder);
    return { dist: path.join(folder, "dist"), edit, remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Without type checks, and without a look at what a file imports: each is compiled by itself. */
async function compile(
  root: string,
  folder: string,
  what: Readonly<Record<string, readonly string[]>>,
): Promise<void> {
  writeFileSync(path.join(folder, "package.json"), '{ "type": "module" }\n');
  const options = {
    extends: path.relative(folder, path.join(root, "tsconfig.base.json")),
    compilerOptions: {
      noCheck: true,
      noResolve: true,
      incremental: false,
      declaration: false,
      sourceMap: false,
      types: [],
      rootDir: ".",
      outDir: "dist",
    },
    ...what,
  };
  writeFileSync(path.join(folder, "tsconfig.json"), JSON.stringify(options));
  const compiler = await findCompiler(root);
  const run = spawnSync(compiler, ["-p", "tsconfig.json"], { cwd: folder, encoding: "utf8" });
  if (run.status !== 0) throw new Error(`the build failed:\n${run.stdout}${run.stderr}`);
}

/** The native executable itself, as scripts/build.mjs finds it. */
async function findCompiler(root: string): Promise<string> {
  const typescript = createRequire(path.join(root, "package.json")).resolve(
    "typescript/package.json",
  );
  const locator = path.join(path.dirname(typescript), "lib", "getExePath.js");
  const found = (await import(pathToFileURL(locator).href)) as { default: () => string };
  return found.default();
}
