// Keeps the tree tidy: runs every rule of tidy-rules.ts over the sources, and proves of each rule
// that it can fail and that it lets the good form pass.

import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { MUTANTS } from "../sim/mutants/catalogue.ts";
import { mutate } from "../sim/mutants/mutant.ts";
import {
  checkMachinePaths,
  checkTitle,
  type Finding,
  findUnreached,
  headerOf,
  resolveImport,
  rules,
} from "./tidy-rules.ts";
import { findFunctions, readSource } from "./tidy-source.ts";

const root = path.resolve(import.meta.dirname, "..");

/** What git tracks or would track, less what was just removed from the tree. */
function listFiles(): string[] {
  const listing = execFileSync("git", ["ls-files", "-co", "--exclude-standard", "-z"], {
    cwd: root,
    encoding: "utf8",
    maxBuffer: 64 << 20,
  });
  const names = [...new Set(listing.split("\0"))].filter((name) => name !== "");
  return names.filter((name) => existsSync(path.join(root, name))).sort();
}

const readText = (name: string): string => readFileSync(path.join(root, name), "utf8");

/** One line a finding, as editors and terminals open it. */
const describeFindings = (findings: readonly Finding[]): string[] =>
  findings.map(({ path: name, line, message }) => `${name}:${line}: ${message}`);

const files = listFiles();
const isSource = (name: string): boolean =>
  /^(?:src|sim|bench|examples|scripts|test)\/.*\.ts$/.test(name) &&
  !/(?:\/generated\/|\.gen\.ts$)/.test(name);
const sources = files.filter(isSource).map((name) => readSource(name, readText(name)));

describe("the tree", () => {
  for (const [claim, rule] of Object.entries(rules)) {
    test(claim, () => {
      expect(describeFindings(sources.flatMap(rule))).toEqual([]);
    });
  }

  // Before there is a composition root nothing can be reached from it.
  const isWhole =
    existsSync(path.join(root, "src/main.ts")) && existsSync(path.join(root, "sim/main.ts"));
  test.skipIf(!isWhole)("every source file is reached", () => {
    expect(describeFindings(findUnreached(sources))).toEqual([]);
  });

  test("every mutant finds its one place in the sources", () => {
    const stale = MUTANTS.flatMap((mutant) => {
      try {
        mutate(mutant, readText(mutant.file));
        return [];
      } catch (error) {
        return [(error as Error).message];
      }
    });
    expect(stale).toEqual([]);
  });

  test("every page has one title", () => {
    const pages = files.filter((name) => name.endsWith(".md") && !name.startsWith("test/"));
    const findings = pages.flatMap((name) => checkTitle(name, readText(name)));
    expect(describeFindings(findings)).toEqual([]);
  });

  test("no file names a path of one machine", () => {
    const texts = files
      .filter((name) => name !== "package-lock.json")
      .map((name) => [name, readText(name)] as const)
      .filter(([, text]) => !text.includes("\0"));
    const findings = texts.flatMap(([name, text]) => checkMachinePaths(name, text));
    expect(describeFindings(findings)).toEqual([]);
  });
});

/** What one rule finds in one text: the line numbers and messages. */
function findingsOf(rule: string, name: string, text: string): string[] {
  const check = rules[rule];
  if (check === undefined) {
    throw new Error(`there is no rule "${rule}"`);
  }
  return check(readSource(name, text)).map(({ line, message }) => `${line}: ${message}`);
}

interface Example {
  readonly rule: string;
  readonly path: string;
  readonly bad: readonly string[];
  readonly good: readonly string[];
}

const long = (lines: number): string => "  one();\n".repeat(lines);

/** For each rule: texts with exactly one finding, and texts with none. */
const examples: readonly Example[] = [
  {
    rule: "imports stay on their floor",
    path: "src/raft/raft.ts",
    bad: [
      'import { frame } from "../log/frame.ts";',
      'import type { Disk } from "../ports/disk.ts";',
      'import {\n  createNode,\n} from "../node/node.ts";',
      'const late = import("../gossip/gossip.ts");',
    ],
    good: ['import { assert } from "../base/assert.ts";', 'import type { Role } from "./role.ts";'],
  },
  {
    rule: "imports stay on their floor",
    path: "src/adapters/disk.ts",
    bad: [
      'import { createNode } from "../node/node.ts";',
      'import { client } from "../client/client.ts";',
    ],
    good: [
      'import { status } from "../service/status.ts";',
      'import type { Disk } from "../ports/disk.ts";',
    ],
  },
  {
    rule: "imports stay on their floor",
    path: "src/client/client.ts",
    bad: ['import { status } from "../service/status.ts";'],
    good: [
      'import { assert } from "../base/assert.ts";',
      'import { Client } from "@grpc/grpc-js";',
    ],
  },
  {
    rule: "imports stay on their floor",
    path: "src/cli/agent.ts",
    bad: ['import { table } from "../../bench/table.ts";'],
    good: [
      'import { disk } from "../adapters/disk.ts";',
      'import { runPlan } from "../../sim/sim.ts";',
    ],
  },
  {
    rule: "imports stay on their floor",
    path: "sim/world.ts",
    bad: [
      'import { disk } from "../src/adapters/disk.ts";',
      'import { Raft } from "../src/raft/raft.ts";',
      'import { type Role, Raft } from "../src/raft/raft.ts";',
    ],
    good: [
      'import { createNode } from "../src/node/node.ts";',
      'import type { Raft } from "../src/raft/raft.ts";',
      'import { type Raft, type Role } from "../src/raft/raft.ts";',
    ],
  },
  {
    rule: "packages and Node stay in the adapters",
    path: "src/log/log.ts",
    bad: [
      'import { open } from "node:fs/promises";',
      'import fs from "fs";',
      'import seedrandom from "seedrandom";',
    ],
    good: [
      'import { crc } from "../base/crc32c.ts";',
      '// import { open } from "node:fs";',
      'const from = "node:fs";',
    ],
  },
  {
    rule: "packages and Node stay in the adapters",
    path: "src/base/prng.ts",
    bad: ['import { z } from "zod";'],
    good: ['import seedrandom from "seedrandom";'],
  },
  {
    rule: "ports are interfaces only",
    path: "src/ports/disk.ts",
    bad: [
      "export const blockBytes = 512;",
      "export class Disk {}",
      'import { Instant } from "../base/ids.ts";',
    ],
    good: [
      "export interface Disk {\n  readonly function: string;\n}",
      'import type { A } from "../base/ids.ts";',
    ],
  },
  {
    rule: "the core is pure",
    path: "src/state/state.ts",
    bad: [
      "const later = async () => 1;",
      "let done: Promise<void>;",
      "const at = Date.now();",
      "setTimeout(step, 5);",
      "console.log(1);",
      "const a = Math.log(2);",
      "const { sin } = Math;",
      "const a = 2 ** 3;",
      "const r = Math.random();",
      "names.sort((a, b) => a.localeCompare(b));",
      `const text = \`$${"{process.pid}"}\`;`,
      "const b = Buffer.alloc(1);",
      "const half = total / 2; const e = process.env;",
    ],
    good: [
      "// await the Date, or a Promise",
      'const name = "process";',
      "const at = entry.process + this.log.Date;",
      "const least = Math.min(1, Math.trunc(2));",
      "const pattern = /async Promise/;",
      `const text = \`await $${"{name}"} Date\`;`,
      "/** x ** y */ const dateless = asyncness;",
    ],
  },
  {
    rule: "the simulator has no clock but its own",
    path: "sim/world.ts",
    bad: [
      "const at = performance.now();",
      "const r = Math.random();",
      "new Date();",
      "setImmediate(step);",
    ],
    good: ["const run = async () => 1;", "globalThis.Date = poisoned;", "// Date.now()"],
  },
  {
    rule: "the simulator has no clock but its own",
    path: "sim/main.ts",
    bad: [],
    good: ["const at = performance.now();"],
  },
  {
    rule: "forbidden forms",
    path: "src/cli/flags.ts",
    bad: [
      "const a = b as any;",
      "// @ts-ignore\nconst a = b;",
      "export default 1;",
      "export enum Role { A }",
      "const enum Role { A }",
      "test.only('x', run);",
      "describe.skip('x', run);",
    ],
    good: [
      "const any = 1;",
      "const say = 'as any enum Role';",
      "test.skipIf(x)('y', run);",
      "list.skip(1);",
    ],
  },
  {
    rule: "nothing is left over",
    path: "src/cli/flags.ts",
    bad: [`// ${"TO"}DO: later`, `const a = "${"FIX"}ME";`],
    good: ["const todo = 1;"],
  },
  {
    rule: "no barrel files",
    path: "src/raft/all.ts",
    bad: [
      'export * from "./raft.ts";',
      'export { Raft } from "./raft.ts";',
      'export type { A } from "./a.ts";',
    ],
    good: [
      "export const a = 1;",
      "const a = 1;\nexport { a };",
      'import { a } from "./a.ts";\nexport const b = a;',
    ],
  },
  { rule: "no barrel files", path: "src/raft/index.ts", bad: ["export const a = 1;"], good: [] },
  {
    rule: "no barrel files",
    path: "src/cairn.ts",
    bad: [],
    good: ['export { a } from "./client/client.ts";'],
  },
  {
    rule: "lines fit",
    path: "src/raft/raft.ts",
    bad: [
      `// ${"x".repeat(98)}`,
      `// it's ${"x".repeat(94)}`,
      `const fact = "${"x".repeat(130)}";`,
      `const fact = ${"x".repeat(98)};`,
    ],
    good: [
      `const fact = "${"x".repeat(120)}";`,
      `// ${"x".repeat(97)}`,
      `// ${"é".repeat(97)}`,
      `// https://example.org/${"x".repeat(98)}`,
    ],
  },
  {
    rule: "functions fit",
    path: "src/raft/raft.ts",
    bad: [
      `function step(a: number): void {\n${long(70)}}`,
      `const step = (a: number): void => {\n${long(70)}};`,
      `class A {\n  async #step<T>({ a }: { a: T }): Promise<Map<string, T>> {\n${long(70)}  }\n}`,
      `class A {\n  get size(): number {\n${long(70)}  }\n}`,
      `class A {\n  constructor(a: number) {\n${long(70)}  }\n}`,
    ],
    good: [
      `function step(a: number): void {\n${long(68)}}`,
      `class A {\n${"  step(): void {\n    one();\n  }\n".repeat(40)}}`,
      `export interface A {\n${"  b: number;\n".repeat(100)}}`,
      `const table = {\n${"  b: 1,\n".repeat(100)}};`,
      `function step() {\n  return \`${"{".repeat(9)}\`;\n}\n${long(90)}`,
    ],
  },
  {
    rule: "files fit",
    path: "src/raft/raft.ts",
    bad: [`// What.\n${long(600)}`],
    good: [`// What.\n${long(599)}`, `// What. Long because it is one table.\n${long(700)}`],
  },
  {
    rule: "files say what they own",
    path: "sim/world.ts",
    bad: ["const a = 1;", "#!/usr/bin/env node\nconst a = 1;", "\n// Late.\n"],
    good: ["// Owns a.\nconst a = 1;", "/** Owns a. */\n", "#!/usr/bin/env node\n// Owns a.\n"],
  },
  {
    rule: "names use the project's words",
    path: "src/raft/raft.ts",
    bad: [
      "export function handleVote() {}",
      "export const processAll = 1;",
      "export class PeerManager {}",
      "export async function doIt() {}",
      "export type ByteUtils = 1;",
      "const a = 1;\nexport { a as manageLog };",
      "export interface LogHelper {}",
    ],
    good: [
      "export const domain = 1;",
      "export class Document {}",
      "function handleVote() {}",
      "export const handled = 1;",
    ],
  },
  {
    rule: "names use the project's words",
    path: "src/raft/helpers.ts",
    bad: ["const a = 1;"],
    good: [],
  },
  {
    rule: "names use the project's words",
    path: "src/raft/voteCount.ts",
    bad: ["const a = 1;"],
    good: [],
  },
  {
    rule: "imports name the source",
    path: "src/raft/raft.ts",
    bad: ['import { a } from "./a.js";', 'import { a } from "./a";'],
    good: ['import { a } from "./a.ts";', 'import { z } from "zod";'],
  },
];

describe("the rules", () => {
  for (const { rule, path: name, bad, good } of examples) {
    test(`"${rule}" finds each bad form in ${name}, and no good one`, () => {
      for (const text of bad) {
        expect(findingsOf(rule, name, text), text).toHaveLength(1);
      }
      for (const text of good) {
        expect(findingsOf(rule, name, text), text).toEqual([]);
      }
    });
  }

  test("each has an example that fails", () => {
    const proven = examples.filter(({ bad }) => bad.length > 0).map(({ rule }) => rule);
    expect([...new Set(proven)].sort()).toEqual(Object.keys(rules).sort());
  });

  test("a finding names the line and the replacement", () => {
    const text = "// Owns.\n/* two\nlines */\nconst at =\n  Date.now();\n";
    expect(findingsOf("the core is pure", "src/raft/raft.ts", text)).toEqual([
      "5: `Date` is banned here: use the `now` of the step, or the entry's timestamp",
    ]);
  });

  test("a file that nothing reaches is found, also behind a circle of its own", () => {
    const tree = [
      readSource("src/main.ts", 'import { a } from "./cli/a.ts";'),
      readSource("src/cli/a.ts", ""),
      readSource("src/cli/lost.ts", 'import { b } from "./circle.ts";'),
      readSource("src/cli/circle.ts", 'import { c } from "./lost.ts";'),
      readSource("src/raft/tested.ts", ""),
      readSource("test/raft/tested.test.ts", 'import { t } from "../../src/raft/tested.ts";'),
    ];
    const lost = findUnreached(tree).map(({ path: name }) => name);
    expect(lost).toEqual(["src/cli/lost.ts", "src/cli/circle.ts"]);
  });

  test("a page with no title or two is found, and fenced lines do not count", () => {
    const shell = "```sh\n# not a title\n```\n";
    expect(checkTitle("README.md", `# Cairn\n${shell}## Use\n`)).toEqual([]);
    expect(checkTitle("README.md", shell)).toHaveLength(1);
    expect(checkTitle("README.md", "# One\n\n# Two\n")[0]?.line).toBe(3);
  });

  test("a path of one machine is found, and a path that only resembles one is not", () => {
    const bad = ["wo" + "rk/main", "ro" + "ot/.npm", "tmp/ba" + "sh_jobs"].map(
      (tail) => `cd /${tail}`,
    );
    for (const text of bad) {
      expect(checkMachinePaths("a.md", `fine\n${text}`), text).toHaveLength(1);
    }
    const good = [
      "https://example.org/wo" + "rk/x",
      "./ro" + "ot/x",
      "src/wo" + "rk/x",
      "a /workshop/x",
    ];
    for (const text of good) {
      expect(checkMachinePaths("a.md", text), text).toEqual([]);
    }
  });
});

describe("the reader", () => {
  const functionsOf = (text: string) =>
    findFunctions(readSource("a.ts", text)).map(({ name, lines }) => `${name} ${lines}`);

  test("tells functions from other braces", () => {
    expect(functionsOf("if (a) {\n} else {\n}\nfor (;;) {}\nswitch (a) {}\nclass A {}\n")).toEqual(
      [],
    );
    expect(functionsOf("function a(b = { c: 1 }) {\n  if (b) {\n  }\n}\n")).toEqual(["a 4"]);
    expect(functionsOf("const a = (): void => {\n};\n")).toEqual(["a 2"]);
  });

  test("tells a division from a regular expression", () => {
    const { code } = readSource(
      "a.ts",
      "const a = b / c; // d\nconst e = /[/{]/g.test(f) ? (g) / 2 : 3;",
    );
    expect(code).toContain("const a = b / c;");
    expect(code).toContain(".test(f) ? (g) / 2 : 3;");
    expect(code).not.toContain("{");
  });

  test("keeps every line and column, also through nested templates", () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a source text that holds templates
    const templates = "const a = `x ${b(`y ${c} // z`)} \\` Date\n`; // end\n";
    const text = `${templates}const d = '\\'';\n`;
    const { code, comments } = readSource("a.ts", text);
    expect(code).toHaveLength(text.length);
    expect(code.split("\n")).toHaveLength(4);
    expect(code).toContain("b(`");
    expect(code).not.toContain("Date");
    expect(comments.trim()).toBe("// end");
  });

  test("reads each form of import", () => {
    const text = [
      'import a, { b } from "./a.ts";',
      'import type { C } from "./c.ts";',
      'import "./side.ts";',
      'export type { D } from "./d.ts";',
      'const e = await import("./e.ts");',
      'const f = Array.from("./not.ts");',
      "import {\n  // why\n  type G,\n} from './g.ts';",
    ].join("\n");
    const { imports } = readSource("a.ts", text);
    const said = imports.map(({ specifier, line, isTypeOnly, isReexport }) =>
      [specifier, line, isTypeOnly ? "type" : "value", isReexport ? "out" : "in"].join(" "),
    );
    expect(said).toEqual([
      "./a.ts 1 value in",
      "./c.ts 2 type in",
      "./side.ts 3 value in",
      "./d.ts 4 type out",
      "./e.ts 5 value in",
      "./g.ts 10 type in",
    ]);
  });

  test("finds the header and the file an import means", () => {
    expect(headerOf(readSource("a.ts", "// One\n// two\ncode();"))).toBe("// One\n// two\n");
    expect(resolveImport("sim/world.ts", "../src/node/node.ts")).toBe("src/node/node.ts");
    expect(resolveImport("src/raft/raft.ts", "./role.ts")).toBe("src/raft/role.ts");
  });
});
