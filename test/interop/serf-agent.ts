// Stock Serf agents as child processes on loopback, fetched as a Debian package, never installed.
// Owns their ports, logs and ends; what is expected of them is the tests'.

import { type ChildProcess, execFile, spawn, spawnSync } from "node:child_process";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const repository = fileURLToPath(new URL("../../", import.meta.url));
const run = promisify(execFile);

export type SerfTool = { readonly path: string } | { readonly problem: string };

/** The `serf` program, or why there is none here. */
export function findSerf(): SerfTool {
  const command = `eval "$('${repository}scripts/ci-tools' env)" && command -v serf`;
  const { status, stdout, stderr } = spawnSync("bash", ["-c", command], { encoding: "utf8" });
  return status === 0 ? { path: stdout.trim() } : { problem: stderr };
}

/** As `serf members -format json` tells it. */
export interface SerfMember {
  readonly name: string;
  readonly addr: string;
  readonly status: string;
  readonly tags: Readonly<Record<string, string>>;
}

export class SerfAgent {
  readonly name: string;
  readonly address: string;
  log = "";
  readonly #serf: string;
  readonly #rpc: string;
  readonly #child: ChildProcess;

  private constructor(serf: string, name: string, port: number, rpc: number, flags: string[]) {
    this.name = name;
    this.address = `127.0.0.1:${port}`;
    this.#serf = serf;
    this.#rpc = `-rpc-addr=127.0.0.1:${rpc}`;
    const where = [`-node=${name}`, `-bind=${this.address}`, this.#rpc];
    const child = spawn(serf, ["agent", ...where, "-log-level=debug", ...flags]);
    child.stdout.on("data", (bytes) => this.#heard(bytes));
    child.stderr.on("data", (bytes) => this.#heard(bytes));
    this.#child = child;
  }

  /** Up and answering when it resolves. */
  static async start(serf: string, name: string, flags: string[] = []): Promise<SerfAgent> {
    const [port = 0, rpc = 0] = [await freePort(), await freePort()];
    const agent = new SerfAgent(serf, name, port, rpc, flags);
    for (let tries = 0; ; tries++) {
      try {
        await agent.members();
        return agent;
      } catch (error) {
        if (tries === 50) throw new Error(`${name} does not start: ${agent.log}`, { cause: error });
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
  }

  async members(): Promise<SerfMember[]> {
    const told = JSON.parse(await this.command("members", "-format", "json"));
    return (told as { members: SerfMember[] }).members;
  }

  async member(name: string): Promise<SerfMember | undefined> {
    return (await this.members()).find((member) => member.name === name);
  }

  /** What a command of `serf` prints. */
  async command(name: string, ...rest: string[]): Promise<string> {
    const { stdout } = await run(this.#serf, [name, this.#rpc, ...rest], { timeout: 30_000 });
    return stdout;
  }

  /**
   * Lines of its log at these levels; but for what an agent alone says, too, of a `serf query` that
   * has ended before the agent's last word to it.
   */
  complaints(): string[] {
    const isOwn = (line: string) => line.includes("agent.ipc: Failed to stream");
    const lines = this.log.split("\n").filter((line) => /\[(?:WARN|ERR)\]/.test(line));
    return lines.filter((line) => !isOwn(line));
  }

  /** Ends without a word. */
  async kill(): Promise<void> {
    const { exitCode, signalCode } = this.#child;
    if (exitCode !== null || signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await ended;
  }

  #heard(bytes: Buffer): void {
    this.log += bytes.toString();
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address !== null ? address.port : 0;
}
