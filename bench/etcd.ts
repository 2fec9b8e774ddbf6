// Three members of etcd on loopback with mutual TLS, for comparison in the same run. The program is
// Debian's, unpacked and not installed (scripts/ci-tools). Owns its processes; its data is in the
// folder it was given.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdirSync, openSync } from "node:fs";
import path from "node:path";

import type { Client } from "@grpc/grpc-js";

import { certificateFiles } from "../src/cli/certificate-files.ts";
import { LOCAL_HOST, LOCAL_MEMBERS } from "../src/cli/local-cluster.ts";
import { findFreePorts } from "../src/cli/ports.ts";
import { call, openChannel, type Pems } from "./load.ts";

export const PUT = "/etcdserverpb.KV/Put";
export const RANGE = "/etcdserverpb.KV/Range";
const STATUS = "/etcdserverpb.Maintenance/Status";
/** What this bench was written against; another one is said in the table. */
const KNOWN_VERSION = /^etcd Version: (3\.\d+\.\d+)/m;
const START_MS_MAX = 20_000;

export type EtcdTool =
  | { readonly kind: "etcd"; readonly program: string; readonly version: string }
  | { readonly kind: "none"; readonly why: string };

/** Fetched where it is not there yet; why not, in words, when it cannot be had. */
export function findEtcd(): EtcdTool {
  const found = spawnSync("scripts/ci-tools", ["path", "etcd-server", "etcd"], {
    encoding: "utf8",
    timeout: 180_000,
  });
  const program = (found.stdout ?? "").trim();
  if (found.status !== 0 || program === "") {
    return { kind: "none", why: lastLine(found.stderr ?? "") || "scripts/ci-tools did not end" };
  }
  const asked = spawnSync(program, ["--version"], { encoding: "utf8", timeout: 10_000 });
  const version = KNOWN_VERSION.exec(asked.stdout ?? "")?.[1];
  if (version === undefined) {
    return { kind: "none", why: `${program} --version does not say that it is etcd 3` };
  }
  return { kind: "etcd", program, version };
}

const lastLine = (text: string): string => text.trimEnd().split("\n").at(-1) ?? "";

interface Member {
  readonly name: string;
  readonly address: string;
  readonly flags: readonly string[];
  readonly log: string;
  child: ChildProcess | null;
}

export class EtcdCluster {
  readonly #program: string;
  readonly #pems: Pems;
  readonly #members: readonly Member[];

  private constructor(program: string, pems: Pems, members: readonly Member[]) {
    this.#program = program;
    this.#pems = pems;
    this.#members = members;
  }

  /** `certificates`: of a local cluster of ours, whose members' serve here too. */
  static async start(
    program: string,
    folder: string,
    certificates: string,
    pems: Pems,
  ): Promise<EtcdCluster> {
    mkdirSync(folder, { recursive: true });
    const ports = await findFreePorts(2 * LOCAL_MEMBERS.length);
    const urls = LOCAL_MEMBERS.map((name, at) => ({
      name,
      client: `${LOCAL_HOST}:${ports[2 * at]}`,
      peer: `https://${LOCAL_HOST}:${ports[2 * at + 1]}`,
    }));
    const cluster = urls.map(({ name, peer }) => `${name}=${peer}`).join(",");
    const members = urls.map(({ name, client, peer }) => ({
      name,
      address: client,
      flags: flagsOf({ name, client: `https://${client}`, peer, cluster, folder, certificates }),
      log: path.join(folder, `${name}.log`),
      child: null,
    }));
    const started = new EtcdCluster(program, pems, members);
    for (const { name } of members) started.#spawn(name);
    await started.leader();
    return started;
  }

  get pids(): readonly number[] {
    return this.#members.flatMap(({ child }) => child?.pid ?? []);
  }

  addressesBut(name: string): readonly string[] {
    return this.#members.filter((member) => member.name !== name).map(({ address }) => address);
  }

  /** Who leads; waits until somebody does. */
  async leader(): Promise<{ readonly name: string; readonly address: string }> {
    const until = performance.now() + START_MS_MAX;
    while (performance.now() < until) {
      for (const member of this.#members) {
        if (await this.#leads(member)) return member;
      }
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`etcd has no leader after ${START_MS_MAX} ms`);
  }

  /** SIGKILL or SIGSTOP, and back again. */
  strike(name: string, signal: "SIGKILL" | "SIGSTOP"): void {
    this.#member(name).child?.kill(signal);
  }

  async revive(name: string, signal: "SIGKILL" | "SIGSTOP"): Promise<void> {
    const member = this.#member(name);
    if (signal === "SIGSTOP") member.child?.kill("SIGCONT");
    else this.#spawn(name);
    await this.leader();
    await new Promise((resolve) => setTimeout(resolve, REVIVED_MS));
  }

  killAll(): void {
    for (const { child } of this.#members) child?.kill("SIGKILL");
  }

  #member(name: string): Member {
    const member = this.#members.find((each) => each.name === name);
    if (member === undefined) throw new Error(`no member ${name}`);
    return member;
  }

  #spawn(name: string): void {
    const member = this.#member(name);
    const log = openSync(member.log, "a");
    member.child = spawn(this.#program, member.flags, { stdio: ["ignore", log, log] });
  }

  /** Its own id is in the header, the leader's is field 4. */
  async #leads({ address }: Member): Promise<boolean> {
    const client = openChannel(address, this.#pems);
    try {
      return leadsItself(await call(client, STATUS, Buffer.alloc(0), 500));
    } catch {
      return false;
    } finally {
      client.close();
    }
  }
}

/** What a member that was away needs to be a member like the others again. */
const REVIVED_MS = 2_000;

function flagsOf(one: {
  readonly name: string;
  readonly client: string;
  readonly peer: string;
  readonly cluster: string;
  readonly folder: string;
  readonly certificates: string;
}): string[] {
  const { name, client, peer, cluster, folder, certificates } = one;
  const { cert, key } = certificateFiles(certificates, name);
  const { cert: ca } = certificateFiles(certificates, "ca");
  const tls = ["", "peer-"].flatMap((side) => [
    ...[`--${side}cert-file`, cert, `--${side}key-file`, key, `--${side}trusted-ca-file`, ca],
    `--${side}client-cert-auth`,
  ]);
  return [
    ...["--name", name, "--data-dir", path.join(folder, name)],
    ...["--listen-client-urls", client, "--advertise-client-urls", client],
    ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
    ...["--initial-cluster", cluster, "--initial-cluster-state", "new"],
    ...["--log-level", "warn", "--logger", "zap", "--log-outputs", "stderr"],
    ...tls,
  ];
}

/** StatusResponse: header = 1 { member_id = 2 }, leader = 4. Ids are random 64-bit numbers. */
function leadsItself(response: Buffer): boolean {
  const fields = numbersOf(response);
  const header = fields.get(1);
  if (!(header instanceof Uint8Array)) return false;
  const self = numbersOf(Buffer.from(header)).get(2);
  return self !== undefined && self === fields.get(4);
}

/** The last value of each field: bytes, or a number in hexadecimal. */
function numbersOf(bytes: Buffer): Map<number, Uint8Array | string> {
  const found = new Map<number, Uint8Array | string>();
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++] ?? 0;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const value = varint();
    if ((tag & 7) === 2) {
      found.set(tag >> 3, bytes.subarray(at, at + Number(value)));
      at += Number(value);
    } else found.set(tag >> 3, value.toString(16));
  }
  return found;
}

const KEYS = 10_000;
let put = 0;

/** PutRequest: key = 1, value = 2; keys in turn. */
export function encodePut(value: Buffer): Buffer {
  const key = Buffer.from(`k${String(put++ % KEYS).padStart(8, "0")}`);
  return Buffer.concat([field(1, key), field(2, value)]);
}

/** RangeRequest: key = 1, serializable = 7: from the asked member's own store. */
export function encodeRange(number: number, isSerializable: boolean): Buffer {
  const key = field(1, Buffer.from(`k${String(number % KEYS).padStart(8, "0")}`));
  return isSerializable ? Buffer.concat([key, Buffer.from([(7 << 3) | 0, 1])]) : key;
}

function field(number: number, bytes: Buffer): Buffer {
  const length: number[] = [];
  for (let rest = bytes.length; ; rest >>= 7) {
    length.push(rest >= 0x80 ? (rest & 0x7f) | 0x80 : rest);
    if (rest < 0x80) break;
  }
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), bytes]);
}

export async function putOnce(client: Client, timeoutMs: number): Promise<void> {
  await call(client, PUT, encodePut(Buffer.alloc(256)), timeoutMs);
}
