// A child process that runs seeds in a build of its own (hunt.ts), as its parent sees it. Owns the
// process, the patience with it and its end.

import { type ChildProcess, fork } from "node:child_process";
import path from "node:path";

import type { Build } from "./build.ts";
import type { Question, Reply, SeedHunt, Shrinkage, Sighting } from "./hunt.ts";
import type { Kill } from "./mutant.ts";

/** No sound seed takes so long on the slowest machine: the mutant makes it run for ever. */
const PATIENCE_MS = 240_000;

/** What is told of a seed that ran for ever, and of a process that died of its mutant. */
export const ENDLESS = "ends";
export const FALLEN = "simulator-stands";

export class Hunter {
  readonly #build: Build;
  #child: ChildProcess | null = null;

  /** The process is started when first asked. */
  constructor(build: Build) {
    this.#build = build;
  }

  /** One seed. A run that does not end, or takes the process along, is a kill as well. */
  async run(hunt: SeedHunt, seed: string): Promise<Sighting> {
    const began = performance.now();
    try {
      const reply = await this.#ask({ kind: "run", hunt, seed });
      if (reply.kind === "seen") return reply;
      throw new Error(`a run was answered with ${reply.kind}`);
    } catch (error) {
      if (!(error instanceof Fallen)) throw error;
      const { property, message } = error;
      const kill: Kill = { seed, verdict: "crash", property, facts: [message], at: 0 };
      const wallMs = performance.now() - began;
      const seen = { kill, behaviour: message, events: 0, isReached: true };
      return { kind: "seen", ...seen, wallMs, cpuMs: wallMs };
    }
  }

  /** Null when the seed does not fail, or its plan makes smaller ones run for ever. */
  async shrink(question: Omit<Extract<Question, { kind: "shrink" }>, "kind">) {
    try {
      const reply = await this.#ask({ kind: "shrink", ...question });
      return reply.kind === "shrunk" ? (reply satisfies Shrinkage) : null;
    } catch (error) {
      if (error instanceof Fallen) return null;
      throw error;
    }
  }

  stop(): void {
    this.#child?.removeAllListeners();
    this.#child?.kill("SIGKILL");
    this.#child = null;
  }

  async #ask(question: Question): Promise<Reply> {
    this.#child ??= await this.#start();
    this.#child.send(question);
    return this.#next(this.#child);
  }

  async #start(): Promise<ChildProcess> {
    const { dist, edit } = this.#build;
    const program = path.join(dist, "sim", "mutants", "hunt.js");
    const args = edit === null ? [] : [edit.file, String(edit.offset)];
    const child = fork(program, args, { execArgv: [], stdio: ["ignore", "ignore", "pipe", "ipc"] });
    await this.#next(child);
    return child;
  }

  #next(child: ChildProcess): Promise<Reply> {
    let said = "";
    const listen = (text: Buffer) => {
      said = `${said}${text}`.slice(-4000);
    };
    child.stderr?.on("data", listen);
    return new Promise<Reply>((resolve, reject) => {
      const late = setTimeout(
        () => fall(ENDLESS, `no end in ${PATIENCE_MS / 1000} s`),
        PATIENCE_MS,
      );
      const fall = (property: string, message: string) => {
        this.stop();
        reject(new Fallen(property, message));
      };
      const settle = () => {
        clearTimeout(late);
        child.off("exit", died);
        child.stderr?.off("data", listen);
      };
      const died = (code: number | null) => {
        settle();
        fall(
          FALLEN,
          /^\w*(?:Error|Violation).*$/m.exec(said)?.[0] ?? `exit ${code ?? "by signal"}`,
        );
      };
      child.once("exit", died);
      child.once("message", (reply: Reply) => {
        settle();
        resolve(reply);
      });
    });
  }
}

/** The process is gone, and why. */
class Fallen extends Error {
  readonly property: string;

  constructor(property: string, message: string) {
    super(message);
    this.property = property;
  }
}
