// Makes a broken build: a copy of the sources with one edit, compiled beside our own node_modules so that
// its imports resolve. Owns the folder and its removal; never touches the sources themselves.

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

/** What a simulated node is made of, and the simulator. */
const FOLDERS = ["src", "sim"];

/** A compiled tree of its own; `remove` it when done. */
export interface Build {
  /** Where `src` and `sim` are, compiled. */
  readonly dist: string;
  readonly remove: () => void;
}

/** The folder above us that holds the sources and how to compile them; throws when this is no clone. */
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

/** Compiles the sources with the mutant's edit in them, or as they are when it is null. */
export async function buildMutant(mutant: Mutant | null): Promise<Build> {
  const root = repositoryRoot();
  const cache = path.join(root, "node_modules", ".cache", "cairn-mutants");
  mkdirSync(cache, { recursive: true });
  const folder = mkdtempSync(path.join(cache, `${mutant?.name ?? "unmutated"}-`));
  const remove = () => rmSync(folder, { recursive: true, force: true });
  try {
    for (const name of FOLDERS) {
      cpSync(path.join(root, name), path.join(folder, name), { recursive: true });
    }
    if (mutant !== null) {
      const file = path.join(folder, mutant.file);
      writeFileSync(file, mutate(mutant, readFileSync(file, "utf8")));
    }
    await compile(root, folder);
    return { dist: path.join(folder, "dist"), remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** Without type checks: the edit is one place, and the tests of the catalogue check the types. */
async function compile(root: string, folder: string): Promise<void> {
  writeFileSync(path.join(folder, "package.json"), '{ "type": "module" }\n');
  const options = {
    extends: path.relative(folder, path.join(root, "tsconfig.base.json")),
    compilerOptions: {
      noCheck: true,
      incremental: false,
      declaration: false,
      sourceMap: false,
      types: [],
      rootDir: ".",
      outDir: "dist",
    },
    include: FOLDERS,
  };
  writeFileSync(path.join(folder, "tsconfig.json"), JSON.stringify(options));
  const compiler = await findCompiler(root);
  const run = spawnSync(compiler, ["-p", "tsconfig.json"], { cwd: folder, encoding: "utf8" });
  if (run.status !== 0) throw new Error(`the mutant does not compile:\n${run.stdout}${run.stderr}`);
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
