// The words of `cairn log`: its commands on a stopped node's directory, and their flags. Owns no
// behaviour.

import type { Command } from "commander";

export function addLog(root: Command): void {
  const log = root
    .command("log")
    .summary("look into a stopped node's data directory")
    .description("Look into a stopped node's data directory, or a copy of one.");
  log
    .command("dump <DIR>")
    .description("Print the entries, a line each, from the stores themselves.")
    .option("--from <INDEX>", "first entry", "1")
    .option("--count <N>", "so many entries [all]")
    .option("--values", "the records of each batch, too")
    .option("--json", "one object a line")
    .addHelpText("after", "\nExample:\n  cairn log dump /var/lib/cairn --from 1000 --count 5")
    .action(async (directory, flags) => {
      const { runDump } = await import("./log-dump.ts");
      await runDump(directory, flags);
    });
  log
    .command("verify <DIR>")
    .description("Check every frame, the chain, indexes, seals and checkpoints; changes nothing.")
    .option("--json", "one object")
    .addHelpText(
      "after",
      `
Says what the next start would put in order (note), what repair would (repair),
and what is lost here (damage). Exit codes: 0 whole, 1 something to repair or
damaged, 64 no data directory.

Example:
  cairn log verify /var/lib/cairn`,
    )
    .action(async (directory, flags) => {
      const { runVerify } = await import("./log-verify.ts");
      await runVerify(directory, flags);
    });
  log
    .command("stats <DIR>")
    .description("Count entries, records, bytes and batches.")
    .option("--json", "one object")
    .addHelpText("after", "\nExample:\n  cairn log stats /var/lib/cairn")
    .action(async (directory, flags) => {
      const { runStats } = await import("./log-stats.ts");
      await runStats(directory, flags);
    });
  log
    .command("repair <DIR>")
    .description("Put in order what loses no entry; asks first, and keeps the old bytes.")
    .option("--yes", "do not ask")
    .option("--json", "what was found, as one object")
    .addHelpText(
      "after",
      `
The files that change are copied to DIR.before-repair-TIME first. Damaged
entries are never cut: then nothing is changed, and the exit code is 1.

Example:
  cairn log repair /var/lib/cairn --yes`,
    )
    .action(async (directory, flags) => {
      const { runRepair } = await import("./log-verify.ts");
      await runRepair(directory, flags);
    });
}
