// One member of a replicated key-value store: createNode with a machine of our own, and a line
// protocol on standard input and output. Run three of them, each with its own NAME and directory:
//
//   node dist/examples/key-value/server.js n1 127.0.0.1:8401 \
//     n1=127.0.0.1:8401,n2=127.0.0.1:8402,n3=127.0.0.1:8403 data/n1
//
//   set K V | delete K | get K | dump | leader       answers: ok | VALUE | (none) | error ...

import { createInterface } from "node:readline";
import { createNode } from "cairnlog/node";

import { type Command, encodeCommand, KeyValueMachine } from "./machine.ts";

const [name = "", address = "", list = "", dataDir = ""] = process.argv.slice(2);
if (dataDir === "") {
  console.error("usage: server.js NAME HOST:PORT NAME=HOST:PORT,... DIRECTORY");
  process.exit(64);
}
const peers = Object.fromEntries(list.split(",").map((peer) => peer.split("="))) as Record<
  string,
  string
>;
const machine = new KeyValueMachine();
const node = await createNode({
  name,
  address,
  peers,
  dataDir,
  machine,
  electionTimeoutMs: Number(process.env["ELECTION_TIMEOUT_MS"] ?? 1000),
});
console.log("ready");

/** Resolves once a majority has the command on disk. */
async function write(command: Command): Promise<string> {
  await node.append([{ value: encodeCommand(command) }]);
  return "ok";
}

/** Sees whatever was acknowledged before it was asked for, by any member. */
async function get(key: string): Promise<string> {
  await node.linearizable();
  return machine.get(key) ?? "(none)";
}

async function answer(line: string): Promise<string> {
  const [verb, key = "", ...rest] = line.trim().split(" ");
  if (verb === "set") return write({ set: key, to: rest.join(" ") });
  if (verb === "delete") return write({ delete: key });
  if (verb === "get") return get(key);
  if (verb === "dump") {
    await node.linearizable();
    return machine.describe();
  }
  if (verb === "leader") return node.status().leader ?? "(none)";
  return "error: expected set K V, delete K, get K, dump or leader";
}

void node.stopped.then((how) => {
  if (how.kind === "clean") return;
  console.error(how.why);
  process.exit(1);
});
// One after another: an answer a line, in the order of the lines. The end of input ends the node.
for await (const line of createInterface({ input: process.stdin })) {
  const said = await answer(line).catch((error: unknown) => `error: ${String(error)}`);
  console.log(said);
}
await node.stop();
