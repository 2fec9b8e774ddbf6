// The project's manners as pure functions: sources in, findings out. Owns the rules about floors,
// purity and words that no compiler checks; tidy.test.ts feeds it the tree and proves that each can
// fail.

import { findFunctions, lineAt, type SourceFile } from "./tidy-source.ts";

export interface Finding {
  readonly path: string;
  readonly line: number;
  readonly message: string;
}

type Rule = (source: SourceFile) => Finding[];

const machines = ["raft", "gossip", "log", "state"];
const corePlaces = ["base", ...machines, "ports", "node"];
const everything = [...corePlaces, "service", "adapters", "client", "cli", "root", "proto", "sim"];

/** Design section 3: what each folder may import besides itself. */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  base: [],
  raft: ["base"],
  gossip: ["base"],
  log: ["base"],
  state: ["base"],
  ports: ["base"],
  node: ["base", ...machines, "ports"],
  service: corePlaces,
  adapters: ["base", "ports", "service", "proto"],
  client: ["base", "proto"],
  proto: ["base"],
  cli: everything,
  root: everything,
  sim: ["base", "ports", "node", "service"],
  bench: everything,
  examples: everything,
};
/** What may be imported as types only: the simulator looks at machines, it does not run them. */
const mayLookAt: Readonly<Record<string, readonly string[]>> = {
  sim: machines,
  // The recording writer speaks of the events and outputs it writes down.
  adapters: ["node"],
};
/** Parts of a place that may import more. */
const mayImportToo: Readonly<Record<string, readonly string[]>> = {
  // The checkers decode what they find on disks.
  "sim/checks/": ["log", "state"],
  // Messages in the words of Raft's transcripts.
  "sim/narrator.ts": ["raft"],
};

/** Folders whose code may name neither Node nor a package; the exceptions are named here. */
const withoutPackages = [...corePlaces, "service", "proto"];
const allowedPackages: Readonly<Record<string, readonly string[]>> = {
  "src/base/prng.ts": ["seedrandom"],
  "src/service/recording.ts": ["@msgpack/msgpack"],
};

/** Simulator files that talk to a person and so may look at the clock or wait. */
export const simulatorFilesWithClock = [
  "sim/main.ts",
  "sim/fuzz.ts",
  "sim/look-main.ts",
  "sim/seed-pool.ts",
  "sim/seed-worker.ts",
  "sim/mutants/hunt.ts",
  "sim/mutants/hunter.ts",
  "sim/mutants/main.ts",
  "sim/mutants/run.ts",
  "sim/mutants/test-run.ts",
  "sim/shrink-main.ts",
  "sim/shrink-time.ts",
  // It takes the clock away from everybody else.
  "sim/poison.ts",
];

/** Files that programs or people start, or that packages export: nobody need import them. */
export const entryPoints = [
  "src/main.ts",
  "src/cairn.ts",
  "src/embedded-node.ts",
  "src/membership.ts",
  "src/raft-node.ts",
  "src/client/client.ts",
  "src/client/resolver.ts",
  "sim/main.ts",
  "sim/fuzz.ts",
  "sim/sim.ts",
  "sim/mutants/main.ts",
  // The child process of a hunt.
  "sim/mutants/hunt.ts",
];

const clockNames: Readonly<Record<string, string>> = {
  setTimeout: "a deadline",
  setInterval: "a deadline",
  setImmediate: "an event in the mailbox",
  queueMicrotask: "an event in the mailbox",
  Date: "the `now` of the step, or the entry's timestamp",
  performance: "the `now` of the step",
};
const coreNames: Readonly<Record<string, string>> = {
  ...clockNames,
  async: "step() and takeOutput()",
  await: "a completion event",
  Promise: "a completion event",
  console: "a notice in the output",
  process: "a port, or an argument from the composition root",
  Buffer: "Uint8Array and src/base/bytes.ts",
  WeakRef: "an owner that drops it",
  FinalizationRegistry: "an owner that drops it",
  Intl: "a comparison of code units",
};

export function placeOf(path: string): string {
  const parts = path.split("/");
  if (parts[0] === "src") {
    return parts.length > 2 ? (parts[1] ?? "root") : "root";
  }
  return parts[0] ?? "";
}

const isCore = (path: string): boolean =>
  path.startsWith("src/") && corePlaces.includes(placeOf(path));

/** The file a relative import means, from the repository's root. */
export function resolveImport(from: string, specifier: string): string {
  const parts = from.split("/").slice(0, -1);
  for (const part of specifier.split("/")) {
    if (part === "..") {
      parts.pop();
    } else if (part !== ".") {
      parts.push(part);
    }
  }
  return parts.join("/");
}

function findAll(
  source: SourceFile,
  text: string,
  pattern: RegExp,
  message: (match: RegExpExecArray) => string,
): Finding[] {
  const found: Finding[] = [];
  for (const match of text.matchAll(new RegExp(pattern, `${pattern.flags.replace("g", "")}g`))) {
    found.push({
      path: source.path,
      line: lineAt(text, match.index),
      message: message(match as RegExpExecArray),
    });
  }
  return found;
}

export const checkFloors: Rule = (source) => {
  const place = placeOf(source.path);
  const allowed = mayImport[place];
  if (allowed === undefined) {
    return [];
  }
  const lookedAt = mayLookAt[place] ?? [];
  const folder = Object.keys(mayImportToo).find((name) => source.path.startsWith(name));
  const decoded = folder === undefined ? [] : (mayImportToo[folder] ?? []);
  const found: Finding[] = [];
  for (const { specifier, line, isTypeOnly } of source.imports) {
    const target = specifier.startsWith(".")
      ? placeOf(resolveImport(source.path, specifier))
      : place;
    const isLookedAt = isTypeOnly && lookedAt.includes(target);
    if (target !== place && !allowed.includes(target) && !decoded.includes(target) && !isLookedAt) {
      const types = lookedAt.map((name) => `types of ${name}`);
      const names = [...allowed, ...types].join(", ") || "nothing";
      const message = `${place} must not import ${target} (${specifier}): it may import ${names}`;
      found.push({ path: source.path, line, message });
    }
  }
  return found;
};

export const checkPackages: Rule = (source) => {
  if (!source.path.startsWith("src/") || !withoutPackages.includes(placeOf(source.path))) {
    return [];
  }
  const allowed = allowedPackages[source.path] ?? [];
  return source.imports
    .filter(({ specifier }) => !specifier.startsWith(".") && !allowed.includes(specifier))
    .map(({ specifier, line }) => ({
      path: source.path,
      line,
      message: `${specifier} is imported here: put it behind a port, in src/adapters`,
    }));
};

export const checkPortsAreInterfaces: Rule = (source) => {
  if (!source.path.startsWith("src/ports/")) {
    return [];
  }
  const says = (what: string) => `src/ports holds interfaces only: move this ${what} to src/base`;
  const found = findAll(
    source,
    source.code,
    /^[ \t]*(?:export\s+)?(?:declare\s+)?(?:abstract\s+)?(class|function|const|let|var)\b/m,
    (match) => says(match[1] ?? ""),
  );
  for (const { line, isTypeOnly } of source.imports) {
    if (!isTypeOnly) {
      found.push({ path: source.path, line, message: "write `import type`: ports run nothing" });
    }
  }
  return found;
};

/** A name used as a global: not a property, not a longer word. */
const global = (name: string): RegExp => new RegExp(`(?<![.\\w$#])${name}(?![\\w$])(?!\\??:)`);

function checkNames(source: SourceFile, names: Readonly<Record<string, string>>): Finding[] {
  return Object.entries(names).flatMap(([name, instead]) =>
    findAll(source, source.code, global(name), () => `\`${name}\` is banned here: use ${instead}`),
  );
}

const checkChance: Rule = (source) =>
  findAll(
    source,
    source.code,
    /\bMath\s*\.\s*random\b/,
    () => "`Math.random` is banned here: draw from a named stream of src/base/prng.ts",
  );

export const checkPurity: Rule = (source) => {
  if (!isCore(source.path)) {
    return [];
  }
  const exactMath =
    /\bMath\b(?!\s*\.\s*(?:abs|ceil|clz32|floor|imul|max|min|random|round|sign|sqrt|trunc)\b)/;
  return [
    ...checkNames(source, coreNames),
    ...checkChance(source),
    ...findAll(source, source.code, exactMath, () => {
      return "this use of Math may differ between machines: use whole numbers or a table";
    }),
    ...findAll(source, source.code, /\*\*/, () => {
      return "`**` may differ between machines: use a shift, a product or a literal";
    }),
    ...findAll(source, source.code, /\.\s*(localeCompare|toLocale\w+)\b/, (match) => {
      return `\`${match[1]}\` depends on the machine's language: compare code units with < and >`;
    }),
  ];
};

export const checkSimulatorClock: Rule = (source) => {
  if (!source.path.startsWith("sim/") || simulatorFilesWithClock.includes(source.path)) {
    return [];
  }
  return [...checkNames(source, clockNames), ...checkChance(source)];
};

export const checkForbiddenForms: Rule = (source) => {
  const { code, comments } = source;
  const isConfig = source.path.endsWith(".config.ts");
  return [
    ...findAll(source, code, /\bas\s+any\b/, () => "`as any`: narrow it, or say `unknown`"),
    ...findAll(source, comments, /@ts-(ignore|nocheck)\b/, (match) => {
      return `@ts-${match[1]}: repair the type, or use @ts-expect-error with a reason in a test`;
    }),
    ...findAll(source, isConfig ? "" : code, /\bexport\s+default\b/, () => {
      return "default export: export it by name";
    }),
    ...findAll(source, code, /^[ \t]*(?:export\s+)?(?:declare\s+)?(?:const\s+)?enum\s/m, () => {
      return "enum: use a union of string literals";
    }),
    ...findAll(
      source,
      code,
      /\b(?:test|it|describe|suite|bench)\s*\.\s*(only|skip|todo)\b/,
      (match) => {
        return `.${match[1]} is left over: every test runs (skipIf says when one cannot)`;
      },
    ),
  ];
};

/** Spelled in two halves, here and below, so that the rules do not find themselves. */
const leftoverWords = new RegExp(`\\b(${["TO" + "DO", "FIX" + "ME", "X" + "XX"].join("|")})\\b`);

export const checkLeftovers: Rule = (source) =>
  findAll(source, source.text, leftoverWords, (match) => {
    return `${match[1]} is left over: do it now, or write it down outside the sources`;
  });

export const checkBarrels: Rule = (source) => {
  const isMachine = ["src/", "sim/"].some((root) => source.path.startsWith(root));
  if (!isMachine || entryPoints.includes(source.path)) {
    return [];
  }
  if (source.path.endsWith("/index.ts")) {
    return [{ path: source.path, line: 1, message: "index.ts: name the file after what it holds" }];
  }
  return source.imports
    .filter(({ isReexport }) => isReexport)
    .map(({ specifier, line }) => ({
      path: source.path,
      line,
      message: `re-export of ${specifier}: let each user import it from where it is`,
    }));
};

const columnsMax = 100;
/** Of a line with a text in it, which no formatter can break and no reader wants broken. */
const columnsMaxWithText = 140;
const functionLinesMax = 70;
const fileLinesMax = 600;

export const checkLineLength: Rule = (source) =>
  source.text.split("\n").flatMap((line, at) => {
    const columns = [...line].length;
    const hasText = /["'`]/.test(line) && !/^\s*(\/\/|\*|\/\*)/.test(line);
    const max = hasText ? columnsMaxWithText : columnsMax;
    return columns <= max || /\bhttps?:\/\/\S+/.test(line)
      ? []
      : [
          {
            path: source.path,
            line: at + 1,
            message: `${columns} columns: break the line at ${max}`,
          },
        ];
  });

export const checkFunctionLength: Rule = (source) =>
  source.path.startsWith("test/")
    ? []
    : findFunctions(source)
        .filter(({ lines }) => lines > functionLinesMax)
        .map(({ name, line, lines }) => ({
          path: source.path,
          line,
          message: `${name} has ${lines} lines: split it, ${functionLinesMax} at most`,
        }));

/** The comment at the very top, after a shebang; empty when there is none. */
export function headerOf(source: SourceFile): string {
  const text = source.text.replace(/^#!.*\n/, "");
  return /^(?:\/\/.*\n?)+|^\/\*[\s\S]*?\*\//.exec(text)?.[0] ?? "";
}

export const checkFileLength: Rule = (source) => {
  const lines = source.text.trimEnd().split("\n").length;
  if (lines <= fileLinesMax || /\bLong because\b/.test(headerOf(source))) {
    return [];
  }
  const message = `${lines} lines: split it, or let the header say why ("Long because ...")`;
  return [{ path: source.path, line: fileLinesMax + 1, message }];
};

export const checkHeader: Rule = (source) => {
  const needsOne = source.path.startsWith("src/") || source.path.startsWith("sim/");
  return !needsOne || headerOf(source) !== ""
    ? []
    : [
        {
          path: source.path,
          line: 1,
          message: "no header: begin with what this file owns, and not",
        },
      ];
};

const bannedName =
  /^(?:(?:handle|process|manage|do)(?=[A-Z_]|$)\w*|\w*(?:Utils?|Helpers?|Manager))$/;
const declaration = /(?:function\s*\*?|class|const|let|interface|type)\s+([\w$]+)/;
const exportedName = new RegExp(
  `\\bexport\\s+(?:(?:declare|abstract|async)\\s+)*${declaration.source}`,
);

export const checkWords: Rule = (source) => {
  const names = findAll(source, source.code, exportedName, (match) => match[1] ?? "");
  const lists = findAll(
    source,
    source.code,
    /\bexport\s+(?:type\s+)?\{([^}]*)\}/,
    (match) => match[1] ?? "",
  );
  const listed = lists.flatMap(({ path, line, message }) =>
    message
      .split(",")
      .map((entry) => ({ path, line, message: entry.trim().split(/\s+/).at(-1) ?? "" })),
  );
  const found = [...names, ...listed]
    .filter(({ message }) => bannedName.test(message))
    .map(({ path, line, message }) => ({
      path,
      line,
      message: `${message}: say what it does (step, take, perform, check, ...), design section 6`,
    }));
  const file = source.path.split("/").at(-1) ?? "";
  if (!/^[a-z0-9]+(?:-[a-z0-9]+)*(?:\.[a-z0-9]+)*\.ts$/.test(file)) {
    found.push({ path: source.path, line: 1, message: `${file}: file names are kebab-case` });
  }
  if (/^(?:utils?|helpers?|common|misc)\.ts$/.test(file)) {
    found.push({
      path: source.path,
      line: 1,
      message: `${file}: name the file after what it holds`,
    });
  }
  return found;
};

export const checkExtensions: Rule = (source) =>
  source.imports
    .filter(({ specifier }) => specifier.startsWith(".") && !/\.(?:ts|mjs|json)$/.test(specifier))
    .map(({ specifier, line }) => ({
      path: source.path,
      line,
      message: `${specifier}: import the source itself, with its .ts`,
    }));

/** Each rule looks at one file; together they are what `tidy.test.ts` runs over the tree. */
export const rules: Readonly<Record<string, Rule>> = {
  "imports stay on their floor": checkFloors,
  "packages and Node stay in the adapters": checkPackages,
  "ports are interfaces only": checkPortsAreInterfaces,
  "the core is pure": checkPurity,
  "the simulator has no clock but its own": checkSimulatorClock,
  "forbidden forms": checkForbiddenForms,
  "nothing is left over": checkLeftovers,
  "no barrel files": checkBarrels,
  "lines fit": checkLineLength,
  "functions fit": checkFunctionLength,
  "files fit": checkFileLength,
  "files say what they own": checkHeader,
  "names use the project's words": checkWords,
  "imports name the source": checkExtensions,
};

/** Files of src/ and sim/ that no entry point, test, benchmark or example reaches. */
export function findUnreached(sources: readonly SourceFile[]): Finding[] {
  const byPath = new Map(sources.map((source) => [source.path, source]));
  const isOurs = (path: string) => path.startsWith("src/") || path.startsWith("sim/");
  const waiting = sources.map(({ path }) => path).filter((path) => !isOurs(path));
  waiting.push(...entryPoints);
  const reached = new Set<string>();
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const source = byPath.get(path);
    if (source === undefined || reached.has(path)) {
      continue;
    }
    reached.add(path);
    for (const { specifier } of source.imports) {
      if (specifier.startsWith(".")) {
        waiting.push(resolveImport(path, specifier));
      }
    }
  }
  return sources
    .filter(({ path }) => isOurs(path) && !reached.has(path))
    .map(({ path }) => ({ path, line: 1, message: "nobody imports this file: use it or drop it" }));
}

/** A page has one title. Fenced code is not looked at: a shell comment there begins with # too. */
export function checkTitle(path: string, text: string): Finding[] {
  const titles: number[] = [];
  let fence = "";
  for (const [at, line] of text.split("\n").entries()) {
    const mark = /^\s*(`{3,}|~{3,})/.exec(line)?.[1] ?? "";
    if (mark !== "") {
      fence = fence === "" ? mark : mark.startsWith(fence) ? "" : fence;
    } else if (fence === "" && /^# /.test(line)) {
      titles.push(at + 1);
    }
  }
  if (titles.length === 1) {
    return [];
  }
  const line = titles[1] ?? 1;
  return [
    { path, line, message: `${titles.length} titles (lines that begin with "# "): write one` },
  ];
}

const machinePath = new RegExp(
  `(?<![\\w.:$}-])/(?:wo${""}rk|ro${""}ot|fa${""}rm|tmp/ba${""}sh)(?=[/_])[\\w./-]*`,
);

export function checkMachinePaths(path: string, text: string): Finding[] {
  return text.split("\n").flatMap((line, at) => {
    const match = machinePath.exec(line);
    return match === null
      ? []
      : [{ path, line: at + 1, message: `${match[0]} is a path of one machine: make it relative` }];
  });
}
