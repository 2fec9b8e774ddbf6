// `cairn demo`: three real agents, a real text, a leader killed in the middle of it, and the proof
// from the outside that nothing was lost, doubled or reordered. Owns the order of events, what is
// shown and the cleaning up; the proof itself is demo-proof.ts.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { type CairnClient, CairnError } from "../client/client.ts";
import { connectTo, describeCairnError, type Target } from "./connect.ts";
import { findContradictions, type NodeLog } from "./demo-proof.ts";
import { type DemoText, findDemoText, readText } from "./demo-text.ts";
import { DemoWriter } from "./demo-writer.ts";
import { CommandError, EXIT } from "./exit.ts";
import { LocalCluster } from "./local-cluster.ts";
import { clusterIdOf } from "./settings.ts";
import { onAskedToStop } from "./signals.ts";
import { grouped, Output, Progress, paint } from "./terminal.ts";
import { readTlsFiles } from "./tls-files.ts";

export interface DemoFlags {
  readonly file?: string;
  readonly keep?: boolean;
  readonly json?: boolean;
}

const ELECTION_TIMEOUT_MS = 400;
/** The whole demo; a machine this slow is told so. */
const TIME_MAX_MS = 57_000;
const LEADER_LOOK_MS = 50;
const LOG_READ_MS = 15_000;
/** A record behind the end would be there at once. */
const BEHIND_THE_END_MS = 250;

export async function runDemo(flags: DemoFlags, mainFile: string): Promise<void> {
  const text =
    flags.file === undefined ? findDemoText(path.dirname(mainFile)) : readText(flags.file);
  if (text.lines.length < 2) throw new CommandError(`${text.name}: a text of two lines at least`);
  const folder = mkdtempSync(path.join(tmpdir(), "cairn-demo-"));
  let failure: string | null = null;
  const ended = new Promise<never>((_resolve, reject) => {
    onAskedToStop(() => reject(new CommandError("interrupted", EXIT.interrupted)));
    const late = new CommandError(
      `not done after ${TIME_MAX_MS / 1000} s: this machine is too slow`,
    );
    setTimeout(() => reject(late), TIME_MAX_MS).unref();
  });
  ended.catch(() => undefined);
  const removeFolder = () => {
    if (flags.keep !== true) rmSync(folder, { recursive: true, force: true });
  };
  process.on("exit", removeFolder);
  const cluster = await LocalCluster.create({
    folder,
    mainFile,
    clusterId: clusterIdOf("demo"),
    electionTimeoutMs: ELECTION_TIMEOUT_MS,
    died: (_name, line) => {
      failure = line;
    },
  });
  // Before the folder goes: exit listeners run in order.
  process.prependListener("exit", () => cluster.killAll());
  try {
    const demo = new Demo(cluster, text, flags.json === true);
    const problems = await Promise.race([demo.run(), ended]);
    if (failure !== null) problems.push(failure);
    await demo.conclude(problems);
    if (problems.length > 0) process.exitCode = EXIT.failed;
  } finally {
    if (flags.keep === true) process.stderr.write(`kept: ${folder}\n`);
    await cluster.stopAll();
  }
}

class Demo {
  readonly #cluster: LocalCluster;
  readonly #text: DemoText;
  readonly #output = new Output();
  readonly #asJson: boolean;
  readonly #target: Target;
  readonly #begunMs = performance.now();
  #writer: DemoWriter | null = null;

  constructor(cluster: LocalCluster, text: DemoText, asJson: boolean) {
    this.#cluster = cluster;
    this.#text = text;
    this.#asJson = asJson;
    const { addresses, ca, subjects, as } = cluster.profile();
    const { cert, key } = subjects[as] ?? { cert: "", key: "" };
    const credentials = readTlsFiles({ cert, key, ca }, (part) => `demo ${part}`);
    this.#target = { addresses: Object.values(addresses), credentials, from: "(demo)" };
  }

  /** Returns what contradicts the proof: nothing, when all is well. */
  async run(): Promise<string[]> {
    const { name, bytes, lines } = this.#text;
    const claim = "three nodes, mutual TLS, every acknowledgement after fsync on two disks.";
    await this.#say("cairn", claim);
    await this.#say(
      "text",
      `${name}: ${grouped(lines.length)} lines, ${grouped(bytes.length)} bytes`,
    );
    const ready = await this.#cluster.startAll();
    const nodes = this.#cluster.names.map((node) => `${node} (pid ${this.#cluster.pidOf(node)})`);
    await this.#say("nodes", `${nodes.join(", ")}; index: ${ready[0]?.index}`);
    const client = connectTo(this.#target, { attemptTimeoutMs: 1_000 });
    try {
      const leader = await this.#waitForLeader(null);
      await this.#say("leader", leader);
      await this.#write(client);
      return await this.#prove(client);
    } catch (error) {
      throw error instanceof CairnError ? describeCairnError(error, this.#target) : error;
    } finally {
      client.close();
    }
  }

  async conclude(problems: readonly string[]): Promise<void> {
    if (problems.length > 0) {
      for (const problem of problems) await this.#say("wrong", problem, "red");
      await this.#say("FAIL", "the log is not what was acknowledged", "red");
    } else {
      const seconds = ((performance.now() - this.#begunMs) / 1000).toFixed(1);
      const lines = grouped(this.#text.lines.length);
      const claim = `${lines} lines, each in all three logs exactly once, at its acknowledged offset, in order`;
      await this.#say("PASS", `${claim} (${seconds} s)`, "green");
    }
    await this.#output.flush();
  }

  /** Sends the text; half-way the leader is killed, and later started again. */
  async #write(client: CairnClient): Promise<void> {
    const { lines } = this.#text;
    const progress = new Progress("append ", lines.length, 0);
    let kill: Promise<void> | null = null;
    const writer = new DemoWriter(client, lines, (acknowledged) => {
      const leads = this.#nameOf(client.leader);
      const note = `${grouped(acknowledged)}/${grouped(lines.length)}  ${grouped(writer.rate)}/s  `;
      progress.update(acknowledged, `${note}${leads === null ? "no leader" : `${leads} leads`}`);
      if (kill === null && acknowledged * 2 >= lines.length) {
        kill = this.#killLeader(writer, progress);
        // Awaited below, when the text is through.
        kill.catch(() => undefined);
      }
    });
    this.#writer = writer;
    try {
      await writer.run();
      await kill;
    } finally {
      progress.stop();
    }
    const { unknownOutcomes, retries, duplicates } = client.counts;
    await this.#say("gap", `${Math.round(writer.longestGapMs)} ms without an acknowledgement`);
    const doubt = counted(unknownOutcomes, "unknown outcome");
    const found = `${duplicates} had happened already, none was doubled`;
    const all = counted(retries, "retry", "retries");
    await this.#say("doubt", `${doubt}, retried with the same sequence: ${found} (${all} in all)`);
    const seconds = (writer.elapsedMs / 1000).toFixed(1);
    const speed = `${grouped(writer.rate)} records/s over ${seconds} s, the gap included`;
    await this.#say("speed", speed);
  }

  async #killLeader(writer: DemoWriter, progress: Progress): Promise<void> {
    const victim = await this.#waitForLeader(null);
    // While an append is under way: its outcome is what a client cannot know.
    await writer.inFlight();
    const killed = this.#cluster.end(victim, "SIGKILL");
    const at = grouped(writer.acknowledgedCount);
    const say = (what: string, line: string) => progress.interrupt(() => this.#say(what, line));
    await say("kill", `${victim}, the leader, with SIGKILL after ${at} acknowledged lines`);
    await killed;
    await say("leader", await this.#waitForLeader(victim));
    await this.#cluster.start(victim);
    await say("back", `${victim} runs again (pid ${this.#cluster.pidOf(victim)}) and catches up`);
  }

  async #prove(client: CairnClient): Promise<string[]> {
    const writer = this.#writer;
    if (writer === null) return ["nothing was written"];
    const { lines } = this.#text;
    const end = await client.checkTail();
    const problems: string[] = [];
    if (end !== lines.length) {
      problems.push(`the log ends at ${end}, ${lines.length} lines were acknowledged`);
    }
    const begunMs = performance.now();
    const logs = await Promise.all(this.#cluster.names.map((name) => this.#readLog(name, end)));
    const tookMs = Math.round(performance.now() - begunMs);
    const counts = logs.map(({ node, records }) => `${node} ${grouped(records.length)}`).join(", ");
    await this.#say("logs", `${counts} records, read from each node itself (${tookMs} ms)`);
    const evidence = { lines: lines.map(({ bytes }) => bytes), acknowledged: writer.offsets, logs };
    return [...problems, ...findContradictions(evidence)];
  }

  /** A node's own copy, asked of that node alone: all up to the end, and whatever is behind it. */
  async #readLog(node: string, end: number): Promise<NodeLog> {
    const target = { ...this.#target, addresses: [this.#cluster.addressOf(node)] };
    const client = connectTo(target, { attemptTimeoutMs: LOG_READ_MS });
    const records: { offset: number; value: Uint8Array }[] = [];
    const take = async (limit: number, waitMs: number) => {
      const signal = AbortSignal.timeout(waitMs);
      const from = records.length;
      try {
        for await (const { offset, value } of client.read({ from, follow: true, limit, signal })) {
          records.push({ offset, value });
        }
      } catch (error) {
        // What is missing, or too much, is for the proof to say.
        if (!(error instanceof CairnError) || !signal.aborted) throw error;
      }
    };
    try {
      await take(end, LOG_READ_MS);
      await take(1, BEHIND_THE_END_MS);
    } finally {
      client.close();
    }
    return { node, records };
  }

  /** The name of a leader other than `not` that most members agree on. */
  async #waitForLeader(not: string | null): Promise<string> {
    for (;;) {
      const client = connectTo(this.#target, { timeoutMs: 500, attemptTimeoutMs: 500 });
      try {
        const servers = await client.servers();
        const leader = servers.find(({ isLeader, id }) => isLeader && id !== not);
        if (leader !== undefined) return leader.id;
      } catch (error) {
        if (!(error instanceof CairnError)) throw error;
      } finally {
        client.close();
      }
      await new Promise((resolve) => setTimeout(resolve, LEADER_LOOK_MS));
    }
  }

  #nameOf(address: string | null): string | null {
    const { names } = this.#cluster;
    return names.find((name) => this.#cluster.addressOf(name) === address) ?? null;
  }

  /** One line, which begins with what it is about. */
  async #say(what: string, text: string, colour: "red" | "green" | null = null): Promise<void> {
    if (this.#asJson) {
      await this.#output.line(JSON.stringify({ event: what.toLowerCase(), text }));
      return;
    }
    const line = `${what.padEnd(7)} ${text}`;
    await this.#output.line(colour === null ? line : paint(colour, line, process.stdout));
  }
}

function counted(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
