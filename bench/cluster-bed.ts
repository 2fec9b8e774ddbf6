// What the cluster bench measures on: three real agents with mTLS on loopback, beside them three
// members of etcd where it can be had, in one folder on one disk. Owns the processes and the
// folder: both are gone at the end. Measures nothing but the processes' own CPU time.

import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

import type { Client } from "@grpc/grpc-js";

import { certificateFolder, LocalCluster } from "../src/cli/local-cluster.ts";
import { decodeStatusResponse } from "../src/proto/cairn-admin.ts";
import { Malformed } from "../src/proto/fields.ts";
import { EMPTY_MESSAGE, encodeProduceRequest } from "../src/proto/log-v1.ts";
import { EtcdCluster, findEtcd } from "./etcd.ts";
import { call, openChannel, type Pems } from "./load.ts";

const MAIN_FILE = fileURLToPath(new URL("../src/main.js", import.meta.url));
/** An agent's own default: failover is measured as people get it. */
const ELECTION_TIMEOUT_MS = 1000;
const LEADER_MS_MAX = 20_000;
const STATUS_MS_MAX = 500;
/** What a member that was away needs to be a member like the others again. */
const REVIVED_MS = 1_000;

export const PRODUCE = "/log.v1.Log/Produce";
export const CHECK_TAIL = "/cairn.v1.Log/CheckTail";
const STATUS = "/cairn.v1.Admin/Status";

export type Strike = "SIGKILL" | "SIGSTOP";

/** A cluster that can lose its leader, ours or the other. */
export interface Struck {
  leader(): Promise<{ readonly name: string; readonly address: string }>;
  addressesBut(name: string): readonly string[];
  strike(name: string, signal: Strike): void;
  /** Back, and a member like the others again, when it resolves. */
  revive(name: string, signal: Strike): Promise<void>;
}

export interface Bed {
  readonly folder: string;
  readonly pems: Pems;
  readonly cairn: CairnCluster;
  /** Why there is nothing to compare with, or what. */
  readonly etcd: EtcdCluster | { readonly kind: "none"; readonly why: string };
  readonly etcdVersion: string;
}

/** Runs `measure` on a fresh bed. */
export async function onBed<Result>(
  hasEtcd: boolean,
  measure: (bed: Bed) => Promise<Result>,
): Promise<Result> {
  const folder = mkdtempSync(path.join(tmpdir(), "cairn-bench-"));
  const local = await LocalCluster.create({
    folder,
    mainFile: MAIN_FILE,
    clusterId: randomBytes(16).toString("hex"),
    electionTimeoutMs: ELECTION_TIMEOUT_MS,
    died: (_, line) => process.stderr.write(`${line}\n`),
  });
  let etcd: Bed["etcd"] = { kind: "none", why: "it was not asked for" };
  const killAll = () => {
    local.killAll();
    if (etcd instanceof EtcdCluster) etcd.killAll();
  };
  process.once("exit", killAll);
  try {
    const certificates = certificateFolder(folder);
    const pem = (name: string) => readFileSync(path.join(certificates, name));
    const [ca, cert, key] = ["ca.pem", "root-client.pem", "root-client-key.pem"].map(pem);
    if (ca === undefined || cert === undefined || key === undefined)
      throw new Error("no PEM files");
    const pems: Pems = { ca, cert, key };
    await local.startAll();
    const cairn = new CairnCluster(local, pems);
    await cairn.leader();
    const tool = hasEtcd ? findEtcd() : etcd;
    if (tool.kind === "etcd") {
      const data = path.join(folder, "etcd");
      etcd = await EtcdCluster.start(tool.program, data, certificates, pems);
    } else etcd = tool;
    const etcdVersion = tool.kind === "etcd" ? tool.version : "";
    return await measure({ folder, pems, cairn, etcd, etcdVersion });
  } finally {
    killAll();
    process.off("exit", killAll);
    rmSync(folder, { recursive: true, force: true });
  }
}

export class CairnCluster implements Struck {
  readonly #local: LocalCluster;
  readonly #pems: Pems;
  #ending: Promise<void> = Promise.resolve();

  constructor(local: LocalCluster, pems: Pems) {
    this.#local = local;
    this.#pems = pems;
  }

  get pids(): readonly number[] {
    return this.#local.names.flatMap((name) => this.#local.pidOf(name) ?? []);
  }

  pidOf(name: string): number {
    return this.#local.pidOf(name) ?? 0;
  }

  addressesBut(name: string): readonly string[] {
    const others = this.#local.names.filter((each) => each !== name);
    return others.map((each) => this.#local.addressOf(each));
  }

  /** Who leads, by its own word; waits until somebody does. `term` is the highest of all. */
  async leader(): Promise<{ name: string; address: string; term: number }> {
    const until = performance.now() + LEADER_MS_MAX;
    while (performance.now() < until) {
      for (const name of this.#local.names) {
        const address = this.#local.addressOf(name);
        const status = await this.#status(address);
        if (status?.role === "leader") return { name, address, term: status.term };
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`the cluster has no leader after ${LEADER_MS_MAX} ms`);
  }

  strike(name: string, signal: Strike): void {
    if (signal === "SIGKILL") this.#ending = this.#local.end(name, signal);
    else process.kill(this.pidOf(name), signal);
  }

  async revive(name: string, signal: Strike): Promise<void> {
    await this.#ending;
    if (signal === "SIGKILL") await this.#local.start(name);
    else process.kill(this.pidOf(name), "SIGCONT");
    const client = openChannel(this.#local.addressOf(name), this.#pems);
    // Linearizable, so it is answered only by a member that has caught up.
    const until = performance.now() + LEADER_MS_MAX;
    while (!(await isAnswered(call(client, CHECK_TAIL, EMPTY_MESSAGE, STATUS_MS_MAX)))) {
      if (performance.now() > until) throw new Error(`${name} does not come back`);
    }
    client.close();
    await new Promise((resolve) => setTimeout(resolve, REVIVED_MS));
  }

  async #status(address: string): Promise<{ role: string; term: number } | null> {
    const client = openChannel(address, this.#pems);
    try {
      const answer = await call(client, STATUS, EMPTY_MESSAGE, STATUS_MS_MAX);
      const status = decodeStatusResponse(answer);
      return status instanceof Malformed ? null : status;
    } catch {
      return null;
    } finally {
      client.close();
    }
  }
}

function isAnswered(asked: Promise<unknown>): Promise<boolean> {
  return asked.then(
    () => true,
    () => false,
  );
}

export async function produceOnce(client: Client, timeoutMs: number): Promise<void> {
  await call(client, PRODUCE, encodeProduceRequest(Buffer.alloc(256)), timeoutMs);
}

/** Ticks of the kernel's accounting a second, wherever Linux runs Node. */
const TICKS_PER_SECOND = 100;

/** User and system time of these processes since they began, in ms; 0 where nobody tells. */
export function cpuMsOf(pids: readonly number[]): number {
  let ticks = 0;
  for (const pid of pids) {
    try {
      // After the name, which may hold anything but a closing parenthesis at its end.
      const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ");
      ticks += Number(fields?.[11] ?? 0) + Number(fields?.[12] ?? 0);
    } catch {
      return 0;
    }
  }
  return (ticks * 1000) / TICKS_PER_SECOND;
}

/** Resident memory of a process in MiB; 0 where nobody tells. */
export function residentMiB(pid: number): number {
  try {
    const kib = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
    return Number(kib ?? 0) / 1024;
  } catch {
    return 0;
  }
}
