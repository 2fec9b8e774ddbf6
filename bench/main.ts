// `npm run bench -- NAME`: runs one benchmark and prints its table, or one JSON object a line. Each
// bench is a file of its own that knows what it measures and against what.

import { Command, CommanderError } from "commander";

import { type Row, table } from "./row.ts";

type Bench = (quick: boolean) => Promise<readonly Row[]>;

const BENCHES: Readonly<
  Record<string, { readonly what: string; readonly load: () => Promise<Bench> }>
> = {
  cluster: {
    what: "three real agents, mTLS, fsync before every acknowledgement",
    load: async () => (await import("./cluster.ts")).runClusterBench,
  },
  raft: {
    what: "the consensus core of three nodes in one process, no disk, no sockets",
    load: async () => (await import("./raft.ts")).runRaftBench,
  },
  log: {
    what: "the log engine on real files, beside raw writes and syncs of the same bytes",
    load: async () => (await import("./log.ts")).runLogBench,
  },
  sim: {
    what: "the simulator: simulated time and events per second of wall time",
    load: async () => (await import("./sim.ts")).runSimBench,
  },
};

const EXIT_USAGE = 64;

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
  const { json, quick } = command.opts<{ json: boolean; quick: boolean }>();
  if (!json) process.stdout.write(`${name}: ${bench.what}\n`);
  const run = await bench.load();
  const rows = await run(quick);
  const text = json ? rows.map((row) => JSON.stringify(row)).join("\n") : table(rows);
  process.stdout.write(`${text}\n`);
}

await main();
