// Real processes of the real program for end-to-end tests: building it, running commands to their
// end, and keeping some running. Every child is ended by its pid when the file's tests are done.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll } from "vitest";

export const repository = fileURLToPath(new URL("../../", import.meta.url));
export const mainFile = path.join(repository, "dist", "src", "main.js");

/**
 * To be called once in each test file that starts processes: they run what the sources say now,
 * never an older dist, and are ended when the file is done.
 */
export function useProgram(): void {
  afterAll(() => {
    for (const child of children) child.kill("SIGKILL");
  });
  beforeAll(() => {
    const build = spawnSync(process.execPath, [path.join(repository, "scripts", "build.mjs")], {
      encoding: "utf8",
    });
    if (build.status !== 0) throw new Error(`the build failed: ${build.stdout}${build.stderr}`);
  });
}

/** A folder for one test file, removed when its tests are done. */
export function useFolder(inRepository = false): string {
  const parent = inRepository ? path.join(repository, ".cairn") : tmpdir();
  mkdirSync(parent, { recursive: true });
  const folder = mkdtempSync(path.join(parent, "e2e-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd?: string;
  readonly input?: string | Uint8Array;
  /** Written, and then nothing more comes, but the input does not end. */
  readonly openInput?: string;
  readonly env?: Readonly<Record<string, string>>;
}

const children = new Set<ChildProcess>();

/** Our environment without what would configure the program under test. */
export function cleanEnvironment(more: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith("CAIRN_"));
  return { ...Object.fromEntries(kept), NO_COLOR: "1", ...more };
}

/** A running process whose output is kept. */
export class Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
  #stdout = "";
  #stderr = "";
  #wake: (() => void)[] = [];

  constructor(file: string, args: readonly string[], options: RunOptions) {
    const { cwd, env, input, openInput } = options;
    const hasInput = input !== undefined || openInput !== undefined;
    this.child = spawn(file, args, {
      cwd: cwd ?? tmpdir(),
      env: cleanEnvironment(env),
      stdio: [hasInput ? "pipe" : "ignore", "pipe", "pipe"],
    });
    children.add(this.child);
    this.child.stdout?.on("data", (data: Buffer) => this.#heard(data.toString(), ""));
    this.child.stderr?.on("data", (data: Buffer) => this.#heard("", data.toString()));
    this.child.stdin?.on("error", () => undefined);
    if (openInput === undefined) this.child.stdin?.end(input);
    else this.child.stdin?.write(openInput);
    this.ended = new Promise((resolve) => {
      this.child.once("close", (code, signal) => {
        children.delete(this.child);
        this.#heard("", "");
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr });
      });
    });
  }

  get output(): string {
    return this.#stdout + this.#stderr;
  }

  /** Resolves when the output matches; throws when the process ended without it. */
  async says(pattern: RegExp): Promise<RegExpExecArray> {
    for (;;) {
      const match = pattern.exec(this.output);
      if (match !== null) return match;
      const { exitCode, signalCode } = this.child;
      if (exitCode !== null || signalCode !== null) {
        throw new Error(`ended (${exitCode ?? signalCode}) without ${pattern}: ${this.output}`);
      }
      await new Promise<void>((resolve) => {
        this.#wake.push(resolve);
      });
    }
  }

  #heard(stdout: string, stderr: string): void {
    this.#stdout += stdout;
    this.#stderr += stderr;
    for (const wake of this.#wake.splice(0)) wake();
  }
}

/** Starts `cairn ...`. */
export function start(args: readonly string[], options: RunOptions = {}): Running {
  return new Running(process.execPath, [mainFile, ...args], options);
}

/** Runs `cairn ...` to its end. */
export function cairn(args: readonly string[], options: RunOptions = {}): Promise<Ended> {
  return start(args, options).ended;
}

/** Runs a line as somebody would type it. */
export function shell(line: string, options: RunOptions = {}): Promise<Ended> {
  return new Running("sh", ["-c", line], options).ended;
}
