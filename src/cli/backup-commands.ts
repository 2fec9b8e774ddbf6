// The words of `cairn backup` and `cairn restore`. Owns no behaviour.

import type { Command } from "commander";

export function addBackup(
  root: Command,
  version: string,
  withCluster: (command: Command) => Command,
): void {
  const backup = root
    .command("backup")
    .summary("copy a running node's log to a directory or a stream")
    .description("Copy a running node's log, verified, to a directory or as a tar stream.");
  withCluster(backup)
    .option("--to <PATH>", "a new directory, or - for a tar stream on standard output")
    .option("--rate <BYTES>", "a second at most, such as 20M [as fast as it goes]")
    .option("--json", "what it is, as one JSON object")
    .addHelpText(
      "after",
      `
Any member does it, one at a time; the rest of the cluster goes on. All that was
acknowledged before is in it. Needs the right admin. Read docs/operations.md.

Example:
  cairn backup --to backup-monday
  cairn backup --to - | ssh vault 'cat > monday.tar'`,
    )
    .action(async (flags) => {
      const { runBackup } = await import("./backup.ts");
      await runBackup(flags, version);
    });
  backup
    .command("verify <PATH>")
    .description("Read a backup, a directory, a tar file or -, and check every byte of it.")
    .option("--json", "one object")
    .addHelpText("after", "\nExample:\n  cairn backup verify backup-monday")
    .action(async (from, _flags, command: Command) => {
      const { runVerifyBackup } = await import("./restore.ts");
      await runVerifyBackup(from, command.optsWithGlobals());
    });
}

export function addRestore(root: Command): void {
  root
    .command("restore <BACKUP> <DIR>")
    .summary("make a new cluster of a backup")
    .description(
      "Make a data directory of a backup, a directory, a tar file or -: a cluster of one with an\n" +
        "id of its own. Every byte is checked; DIR has its name only once all was found whole.",
    )
    .option("--node-name <NAME>", "the node's [as in the backup; needed for a tar stream]")
    .option("--address <HOST:PORT>", "where it will serve the others [as in the backup]")
    .option("--json", "what was done, as one JSON object")
    .addHelpText(
      "after",
      `
Example:
  cairn restore backup-monday /var/lib/cairn
  ssh vault 'cat monday.tar' | cairn restore - /var/lib/cairn --node-name n1`,
    )
    .action(async (from, directory, flags) => {
      const { runRestore } = await import("./restore.ts");
      await runRestore(from, directory, flags);
    });
}
