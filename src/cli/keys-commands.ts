// The words of `cairn keys`: its commands on the keys of encrypted gossip, and their flags. Owns no
// behaviour.

import type { Command } from "commander";

const ACTS = {
  install: ["<KEY>", "Let every member open what is sealed with a key."],
  use: ["<KEY>", "Let every member seal with a key that is installed."],
  remove: ["<KEY>", "Let every member forget a key that is not in use."],
} as const;

const ROTATION = `
Example, a rotation:
  NEW=$(npx cairn keys generate)
  npx cairn keys install $NEW
  npx cairn keys use $NEW
  npx cairn keys remove $OLD`;

export function addKeys(root: Command, withCluster: (command: Command) => Command): void {
  const keys = root
    .command("keys")
    .summary("list and rotate the keys of encrypted gossip")
    .description("List and rotate the keys of encrypted gossip; each needs the action `admin`.")
    .addHelpText("after", ROTATION);
  keys
    .command("generate")
    .description("Print a new key of 32 bytes.")
    .option("--json", "one JSON object")
    .addHelpText("after", "\nExample:\n  npx cairn keys generate")
    .action(async (flags) => (await import("./keys.ts")).runGenerate(flags));
  withCluster(
    keys
      .command("list")
      .description("List the keys: on how many members each is, and seals.")
      .option("--json", "one JSON object a member"),
  )
    .addHelpText("after", "\nExample:\n  npx cairn keys list")
    .action(async (flags) => (await import("./keys.ts")).runKeys("list", "", flags));
  for (const [act, [argument, description]] of Object.entries(ACTS)) {
    const named = act as keyof typeof ACTS;
    withCluster(
      keys
        .command(`${act} ${argument}`)
        .description(description)
        .option("--json", "one JSON object a member"),
    )
      .addHelpText("after", ROTATION)
      .action(async (key, flags) => (await import("./keys.ts")).runKeys(named, key, flags));
  }
}
