// The command line of `cairn`: its commands, their flags and their words. Each command's module is
// loaded when it is called, so that `cairn --help` need not read gRPC. Owns no behaviour.

import { Command, Option } from "commander";

import { addBackup, addRestore } from "./backup-commands.ts";
import { addKeys } from "./keys-commands.ts";
import { addLog, addMirror } from "./log-commands.ts";
import { SETTINGS } from "./settings.ts";
import { addTalk } from "./talk-commands.ts";

/** What this process is, for the commands that start others like it. */
export interface Program {
  readonly version: string;
  /** The compiled src/main.ts. */
  readonly mainFile: string;
}

const EXIT_CODES =
  "Exit codes: 0 done, 1 failed, 64 wrong flags or configuration, 130 interrupted.";

export function createProgram(program: Program): Command {
  const root = new Command("cairn")
    .description("A replicated commit log whose consensus you can replay.")
    .version(program.version, "-V, --version", "print the version")
    .enablePositionalOptions()
    .exitOverride()
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, "cairn: ")),
    })
    .showHelpAfterError("(add --help for what there is)")
    .addHelpText(
      "after",
      `
Example:
  npx cairn dev                    # three nodes on this machine, until Ctrl-C
  npx cairn produce < README.md    # in another terminal
  npx cairn consume --follow

${EXIT_CODES}`,
    );
  addAgent(root, program);
  addClusters(root, program);
  addProduce(root);
  addConsume(root);
  addTail(root);
  addMembers(root);
  addStatus(root);
  addTop(root);
  addLeave(root);
  addRtt(root);
  addTalk(root, withCluster);
  addKeys(root, withCluster);
  addAdmin(root);
  addCerts(root);
  addAcl(root);
  addLog(root);
  addBackup(root, program.version, withCluster);
  addRestore(root);
  addRecover(root);
  addMirror(root);
  addBench(root);
  addSim(root, program);
  root
    .command("version")
    .description("print the version of cairn and of Node.js")
    .option("--json", "one JSON object")
    .action(async ({ json }: { json?: boolean }) => {
      const { runVersion } = await import("./version.ts");
      await runVersion(program.version, json === true);
    });
  // A line for each command; groups tell what theirs take.
  return root.configureHelp({ subcommandTerm: (command) => command.name() });
}

function addAgent(root: Command, program: Program): void {
  const agent = root
    .command("agent")
    .summary("run one node")
    .description("Run one node. Flag > environment (CAIRN_DATA_DIR) > --config-file > default.")
    .addHelpText(
      "after",
      `
Example, one of three machines (all of it: docs/recipe-three-machines.md):
  cairn agent --node-name n1 --data-dir /var/lib/cairn --certs-dir certs \\
    --peers n1=10.0.0.1:8400,n2=10.0.0.2:8400,n3=10.0.0.3:8400

${EXIT_CODES}`,
    );
  for (const { name, argument, help } of SETTINGS.values()) {
    const flag = argument === "" ? `--${name} [true|false]` : `--${name} <${argument}>`;
    agent.addOption(new Option(flag, help));
  }
  agent.action(async () => {
    const flags: Record<string, unknown> = {};
    for (const option of agent.options) {
      const value: unknown = agent.getOptionValue(option.attributeName());
      if (value !== undefined) flags[option.long?.slice(2) ?? ""] = value;
    }
    const { runAgent } = await import("./agent.ts");
    await runAgent(flags, program.version);
  });
}

function addClusters(root: Command, program: Program): void {
  root
    .command("dev")
    .summary("run three nodes on this machine until Ctrl-C")
    .description("Run three nodes on this machine until Ctrl-C, data and profile in .cairn/.")
    .option("--dir <DIR>", "where .cairn/ is", ".")
    .option("--fresh", "begin with an empty log")
    .option("--json", "one JSON object once the nodes are up")
    .addHelpText("after", "\nExample:\n  npx cairn dev --fresh")
    .action(async (flags) => {
      const { runDev } = await import("./dev.ts");
      await runDev(flags, program.mainFile);
    });
  root
    .command("demo")
    .summary("kill a leader, prove that nothing was lost")
    .description(
      "Kill a leader in the middle of a text, then prove that nothing was lost or doubled.",
    )
    .option("--file <FILE>", "the text [one of 10,000 lines or more in node_modules]")
    .option("--keep", "leave the data and the logs in the temporary folder")
    .option("--json", "one JSON object a line")
    .addHelpText("after", "\nExample:\n  npm run demo")
    .action(async (flags) => {
      const { runDemo } = await import("./demo.ts");
      await runDemo(flags, program.mainFile);
    });
}

/** How a client command finds its cluster and who it is. */
function withCluster(command: Command): Command {
  return command
    .option("--profile <FILE>", "cluster and certificates [.cairn/profile.yaml, upward]")
    .option("--addr <LIST>", "members to ask instead: host:port,host:port,...")
    .option("--as <SUBJECT>", "whose certificate of the profile [root]")
    .option("--certs-dir <DIR>", "has ca.pem, SUBJECT-client.pem and its key")
    .option("--tls-ca-file <FILE>", "who signed the members' certificates, PEM")
    .option("--tls-cert-file <FILE>", "this client's certificate, PEM")
    .option("--tls-key-file <FILE>", "its key, PEM");
}

function addProduce(root: Command): void {
  withCluster(
    root
      .command("produce")
      .summary("append standard input, a record a line")
      .description("Append standard input to the log, a record a line, each exactly once.")
      .option("--json", "one JSON object at the end"),
  )
    .addHelpText(
      "after",
      `
A record is a line without its newline; blank lines are records too. A last line
without a newline is marked (header cairn-line-end: none), so that consume gives
back the same bytes. Retries never double a line. Up to 1 MiB a line.

Example:
  npx cairn produce < access.log`,
    )
    .action(async (flags) => {
      const { runProduce } = await import("./produce.ts");
      await runProduce(flags);
    });
}

function addConsume(root: Command): void {
  withCluster(
    root
      .command("consume")
      .summary("write records to standard output")
      .description("Write records to standard output, a line each; stops at the end of the log.")
      .option("--from <OFFSET>", "first offset, or `end`", "0")
      .option("--count <N>", "stop after N records, and wait for them")
      .option("--follow", "wait for more until Ctrl-C")
      .option("--json", 'one object a line: {"offset":0,"value":"..."}'),
  )
    .addHelpText(
      "after",
      `
A newline follows each value, except where produce marked that its line had
none: the output has the bytes that were produced. What is no UTF-8 is "base64"
in JSON.

Example:
  npx cairn consume --from 0 --count 100 | diff - access.log`,
    )
    .action(async (flags) => {
      const { runConsume } = await import("./consume.ts");
      await runConsume(flags);
    });
}

function addTail(root: Command): void {
  withCluster(
    root
      .command("tail")
      .summary("write the last records to standard output")
      .description("Write the last records to standard output, a line each.")
      .option("-n, --last <N>", "so many", "10")
      .option("-f, --follow", "wait for more until Ctrl-C")
      .option("--json", 'one object a line: {"offset":0,"value":"..."}'),
  )
    .addHelpText("after", "\nExample:\n  npx cairn tail -n 3 -f")
    .action(async (flags) => {
      const { runConsume } = await import("./consume.ts");
      await runConsume({ from: "end", ...flags });
    });
}

function addStatus(root: Command): void {
  withCluster(
    root
      .command("status")
      .summary("show what each member is and how far its log goes")
      .description("Show what each member says of itself: role, term, log, disk.")
      .option("--json", "one JSON object a member"),
  )
    .addHelpText(
      "after",
      `
Exit code 1 when a member does not answer or does not serve.

Example:
  npx cairn status`,
    )
    .action(async (flags) => {
      const { runStatus } = await import("./status.ts");
      await runStatus(flags);
    });
}

function addTop(root: Command): void {
  withCluster(
    root
      .command("top")
      .summary("watch the whole cluster on one screen")
      .description("Watch the whole cluster on one screen, anew each second; q quits.")
      .option("--json", "one JSON object a second instead"),
  )
    .addHelpText("after", "\nExample:\n  npx cairn top")
    .action(async (flags) => (await import("./top.ts")).runTop(flags));
}

function addLeave(root: Command): void {
  withCluster(
    root
      .command("leave <NAME>")
      .summary("remove a member, let it say good-bye and stop")
      .description("Remove a member that gossips, then let it say good-bye and stop.")
      .option("--json", "one JSON object"),
  )
    .addHelpText("after", "\nExample:\n  npx cairn leave n4")
    .action(async (name, flags) => (await import("./leave.ts")).runLeave(name, flags));
  withCluster(
    root
      .command("force-leave <NAME>")
      .summary("declare a failed member gone and remove it")
      .description("Declare a member that gossip lists as failed gone, and remove it.")
      .option("--prune", "forget it, too")
      .option("--json", "one JSON object"),
  )
    .addHelpText("after", "\nExample:\n  npx cairn force-leave n4")
    .action(async (name, flags) => (await import("./leave.ts")).runForceLeave(name, flags));
}

function addRtt(root: Command): void {
  withCluster(
    root
      .command("rtt <NODE> [NODE]")
      .summary("estimate the round trip between two members")
      .description(
        "Estimate the round trip between two members, or to one from the member that is asked," +
          " by the network coordinates that gossip keeps.",
      )
      .option("--json", "one JSON object"),
  )
    .addHelpText("after", "\nExample:\n  npx cairn rtt n1 n3")
    .action(async (one, other, flags) => (await import("./rtt.ts")).runRtt(one, other, flags));
}

function addAdmin(root: Command): void {
  const admin = root
    .command("admin")
    .summary("change the cluster as a whole")
    .description("Change the cluster as a whole; each act needs the action `admin`.");
  addMembershipActs(admin);
  withCluster(
    admin
      .command("trim <BEFORE>")
      .summary("take away older records")
      .description("Take the records before the offset BEFORE away from every reader.")
      .option("--json", "one JSON object"),
  )
    .addHelpText("after", "\nExample:\n  npx cairn admin trim 100000")
    .action(async (before, flags) => (await import("./admin.ts")).runTrim(before, flags));
}

/** One act of `cairn admin` that changes who the members are, or who leads. */
function act(admin: Command, usage: string, what: string, example: string): Command {
  const brief = `${what.charAt(0).toLowerCase()}${what.slice(1).replace(/[.;].*$/, "")}`;
  return withCluster(
    admin.command(usage).summary(brief).description(what).option("--json", "one JSON object"),
  ).addHelpText("after", `\nExample:\n  npx cairn admin ${example}`);
}

const ACTS_BY_NAME = {
  remove: "Remove a member.",
  promote: "Make a learner vote.",
  demote: "Make a voter a learner.",
} as const;

function addMembershipActs(admin: Command): void {
  const module = () => import("./admin.ts");
  const added = "Add a member; waits until it has caught up.";
  act(admin, "add <NAME> <ADDRESS>", added, "add n4 10.0.0.4:8400")
    .option("--learner", "it receives the log and does not vote")
    .action(async (name, address, flags) => (await module()).runAdd(name, address, flags));
  for (const [kind, what] of Object.entries(ACTS_BY_NAME)) {
    act(admin, `${kind} <NAME>`, what, `${kind} n4`).action(async (name, flags) =>
      (await module()).runByName(kind as keyof typeof ACTS_BY_NAME, name, flags),
    );
  }
  const replaced = "Replace a member by another; the same name for one that was wiped.";
  const example = "replace n3 n3 10.0.0.3:8400";
  act(admin, "replace <NAME> <WITH> <ADDRESS>", replaced, example).action(
    async (name, withName, address, flags) =>
      (await module()).runReplace([name, withName, address], flags),
  );
  act(admin, "transfer [NAME]", "Make another voter lead.", "transfer n2").action(
    async (name, flags) => (await module()).runTransfer(name, flags),
  );
}

function addMembers(root: Command): void {
  withCluster(
    root
      .command("members")
      .summary("list the members: who leads, and who answers")
      .description(
        "List the members: who leads, who votes, who is behind, what gossip says of each\n" +
          "and who answers; and who is in gossip only. Tags stand below a member.",
      )
      .option("--json", "one JSON object a line")
      .option("--watch", "again each second; in a pipe, a JSON object for each change"),
  )
    .addHelpText("after", "\nExample:\n  npx cairn members --watch")
    .action(async (flags) => {
      const { runMembers } = await import("./members.ts");
      await runMembers(flags);
    });
}

function addCerts(root: Command): void {
  const certs = root
    .command("certs")
    .summary("make certificates, show how long they are valid")
    .description("Make certificates (authority, nodes, clients), show how long they are valid.");
  const common = (command: Command, json = "the file names as one JSON object") =>
    command.option("--dir <DIR>", "where the PEM files are", "certs").option("--json", json);
  common(
    certs
      .command("init")
      .description("Make a certificate authority: ca.pem, ca-key.pem.")
      .summary("make ca.pem and ca-key.pem"),
  )
    .option("--name <NAME>", "its common name", "Cairn CA")
    .addHelpText("after", "\nExample:\n  cairn certs init --dir certs")
    .action(async (flags) => (await import("./certs-command.ts")).runCertsInit(flags));
  addNodeCerts(certs, common);
  addIssued(common(certs.command("client <SUBJECT>")), {
    what: "Make SUBJECT-client.pem for a client.",
    brief: "make SUBJECT-client.pem and its key",
    example: "cairn certs client root",
  }).action(async (subject, flags) =>
    (await import("./certs-command.ts")).runCertsClient(subject, flags),
  );
  common(certs.command("show [FILES...]"), "one JSON object a certificate")
    .summary("list certificates, and warn of those that end soon")
    .description("List certificates and their ends; exit code 1 when one ends soon or has ended.")
    .option("--within <DAYS>", "how soon is soon [30, at most a third of its life]")
    .addHelpText("after", "\nExample:\n  cairn certs show --dir certs --within 14")
    .action(async (files, flags) =>
      (await import("./certs-command.ts")).runCertsShow(files, flags),
    );
}

interface IssuedWords {
  readonly what: string;
  readonly brief: string;
  readonly example: string;
}

function addIssued(command: Command, { what, brief, example }: IssuedWords): Command {
  return command
    .description(what)
    .summary(brief)
    .option("--days <N>", "valid this long [365]")
    .option("--renew", "in place of the one that is there; agents take it into use")
    .addHelpText("after", `\nExample:\n  ${example}`);
}

function addNodeCerts(certs: Command, common: (command: Command) => Command): void {
  const hosts = ["--host <HOST...>", "names and addresses under which it is dialed"] as const;
  addIssued(common(certs.command("node <NAME>")), {
    what: "Make NAME.pem: server to clients, peer to peers.",
    brief: "make NAME.pem and its key, for clients and peers",
    example: "cairn certs node n1 --host 10.0.0.1 --host n1.example.org",
  })
    .requiredOption(...hosts)
    .action(async (name, flags) => (await import("./certs-command.ts")).runCertsNode(name, flags));
  addIssued(common(certs.command("server <NAME>")), {
    what: "Make NAME-server.pem: server to clients, nothing to peers.",
    brief: "make NAME-server.pem and its key, for clients only",
    example: "cairn certs server n1 --host 10.0.0.1",
  })
    .requiredOption(...hosts)
    .action(async (name, flags) =>
      (await import("./certs-command.ts")).runCertsServer(name, flags),
    );
  addIssued(common(certs.command("peer <NAME>")), {
    what: "Make NAME-peer.pem: peer to peers, no server to clients.",
    brief: "make NAME-peer.pem and its key, for peers only",
    example: "cairn certs peer n1",
  }).action(async (name, flags) => (await import("./certs-command.ts")).runCertsPeer(name, flags));
}

function addAcl(root: Command): void {
  const acl = root
    .command("acl")
    .summary("write access rules, and ask them who may do what")
    .description("Write access rules to begin with, and ask them who may do what.");
  acl
    .command("init")
    .summary("write model.conf, policy.csv")
    .description("Write model.conf and policy.csv, with comments; what exists is not replaced.")
    .option("--dir <DIR>", "where", ".")
    .option("--json", "the file names as one JSON object")
    .addHelpText("after", "\nExample:\n  cairn acl init --dir /etc/cairn")
    .action(async (flags) => (await import("./acl-command.ts")).runAclInit(flags));
  acl
    .command("test <SUBJECT> <ACTION> [OBJECT]")
    .summary("may SUBJECT, by which rule")
    .description("Say whether SUBJECT may do ACTION to OBJECT [*], and which rule says so.")
    .option("--acl-model-file <FILE>", "as the agent's [the built-in model]")
    .option("--acl-policy-file <FILE>", "as the agent's [the built-in policy]")
    .option("--json", "one JSON object")
    .addHelpText(
      "after",
      `
Exit codes: 0 allowed, 1 denied, 64 wrong flags or rules.

Example:
  cairn acl test ann produce --acl-policy-file policy.csv`,
    )
    .action(async (subject, action, object, flags) =>
      (await import("./acl-command.ts")).runAclTest([subject, action, object], flags),
    );
}

function addBench(root: Command): void {
  const bench = root
    .command("bench")
    .summary("measure how fast a running cluster is, from here")
    .description("Measure how fast a running cluster takes records and gives them back.");
  const common = (command: Command) =>
    withCluster(command)
      .option("--seconds <N>", "for so long", "5")
      .option("--clients <N>", "so many clients at once, each with connections of its own", "4")
      .option("--json", "one JSON object");
  common(
    bench
      .command("append")
      .summary("append random records, which stay in the log")
      .description("Append random records, which stay in the log; each append waits for the last.")
      .option("--size <BYTES>", "of each record's value", "256")
      .option("--batch <N>", "records an append", "64")
      .option("--yes", "append to a log that holds records, too"),
  )
    .addHelpText("after", "\nExample:\n  npx cairn bench append --clients 16 --batch 1")
    .action(async (flags) => (await import("./bench.ts")).runBenchAppend(flags));
  common(
    bench
      .command("read")
      .summary("read the whole log, again and again")
      .description("Read the whole log, again and again; each record is unpacked and checked."),
  )
    .addHelpText("after", "\nExample:\n  npx cairn bench read --seconds 10 --json")
    .action(async (flags) => (await import("./bench.ts")).runBenchRead(flags));
}

function addRecover(root: Command): void {
  root
    .command("recover <DIR...>")
    .summary("make a cluster of one of what is left")
    .description(
      "Make a cluster of one from the greatest log among the data directories that are left,\n" +
        "when a quorum is lost for good. They stay as they are; what may be lost is said first.",
    )
    .option("--into <DIR>", "where the new data directory is made [the chosen one's, -recovered]")
    .option("--yes", "without asking")
    .option("--json", "what was done, as one JSON object")
    .addHelpText(
      "after",
      `
Refused while the directories and whoever answers at the members' addresses are
a quorum: start those nodes instead. Read docs/recovery.md first.

Example:
  cairn recover /var/lib/cairn-n2`,
    )
    .action(async (directories, flags) =>
      (await import("./recover.ts")).runRecover(directories, flags),
    );
}

function addSim(root: Command, program: Program): void {
  root
    .command("sim")
    .summary("simulate clusters and their mishaps (cairn sim --help)")
    .description("Simulate clusters and their mishaps; its own flags follow (cairn sim --help).")
    .argument("[flags...]")
    .allowUnknownOption()
    .passThroughOptions()
    .helpOption(false)
    .action(async (flags: string[]) => {
      const { runSim } = await import("./sim.ts");
      await runSim(flags, program.mainFile);
    });
}
