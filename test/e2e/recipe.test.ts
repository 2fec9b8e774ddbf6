// The README's recipe for three machines, run as written, with loopback addresses for theirs.

import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { expect, test } from "vitest";

import { findFreePorts } from "../../src/cli/ports.ts";
import { mainFile, Running, repository, shell, useFolder, useProgram } from "./program.ts";

useProgram();
const folder = useFolder();
/** The lines of a page's shell blocks that run the installed program. */
function commandsOf(...page: string[]): string[] {
  const text = readFileSync(path.join(repository, ...page), "utf8");
  const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].map((match) => match[1] ?? "");
  return blocks
    .join("")
    .split("\n")
    .filter((line) => line.startsWith("npx cairnlog "));
}

test("the longer page has the README's certificates and agents", () => {
  const setUp = (line: string) => / (certs|agent) /.test(line.slice(0, 20));
  const inReadme = commandsOf("README.md").filter(setUp);
  expect(inReadme).toHaveLength(8);
  expect(commandsOf("docs", "recipe-three-machines.md").filter(setUp)).toEqual(inReadme);
});

test("the README's recipe for three machines works as written", async () => {
  const text = "one\n\nthree, without a newline";
  writeFileSync(path.join(folder, "FILE"), text);
  const [port = 0] = await findFreePorts(1, "127.0.0.2");
  const local = (line: string) =>
    line
      .replaceAll("10.0.0.", "127.0.0.")
      .replaceAll(":8400", `:${port}`)
      // Without a shell in between, signals reach the agent.
      .replace(/^npx cairnlog (agent )?/, (_all, agent = "") => {
        return `${agent === "" ? "" : "exec "}${process.execPath} ${mainFile} ${agent}`;
      })
      .replace("--count N", "--count 3");
  const lines = commandsOf("README.md");
  const isAgent = (line: string) => line.startsWith("npx cairnlog agent ");
  expect(lines.filter(isAgent)).toHaveLength(3);
  const certificates = lines.filter((line) => line.startsWith("npx cairnlog certs "));
  for (const line of certificates) {
    expect(await shell(local(line), { cwd: folder }), line).toMatchObject({ code: 0 });
  }
  const agents = lines.filter(isAgent).map((line) => {
    return new Running("sh", ["-c", local(line)], { cwd: folder });
  });
  await Promise.all(agents.map((agent) => agent.says(/"msg":"serving"/)));
  const rest = lines.filter((line) => !isAgent(line) && !certificates.includes(line));
  expect(rest.map((line) => line.split(" ")[2])).toEqual(["members", "produce", "consume"]);
  for (const line of rest) {
    const { code, stdout, stderr } = await shell(local(line), { cwd: folder });
    expect(code, `${line}: ${stderr}`).toBe(0);
    if (line.includes("diff")) expect(stdout).toBe("");
    if (line.includes("members")) expect(stdout.match(/127\.0\.0\.[123]:/g)).toHaveLength(3);
  }
  for (const agent of agents) agent.child.kill("SIGTERM");
  for (const agent of agents) expect(await agent.ended).toMatchObject({ code: 0 });
});
