// `npm run bench -- NAME`: runs one benchmark and prints its table, or one JSON object a line. Each
// bench is a file of its own that knows what it measures and against what.

import { Command, CommanderError } from "commander";

import { writeFigures } from "./page.ts";
import { type Measured, type Row, table } from "./row.ts";

/** How much is run: enough for a first look, for a figure, or for what shows only in hours. */
export type Size = "quick" | "usual" | "long";

/** `only` is null for all parts, else names of `parts`. */
type Bench = (size: Size, only: readonly string[] | null) => Promise<readonly Row[] | Measured>;
type SmallBench = (quick: boolean) => Promise<readonly Row[] | Measured>;

interface Listed {
  readonly what: string;
  readonly load: () => Promise<Bench>;
  /** The page of docs that shows its figures. */
  readonly page?: string;
  readonly hasLong?: boolean;
  /** What --only takes. */
  readonly parts?: () => Promise<readonly string[]>;
}

function sized(bench: SmallBench): Bench {
  return (size) => bench(size === "quick");
}

const BENCHES: Readonly<Record<string, Listed>> = {
  cluster: {
    what: "three real agents, mTLS, fsync before every acknowledgement, beside etcd",
    load: async () => (await import("./cluster.ts")).runClusterBench,
    page: "performance.md",
    hasLong: true,
    parts: async () => (await import("./cluster.ts")).CLUSTER_PARTS,
  },
  raft: {
    what: "the consensus core of three nodes in one process, no disk, no sockets",
    load: async () => sized((await import("./raft.ts")).runRaftBench),
    page: "raft.md",
  },
  elections: {
    what: "the thesis's election experiment in virtual time: how long nobody leads after a crash",
    load: async () => sized((await import("./elections.ts")).runElectionsBench),
    page: "raft.md",
  },
  gossip: {
    what: "gossip in virtual time: detection, dissemination and load, and slow members",
    load: async () => sized((await import("./gossip.ts")).runGossipBench),
    page: "gossip.md",
  },
  log: {
    what: "the log engine on real files, beside raw writes and syncs of the same bytes",
    load: async () => sized((await import("./log.ts")).runLogBench),
    page: "log.md",
  },
  sim: {
    what: "the simulator: simulated time and events per second, what seeds take, memory",
    load: async () => (await import("./sim.ts")).runSimBench,
    page: "simulation.md",
    hasLong: true,
  },
};

const EXIT_USAGE = 64;

interface Options {
  readonly json: boolean;
  readonly quick: boolean;
  readonly long: boolean;
  readonly docs: boolean;
  readonly only?: string;
}

async function main(): Promise<void> {
  const command = new Command("bench")
    .argument(
      "<name>",
      Object.entries(BENCHES)
        .map(([name, { what }]) => `${name}: ${what}`)
        .join("\n"),
    )
    .option("--json", "one JSON object a line", false)
    .option("--quick", "shorter runs, for a first look", false)
    .option("--long", "runs of an hour and more, where there are any", false)
    .option("--only <parts>", "some parts of a bench that has parts, as a,b,c")
    .option("--docs", "write the figures and plots into the page of docs that shows them", false)
    .exitOverride();
  try {
    command.parse();
  } catch (error) {
    process.exitCode = error instanceof CommanderError && error.exitCode === 0 ? 0 : EXIT_USAGE;
    return;
  }
  const name = command.args[0] ?? "";
  const bench = BENCHES[name];
  if (bench === undefined) {
    const known = Object.keys(BENCHES).join(", ");
    process.stderr.write(`there is no bench ${name}: choose one of ${known}\n`);
    process.exitCode = EXIT_USAGE;
    return;
  }
  const { json, quick, long, docs, only: wanted } = command.opts<Options>();
  if (long && bench.hasLong !== true) {
    process.stderr.write(`${name} has no long runs\n`);
    process.exitCode = EXIT_USAGE;
    return;
  }
  if (docs && bench.page === undefined) {
    process.stderr.write(`no page of docs shows the figures of ${name}\n`);
    process.exitCode = EXIT_USAGE;
    return;
  }
  const only = wanted?.split(",") ?? null;
  const parts = (await bench.parts?.()) ?? [];
  const unknown = only?.find((part) => !parts.includes(part));
  if (unknown !== undefined) {
    const known = parts.length === 0 ? "it has none" : `choose of ${parts.join(", ")}`;
    process.stderr.write(`${name} has no part ${unknown}: ${known}\n`);
    process.exitCode = EXIT_USAGE;
    return;
  }
  if (docs && only !== null) {
    process.stderr.write("--docs writes a whole table: leave out --only\n");
    process.exitCode = EXIT_USAGE;
    return;
  }
  if (!json) process.stdout.write(`${name}: ${bench.what}\n`);
  const run = await bench.load();
  const result = await run(long ? "long" : quick ? "quick" : "usual", only);
  const measured: Measured = "rows" in result ? result : { rows: result, plots: [] };
  const { rows } = measured;
  const text = json ? rows.map((row) => JSON.stringify(row)).join("\n") : table(rows);
  process.stdout.write(`${text}\n`);
  if (!docs || bench.page === undefined) return;
  // Where --long is another part, its figures have a place of their own.
  const place = long && bench.parts !== undefined ? `${name}-long` : name;
  writeFigures(bench.page, place, measured, long ? `${name} --long` : name);
}

await main();
