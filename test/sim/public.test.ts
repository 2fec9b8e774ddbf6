// Everything that `cairnlog/sim` exports has words where it is declared, and a place in
// docs/simulation.md, so that nobody has to guess.

import { readdirSync, readFileSync } from "node:fs";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";

const root = fileURLToPath(new URL("../../", import.meta.url));
const read = (file: string) => readFileSync(path.join(root, file), "utf8");

/** `export [type] { type A, b } from "./file.ts"` as names with their files. */
const exported = [...read("sim/sim.ts").matchAll(/export (?:type )?\{([^}]+)\} from "(.+)";/g)]
  .flatMap(([, names = "", from = ""]) => names.split(",").map((name) => [name, from] as const))
  .map(([name, from]) => [name.replace("type ", "").trim(), path.join("sim", from)] as const)
  .filter(([name]) => name !== "");

/** The lines from a name's row of words to its declaration. */
function wordsBefore(name: string, source: string): string {
  const declared = new RegExp(
    `^export (?:abstract )?(?:type|interface|class|function|const) ${name}\\b`,
    "m",
  );
  const before = source.slice(0, declared.exec(source)?.index ?? 0).trimEnd();
  return before.endsWith("*/") ? before.slice(before.lastIndexOf("/**")) : "";
}

const page = read("docs/simulation.md");
const section = page.slice(
  page.indexOf("## As a library"),
  page.indexOf("## What is not modelled"),
);

describe("cairnlog/sim", () => {
  test("exports what this test has found", () => {
    expect(exported.length).toBeGreaterThan(30);
    expect(exported.map(([name]) => name)).toContain("runPlan");
  });

  test.each(exported)("says what %s is, where it is declared", (name, file) => {
    expect(wordsBefore(name, read(file))).toMatch(/\/\*\*[\s\S]*\w+[\s\S]*\*\//);
  });

  test.each(exported)("has %s in its table", (name) => {
    expect(section).toContain(`\`${name}\``);
  });

  test("has nothing in its table that it does not export", () => {
    const rows = section.split("\n").filter((line) => /^\| `/.test(line));
    const named = rows.flatMap((row) => [...(row.split("|")[1] ?? "").matchAll(/`(\w+)`/g)]);
    const names = named.map((match) => match[1] ?? "").sort();
    expect(names).toEqual(exported.map(([name]) => name).sort());
  });

  test.each([
    "Reproduce",
    "Fuzz",
    "Read",
    "Shrink",
    "Add a mishap",
    "Add a checker",
    "As a library",
    "What is not modelled",
  ])("is told about under %s", (title) => {
    expect(page).toContain(`\n## ${title}\n`);
  });

  test("links only files that exist", () => {
    const links = [...page.matchAll(/\]\((\.\.\/[^)#]+|[a-z][^):#]*\.md)\)/g)];
    expect(links.length).toBeGreaterThan(10);
    for (const [, link = ""] of links) {
      const file = path.join(root, "docs", link);
      expect(readdirSync(path.dirname(file)), link).toContain(path.basename(file));
    }
  });
});
