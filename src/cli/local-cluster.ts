// A cluster of agent processes on this machine, as `cairn dev` and `cairn demo` run one: they find
// each other by gossip. Certificates, ports, child processes, their logs and their ends. Owns its
// children: none outlives it, not even when this process is killed, for an agent stops when its
// parent goes away. Talks to no node itself.

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync } from "node:fs";
import path from "node:path";

import { AUTHORITY_BASE, certificateFiles, clientBase } from "./certificate-files.ts";
import {
  createAuthority,
  createClientCertificate,
  createNodeCertificate,
  openAuthority,
} from "./certs.ts";
import { CommandError } from "./exit.ts";
import { certificatesOf, expiryOf } from "./expiry.ts";
import { findFreePorts } from "./ports.ts";
import type { Profile } from "./profile.ts";

export const LOCAL_HOST = "127.0.0.1";
export const LOCAL_MEMBERS: readonly string[] = ["n1", "n2", "n3"];
export const LOCAL_SUBJECTS: readonly string[] = ["root", "nobody"];

/** An agent tells its parent that it serves: the only message it ever sends. */
export interface AgentReady {
  readonly ready: true;
  readonly address: string;
  readonly index: string;
}

export interface LocalClusterOptions {
  /** Holds certificates, data and logs; made when missing. */
  readonly folder: string;
  /** The compiled src/main.ts. */
  readonly mainFile: string;
  readonly clusterId: string;
  readonly electionTimeoutMs: number;
  /** A child ended that nobody had asked to end. */
  readonly died: (name: string, line: string) => void;
}

interface Member {
  readonly name: string;
  readonly address: string;
  readonly gossipAddress: string;
  readonly logFile: string;
  child: ChildProcess | null;
  /** Its end was asked for. */
  ending: boolean;
  exited: Promise<void>;
}

const READY_TIMEOUT_MS = 30_000;
const STOP_TIMEOUT_MS = 10_000;

export class LocalCluster {
  readonly #options: LocalClusterOptions;
  readonly #members = new Map<string, Member>();

  private constructor(options: LocalClusterOptions, ports: readonly number[]) {
    this.#options = options;
    for (const [at, name] of LOCAL_MEMBERS.entries()) {
      this.#members.set(name, {
        name,
        address: `${LOCAL_HOST}:${ports[2 * at]}`,
        gossipAddress: `${LOCAL_HOST}:${ports[2 * at + 1]}`,
        logFile: path.join(options.folder, `${name}.log`),
        child: null,
        ending: false,
        exited: Promise.resolve(),
      });
    }
  }

  /** Draws ports and makes what certificates are missing; starts nothing. */
  static async create(options: LocalClusterOptions): Promise<LocalCluster> {
    mkdirSync(options.folder, { recursive: true, mode: 0o700 });
    await createMissingCertificates(certificateFolder(options.folder));
    return new LocalCluster(options, await findFreePorts(2 * LOCAL_MEMBERS.length));
  }

  get names(): readonly string[] {
    return [...this.#members.keys()];
  }

  addressOf(name: string): string {
    return this.#member(name).address;
  }

  pidOf(name: string): number | null {
    return this.#member(name).child?.pid ?? null;
  }

  profile(): Profile {
    const certificates = certificateFolder(this.#options.folder);
    const addresses = [...this.#members.values()].map(({ name, address }) => [name, address]);
    const subjects = LOCAL_SUBJECTS.map((subject) => {
      return [subject, certificateFiles(certificates, clientBase(subject))] as const;
    });
    return {
      addresses: Object.fromEntries(addresses),
      ca: certificateFiles(certificates, AUTHORITY_BASE).cert,
      subjects: Object.fromEntries(subjects),
      as: LOCAL_SUBJECTS[0] ?? "root",
    };
  }

  /** Starts all members and waits until each serves. */
  async startAll(): Promise<AgentReady[]> {
    return Promise.all(this.names.map((name) => this.start(name)));
  }

  /**
   * Starts one member and waits until it serves; throws CommandError with the agent's own words.
   */
  async start(name: string): Promise<AgentReady> {
    const member = this.#member(name);
    if (member.child !== null) throw new CommandError(`${name} runs already`);
    const log = openSync(member.logFile, "a");
    const child = spawn(process.execPath, [this.#options.mainFile, ...this.#flags(member)], {
      stdio: ["ignore", log, log, "ipc"],
      // A group of its own: Ctrl-C in the terminal asks us, and we ask the agents.
      detached: true,
      env: withoutCairnNames(process.env),
    });
    closeSync(log);
    member.child = child;
    member.ending = false;
    const ready = readiness(name, child, member);
    member.exited = new Promise((resolve) => {
      child.once("error", () => resolve());
      child.once("exit", () => {
        member.child = null;
        resolve();
      });
    });
    const answer = await ready;
    child.once("exit", (code, signal) => {
      const how = signal === null ? `exited with ${code}` : `was ended by ${signal}`;
      if (!member.ending) this.#options.died(name, `${name} ${how}: ${lastLine(member.logFile)}`);
    });
    return answer;
  }

  /** Sends a signal to one member and waits for its end. */
  async end(name: string, signal: "SIGKILL" | "SIGTERM"): Promise<void> {
    const member = this.#member(name);
    member.ending = true;
    member.child?.kill(signal);
    await member.exited;
  }

  /** Asks all members to stop, and kills what has not stopped in time. */
  async stopAll(): Promise<void> {
    const timer = setTimeout(() => this.killAll(), STOP_TIMEOUT_MS);
    await Promise.all(this.names.map((name) => this.end(name, "SIGTERM")));
    clearTimeout(timer);
  }

  /** At once, for exits that cannot wait; synchronous. */
  killAll(): void {
    for (const member of this.#members.values()) {
      member.ending = true;
      member.child?.kill("SIGKILL");
    }
  }

  #member(name: string): Member {
    const member = this.#members.get(name);
    if (member === undefined) throw new CommandError(`no member ${name} in this cluster`);
    return member;
  }

  #flags(member: Member): string[] {
    const contacts = [...this.#members.values()].map(({ gossipAddress }) => gossipAddress);
    const flags: Record<string, string> = {
      "node-name": member.name,
      "data-dir": path.join(this.#options.folder, member.name),
      "certs-dir": certificateFolder(this.#options.folder),
      "cluster-id": this.#options.clusterId,
      "bind-addr": member.gossipAddress,
      "rpc-port": member.address.slice(LOCAL_HOST.length + 1),
      "start-join-addrs": contacts.join(","),
      "bootstrap-expect": String(LOCAL_MEMBERS.length),
      "election-timeout-ms": String(this.#options.electionTimeoutMs),
    };
    const { CAIRN_INDEX: index } = process.env;
    if (index !== undefined && index !== "") flags["index"] = index;
    return ["agent", ...Object.entries(flags).flatMap(([key, value]) => [`--${key}`, value])];
  }
}

export function certificateFolder(folder: string): string {
  return path.join(folder, "certs");
}

/** What stands in our environment is about us: the agents get all they need as flags. */
function withoutCairnNames(environment: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const kept = Object.entries(environment).filter(([name]) => !name.startsWith("CAIRN_"));
  return Object.fromEntries(kept);
}

/** Those that are missing, and in place of those that have ended or soon will. */
async function createMissingCertificates(folder: string): Promise<void> {
  const isThere = (base: string) => existsSync(certificateFiles(folder, base).key);
  const isGood = (base: string) => isThere(base) && isValid(certificateFiles(folder, base).cert);
  const authority = isThere(AUTHORITY_BASE)
    ? await openAuthority(folder)
    : await createAuthority(folder, "Cairn development CA");
  for (const name of LOCAL_MEMBERS) {
    if (isGood(name)) continue;
    const hosts = [LOCAL_HOST, "localhost"];
    await createNodeCertificate(authority, folder, name, hosts, { renew: true });
  }
  for (const subject of LOCAL_SUBJECTS) {
    if (isGood(clientBase(subject))) continue;
    await createClientCertificate(authority, folder, subject, { renew: true });
  }
}

function isValid(file: string): boolean {
  const [certificate] = existsSync(file) ? (certificatesOf(readFileSync(file, "utf8")) ?? []) : [];
  return certificate !== undefined && expiryOf(certificate, Date.now()).state === "valid";
}

function readiness(name: string, child: ChildProcess, member: Member): Promise<AgentReady> {
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      clearTimeout(timer);
      reject(new CommandError(`${name} did not start: ${why}`));
    };
    const timer = setTimeout(() => {
      member.ending = true;
      child.kill("SIGKILL");
      fail(`it did not serve within ${READY_TIMEOUT_MS} ms; see ${member.logFile}`);
    }, READY_TIMEOUT_MS);
    child.once("error", (error) => fail(error.message));
    child.once("exit", () => fail(lastLine(member.logFile)));
    child.once("message", (message) => {
      clearTimeout(timer);
      resolve(message as AgentReady);
    });
  });
}

/** The last thing an agent said: its fatal line, when it had to end. */
function lastLine(file: string): string {
  try {
    return readFileSync(file, "utf8").trimEnd().split("\n").at(-1) ?? "";
  } catch {
    return `see ${file}`;
  }
}
