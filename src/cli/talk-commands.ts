// The words of `cairn event`, `cairn query` and `cairn reachability`, and their flags. Owns no
// behaviour.

import type { Command } from "commander";

const collect = (value: string, before: readonly string[]): readonly string[] => [...before, value];

export function addTalk(root: Command, withCluster: (command: Command) => Command): void {
  addEvent(root, withCluster);
  addQuery(root, withCluster);
  withCluster(
    root
      .command("reachability")
      .summary("see whether packets of gossip come to each member and back")
      .description(
        "Ping all members by a query of gossip, and tell whose ack is missing or too many.\n" +
          "Needs the action `admin`.",
      )
      .option("--json", "one JSON object"),
  )
    .addHelpText("after", "\nExample:\n  npx cairn reachability")
    .action(async (flags) => (await import("./reachability.ts")).runReachability(flags));
}

function addEvent(root: Command, withCluster: (command: Command) => Command): void {
  withCluster(
    root
      .command("event [NAME] [PAYLOAD]")
      .summary("tell all that gossip that something happened")
      .description(
        "Tell all that gossip that something happened, about 500 bytes of it: stock Serf agents\n" +
          "may act on it, members of ours write it to their logs. Needs the action `admin`;\n" +
          "--watch shows what one member hears instead, and needs `describe`.",
      )
      .option("--no-coalesce", "tell each, not the last of its name within a few seconds")
      .option("--watch", "show the events and queries that a member hears, until Ctrl-C")
      .option("--json", "one JSON object; with --watch one for each that is heard"),
  )
    .addHelpText("after", "\nExample:\n  npx cairn event deploy v1.2.3")
    .action(async (name, payload, flags) =>
      (await import("./event.ts")).runEvent(name, payload, flags),
    );
}

function addQuery(root: Command, withCluster: (command: Command) => Command): void {
  withCluster(
    root
      .command("query <NAME> [PAYLOAD]")
      .summary("ask members by gossip, and show their answers")
      .description(
        "Ask all that gossip, and show who got it and what they answer as it comes. Members of\n" +
          "ours answer cairn:version and cairn:status. Needs the action `admin`.",
      )
      .option("--node <NAME>", "only a member of this name; may be repeated", collect, [])
      .option(
        "--tag <NAME=REGEX>",
        "only members in whose tag a regular expression (RE2) is found; may be repeated",
        collect,
        [],
      )
      .option("--timeout <SECONDS>", "how long answers are waited for")
      .option("--no-ack", "do not ask for acks")
      .option("--relay-factor <N>", "send each answer through N others besides")
      .option("--json", "one JSON object for each ack and answer, and for the sums"),
  )
    .addHelpText("after", "\nExample:\n  npx cairn query cairn:version --tag stage=member")
    .action(async (name, payload, flags) =>
      (await import("./query.ts")).runQuery(name, payload, flags),
    );
}
