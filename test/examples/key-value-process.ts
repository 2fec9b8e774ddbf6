// The key-value example as three real processes of a test: their ports, their lines, their ends.
// Ends only what it started.

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { findFreePorts } from "../../src/cli/ports.ts";

const program = fileURLToPath(new URL("../../dist/examples/key-value/server.js", import.meta.url));
const ANSWER_MS_MAX = 15_000;

/** One member, which may be killed and started again. */
export class KeyValueProcess {
  readonly name: string;
  readonly #words: readonly string[];
  #child: ChildProcess | null = null;
  #waiting: ((line: string) => void)[] = [];
  #exited: Promise<unknown> = Promise.resolve();
  #said = "";

  constructor(name: string, words: readonly string[]) {
    this.name = name;
    this.#words = words;
  }

  /** Resolves once it serves. */
  async start(): Promise<void> {
    const env = { ...process.env, ELECTION_TIMEOUT_MS: "300" };
    const child = spawn(process.execPath, [program, this.name, ...this.#words], { env });
    this.#child = child;
    this.#waiting = [];
    this.#exited = new Promise((resolve) => child.once("exit", resolve));
    // What is written to one that was killed is lost, and is no error of the test's process.
    child.stdin.on("error", () => undefined);
    child.stderr.on("data", (bytes: Buffer) => {
      this.#said += bytes.toString();
    });
    createInterface({ input: child.stdout }).on("line", (line) => this.#waiting.shift()?.(line));
    await this.#nextLine("its start");
  }

  /** One line there, one line back. */
  ask(line: string): Promise<string> {
    this.#child?.stdin?.write(`${line}\n`);
    return this.#nextLine(line);
  }

  async kill(): Promise<void> {
    this.#child?.kill("SIGKILL");
    await this.#exited;
  }

  /** Ends its input, and waits for its exit code. */
  async end(): Promise<unknown> {
    this.#child?.stdin?.end();
    return this.#exited;
  }

  #nextLine(what: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(new Error(`${this.name} did not answer to ${what}: ${this.#said}`));
      }, ANSWER_MS_MAX);
      this.#waiting.push((line) => {
        clearTimeout(timer);
        resolve(line);
      });
    });
  }
}

export class KeyValueCluster {
  readonly members: readonly KeyValueProcess[];
  readonly #folder: string;

  private constructor(members: readonly KeyValueProcess[], folder: string) {
    this.members = members;
    this.#folder = folder;
  }

  static async start(names: readonly string[]): Promise<KeyValueCluster> {
    const folder = mkdtempSync(join(tmpdir(), "cairn-key-value-"));
    const ports = await findFreePorts(names.length);
    const addresses = ports.map((port) => `127.0.0.1:${port}`);
    const peers = names.map((name, at) => `${name}=${addresses[at]}`).join(",");
    const members = names.map((name, at) => {
      return new KeyValueProcess(name, [addresses[at] ?? "", peers, join(folder, name)]);
    });
    const cluster = new KeyValueCluster(members, folder);
    await Promise.all(members.map((member) => member.start()));
    return cluster;
  }

  /** Whom a member believes to lead. */
  async leader(): Promise<KeyValueProcess> {
    const name = await this.members[0]?.ask("leader");
    const found = this.members.find((member) => member.name === name);
    if (found === undefined) throw new Error(`no member leads: ${name}`);
    return found;
  }

  async remove(): Promise<void> {
    await Promise.all(this.members.map((member) => member.kill()));
    rmSync(this.#folder, { recursive: true, force: true });
  }
}
