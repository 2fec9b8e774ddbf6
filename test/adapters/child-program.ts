// Real processes for tests that need one to kill: compiles a TypeScript program with what it
// imports into a directory of its own, so that no test depends on how fresh dist/ is, and starts
// it.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = resolve(dirname(fileURLToPath(import.meta.url)), "../..");

export interface ChildProgram {
  /** Starts the program; its standard error goes to the test's. */
  start(...args: string[]): Child;
  remove(): void;
}

/** `source` is a path from the repository's root. */
export function compileProgram(source: string): ChildProgram {
  const directory = mkdtempSync(join(tmpdir(), "cairn-child-"));
  const config = {
    extends: join(root, "tsconfig.base.json"),
    compilerOptions: {
      types: ["node"],
      typeRoots: [join(root, "node_modules/@types")],
      rootDir: root,
      outDir: join(directory, "out"),
      incremental: false,
      declaration: false,
    },
    files: [join(root, source)],
  };
  writeFileSync(join(directory, "tsconfig.json"), JSON.stringify(config));
  writeFileSync(join(directory, "package.json"), '{ "type": "module" }');
  symlinkSync(join(root, "node_modules"), join(directory, "node_modules"));
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  execFileSync(process.execPath, [compiler, "-p", join(directory, "tsconfig.json")], {
    stdio: ["ignore", 2, 2],
  });
  const program = join(
    directory,
    "out",
    relative(root, join(root, source)).replace(/\.ts$/, ".js"),
  );
  return {
    start: (...args) =>
      new Child(
        spawn(process.execPath, [program, ...args], { stdio: ["pipe", "pipe", "inherit"] }),
      ),
    remove: () => rmSync(directory, { recursive: true }),
  };
}

export class Child {
  readonly process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #exited: Promise<void>;

  constructor(process: ChildProcess) {
    this.process = process;
    if (process.stdout === null) throw new Error("a child without standard output");
    this.#lines = createInterface({ input: process.stdout })[Symbol.asyncIterator]();
    this.#exited = new Promise((done) => process.once("exit", () => done()));
  }

  /** The next line it prints; rejects when it ends without one. */
  async line(): Promise<string> {
    const next = await this.#lines.next();
    if (next.done === true) throw new Error("the child ended without a further line");
    return next.value;
  }

  /** Sends a signal; 9 cannot be caught. */
  signal(name: NodeJS.Signals): void {
    this.process.kill(name);
  }

  async kill(): Promise<void> {
    this.process.kill("SIGKILL");
    await this.#exited;
  }

  async exited(): Promise<number | null> {
    await this.#exited;
    return this.process.exitCode;
  }
}
