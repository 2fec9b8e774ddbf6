// Conversations as golden text: an event a line, then what was decided. Scripts (script.ts has
// their language) are played with what happened under each of their lines. Read the diff before
// updating it with `npx vitest run test/raft/transcripts -u`: each changed line is a changed
// protocol. docs/raft.md says which of etcd's 28 conversations each script is.
import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { Cluster, type ClusterNode } from "./cluster.ts";
import { playScript } from "./script.ts";

const SCRIPTS = path.join(import.meta.dirname, "scripts");

describe("the script", () => {
  test.each(readdirSync(SCRIPTS).sort())("%s has this transcript", async (name) => {
    const told = playScript(readFileSync(path.join(SCRIPTS, name), "utf8"));
    await expect(told).toMatchFileSnapshot(path.join("transcripts", name));
  });

  test("is one of etcd's conversations, all of which there are, or named beside them", () => {
    const page = readFileSync(path.join(import.meta.dirname, "../../docs/raft.md"), "utf8");
    const [, section = ""] = page.split("## Conversations\n");
    const [conversations = ""] = section.split("\n## ");
    const rows = [...conversations.matchAll(/^\| \w+ \| `(\S+)` \|/gm)].map(([, ours]) => ours);
    expect(new Set(rows).size).toBe(28);
    const named = [...conversations.matchAll(/`([a-z-]+)`/g)].map(([, name]) => `${name}.txt`);
    expect(readdirSync(SCRIPTS).sort()).toEqual([...new Set(named)].sort());
  });

  test("with a command that is not known is refused", () => {
    expect(() => playScript("nodes 1\nfrobnicate n1")).toThrow("no command: frobnicate n1");
  });
});

/** Runs the cluster until it has a leader whose log is everywhere, without writing it down. */
function converged(voters: number): { cluster: Cluster; leader: ClusterNode } {
  const cluster = new Cluster(voters);
  expect(cluster.settle(() => cluster.hasConverged())).toBe(true);
  const leader = cluster.leader();
  if (leader === null) throw new Error("no leader");
  cluster.story = [];
  return { cluster, leader };
}

function storyOf(cluster: Cluster): string {
  return `${(cluster.story ?? []).join("\n")}\n`;
}

test("three servers elect a leader and commit its first entry", async () => {
  const cluster = new Cluster(3);
  cluster.story = [];
  expect(cluster.settle(() => cluster.hasConverged())).toBe(true);
  await expect(storyOf(cluster)).toMatchFileSnapshot("transcripts/election.txt");
});

test("two proposals of one turn and a read are one write, one append and one round", async () => {
  const { cluster, leader } = converged(3);
  cluster.propose(leader);
  cluster.propose(leader);
  cluster.read(leader);
  expect(cluster.settle(() => cluster.hasConverged())).toBe(true);
  await expect(storyOf(cluster)).toMatchFileSnapshot("transcripts/proposals-and-read.txt");
});

test("a leader cut off is replaced, and its entry gives way when it returns", async () => {
  const { cluster, leader } = converged(3);
  cluster.cut([leader.name]);
  cluster.propose(leader);
  cluster.take(leader);
  cluster.writeDurably(leader);
  cluster.take(leader);
  const others = cluster.nodes.filter((node) => node !== leader);
  const isReplaced = () => others.some(({ raft }) => raft.role === "leader");
  for (let turns = 0; turns < 200 && !isReplaced(); turns++) {
    for (const node of cluster.nodes) cluster.take(node);
    for (const node of cluster.nodes) cluster.writeDurably(node);
    for (const node of cluster.nodes) cluster.take(node);
    if (cluster.mail.length > 0) cluster.deliverAll();
    else cluster.passTime(cluster.nextInTime());
  }
  expect(cluster.settle(() => cluster.hasConverged())).toBe(true);
  expect(cluster.seen).toMatchObject({ truncations: 1, unknown: 1 });
  await expect(storyOf(cluster)).toMatchFileSnapshot("transcripts/cut-off-leader.txt");
});
