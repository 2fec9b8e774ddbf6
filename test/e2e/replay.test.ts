// A production run, recorded over a kill -9 and replayed by the simulator: every output byte for
// byte.

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { replayRecording } from "../../sim/replay.ts";
import {
  createAuthority,
  createClientCertificate,
  createNodeCertificate,
} from "../../src/cli/certs.ts";
import { findFreePorts } from "../../src/cli/ports.ts";
import { connect } from "../../src/client/client.ts";
import { decodeRecording, type Recording } from "../../src/service/recording.ts";

const MAIN = fileURLToPath(new URL("../../dist/src/main.js", import.meta.url));
const SIM = fileURLToPath(new URL("../../dist/sim/main.js", import.meta.url));

let folder = "";
let running: ChildProcess | null = null;

beforeAll(async () => {
  folder = mkdtempSync(path.join(tmpdir(), "cairn-replay-"));
  const authority = await createAuthority(path.join(folder, "certs"), "test");
  await createNodeCertificate(authority, path.join(folder, "certs"), "n1", ["127.0.0.1"]);
  await createClientCertificate(authority, path.join(folder, "certs"), "root");
});

function credentials() {
  const pem = (name: string) => readFileSync(path.join(folder, "certs", name));
  return {
    ca: pem("ca.pem"),
    cert: pem("root-client.pem"),
    key: pem("root-client-key.pem"),
  };
}

afterAll(() => {
  running?.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

/** Starts a node of its own cluster, recording, and waits until it serves. */
function start(port: number): Promise<ChildProcess> {
  const flags = ["--node-name", "n1", "--data-dir", path.join(folder, "data"), "--bootstrap"];
  const where = ["--rpc-port", String(port), "--certs-dir", path.join(folder, "certs")];
  const record = ["--record", path.join(folder, "recordings")];
  const child = spawn(process.execPath, [MAIN, "agent", ...flags, ...where, ...record], {
    stdio: ["ignore", "ignore", "ignore", "ipc"],
  });
  running = child;
  return new Promise((resolve, reject) => {
    child.once("message", () => resolve(child));
    child.once("exit", (code) => reject(new Error(`the agent exited with ${code}`)));
  });
}

function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  return new Promise((resolve) => {
    child.once("exit", () => resolve());
    child.kill(signal);
  });
}

function recordings(): Recording[] {
  const directory = path.join(folder, "recordings");
  return readdirSync(directory)
    .sort()
    .map((name) => {
      const recording = decodeRecording(readFileSync(path.join(directory, name)));
      if (typeof recording === "string") throw new Error(recording);
      return recording;
    });
}

describe("a recorded node", () => {
  test("that was killed and started again replays to byte-equal outputs", async () => {
    const [port = 0] = await findFreePorts(1);
    const first = await start(port);
    const client = connect({ addresses: [`127.0.0.1:${port}`], credentials: credentials() });
    for (let at = 0; at < 50; at++) await client.append([{ value: `before ${at}` }]);
    await end(first, "SIGKILL");
    const second = await start(port);
    for (let at = 0; at < 50; at++) await client.append([{ value: `after ${at}` }]);
    const values: string[] = [];
    for await (const { value } of client.read()) values.push(Buffer.from(value).toString());
    client.close();
    await end(second, "SIGTERM");
    expect(values.length).toBe(100);

    const replay = spawnSync(process.execPath, [SIM, "--replay", path.join(folder, "recordings")], {
      encoding: "utf8",
    });
    expect(replay.stdout.match(/^PASS run-00000[12]/gm)?.length).toBe(2);
    expect(replay.status).toBe(0);
    for (const recording of recordings()) expect(recording.turns.length).toBeGreaterThan(50);
  });

  test("whose recording was altered is caught at that very turn", () => {
    const [recording] = recordings();
    if (recording === undefined) throw new Error("nothing was recorded");
    const at = Math.floor(recording.turns.length / 2);
    const turns = recording.turns.map((turn, place) => {
      if (place !== at) return turn;
      const output = turn.output.slice();
      output[output.length - 1] = (output[output.length - 1] ?? 0) ^ 1;
      return { ...turn, output };
    });
    expect(replayRecording({ ...recording, turns }).difference?.turn).toBe(at + 1);
  });

  test("whose recording is cut anywhere replays up to the cut", () => {
    const directory = path.join(folder, "recordings");
    const [name = ""] = readdirSync(directory).sort();
    const bytes = readFileSync(path.join(directory, name));
    const whole = decodeRecording(bytes);
    if (typeof whole === "string") throw new Error(whole);
    for (let cut = bytes.length - 1; cut > 0; cut -= Math.ceil(bytes.length / 7)) {
      const part = decodeRecording(bytes.subarray(0, cut));
      if (typeof part === "string") {
        expect(cut).toBeLessThan(2000);
        continue;
      }
      expect(part.turns.length).toBeLessThan(whole.turns.length + 1);
      expect(replayRecording(part).difference).toBeNull();
    }
  });

  test("a folder without recordings, or with something else, is said to be so", () => {
    const empty = path.join(folder, "data");
    const nothing = spawnSync(process.execPath, [SIM, "--replay", empty], { encoding: "utf8" });
    expect(nothing.status).toBe(64);
    expect(nothing.stderr).toMatch(/no recordings/);
    writeFileSync(path.join(empty, "x.cairnrec"), "hello");
    const other = spawnSync(process.execPath, [SIM, "--replay", empty], { encoding: "utf8" });
    expect(other.status).toBe(64);
    expect(other.stderr).toMatch(/not a recording/);
  });
});
