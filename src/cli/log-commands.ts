// The words of `cairn log`, the commands on a stopped node's directory, and of `cairn mirror`.
// Owns no behaviour.

import type { Command } from "commander";

export function addMirror(root: Command): void {
  root
    .command("mirror")
    .summary("copy one cluster's records to another, each once")
    .description("Copy one cluster's records to another, each once, from where it was left.")
    .option("--from <LIST>", "members of the source: host:port,...")
    .option("--to <LIST>", "members of the target: host:port,...")
    .option("--from-profile <FILE>", "profile of the source")
    .option("--to-profile <FILE>", "profile of the target")
    .option("--from-certs-dir <DIR>", "has ca.pem, SUBJECT-client.pem and its key")
    .option("--to-certs-dir <DIR>", "the same for the target")
    .option("--as <SUBJECT>", "whose certificates [root]")
    .option("--name <NAME>", "what the target knows it as [source's cluster id]")
    .option("--follow", "wait for more until Ctrl-C")
    .option("--json", "one JSON object at the end")
    .addHelpText(
      "after",
      `
Keys, headers and order are kept; offsets and times are the target's own. Killed
and started again, it goes on where it was, and doubles nothing. Needs the right
to consume there, and here to produce, and to consume cursor/mirror/*.

Example:
  cairn mirror --from 10.0.0.1:8400 --from-certs-dir certs \\
    --to 10.1.0.1:8400 --to-certs-dir other/certs --follow`,
    )
    .action(async (flags) => {
      const { runMirror } = await import("./mirror.ts");
      await runMirror(flags);
    });
}

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
