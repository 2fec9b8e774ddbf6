// The packed tarball as a stranger gets it: every door of the package opens from ESM and from
// CommonJS, with its types beside it, and the client in it appends and reads.

import { execFile, execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TestServer } from "../service/grpc-harness.ts";
import { MemoryCluster } from "../service/memory-node.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const manifest = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as {
  exports: Record<string, string | { types: string; default: string }>;
  dependencies: Record<string, string>;
  bin: Record<string, string>;
};
let home = "";
let packed = "";
let server: TestServer;

/** Installs the tarball beside the dependencies that this repository has, without a network. */
beforeAll(async () => {
  home = mkdtempSync(join(tmpdir(), "cairn-package-"));
  const pack = ["pack", "--ignore-scripts", "--json", "--pack-destination", home];
  const [report] = JSON.parse(execFileSync("npm", pack, { cwd: root, encoding: "utf8" })) as {
    filename: string;
  }[];
  execFileSync("tar", ["xzf", join(home, report?.filename ?? ""), "-C", home]);
  packed = join(home, "node_modules", "cairnlog");
  mkdirSync(join(home, "node_modules"));
  renameSync(join(home, "package"), packed);
  for (const name of Object.keys(manifest.dependencies)) {
    const link = join(home, "node_modules", name);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(root, "node_modules", name), link);
  }
  server = await TestServer.start("n1", new MemoryCluster());
}, 60_000);

afterAll(async () => {
  await server.stop();
  rmSync(home, { recursive: true, force: true });
});

const doors = Object.keys(manifest.exports)
  .filter((door) => door !== "./package.json")
  .map((door) => door.replace(/^\./, "cairnlog"));

/** Runs a program as somebody's project has it; what it prints. */
async function run(name: string, source: string): Promise<string> {
  const file = join(home, name);
  writeFileSync(file, source);
  // Not the one that waits in place: the server that it talks to lives in this process.
  const { stdout } = await promisify(execFile)(process.execPath, [file], {
    cwd: home,
    timeout: 60_000,
    env: { ...process.env, ADDRESS: server.address },
  });
  return stdout.trim();
}

describe("the packed package", () => {
  test.each(doors)("opens %s to import, to require, and to the type checker", async (door) => {
    const imported = await run(
      "door.mjs",
      `console.log(Object.keys(await import("${door}")).length)`,
    );
    const required = await run("door.cjs", `console.log(Object.keys(require("${door}")).length)`);
    expect(Number(imported)).toBeGreaterThan(0);
    // A module that is required shows a mark of its kind besides what it exports.
    expect([imported, String(Number(imported) + 1)]).toContain(required);
    const entry = manifest.exports[door.replace("cairnlog", ".")];
    const types = typeof entry === "object" ? entry.types : "";
    expect(existsSync(join(packed, types))).toBe(true);
  });

  const client = `
    const client = connect({ addresses: [process.env.ADDRESS] });
    const { offset } = await client.append([{ value: "from the tarball", key: "k" }]);
    for await (const record of client.read({ from: offset })) {
      console.log(Buffer.from(record.value).toString());
    }
    client.close();`;

  test("appends and reads from ESM", async () => {
    const printed = await run("client.mjs", `import { connect } from "cairnlog/client";${client}`);
    expect(printed).toBe("from the tarball");
  });

  test("appends and reads from CommonJS", async () => {
    const begin = `const { connect } = require("cairnlog");`;
    const printed = await run("client.cjs", `${begin}(async () => {${client}})();`);
    expect(printed).toBe("from the tarball");
  });

  /** Checks a program of somebody who has these types, and throws what the compiler says. */
  function checkTypes(source: string, skipLibCheck: boolean): string {
    writeFileSync(join(home, "types.ts"), source);
    const form = { module: "nodenext", strict: true, noEmit: true, types: [] };
    const project = join(home, "tsconfig.json");
    const compilerOptions = { ...form, skipLibCheck };
    writeFileSync(project, JSON.stringify({ compilerOptions, files: ["types.ts"] }));
    const compiler = join(root, "node_modules", ".bin", "tsc");
    return execFileSync(compiler, ["-p", project], { encoding: "utf8" });
  }

  test("has types of the simulator for who has no fast-check", () => {
    const source = `import { drawPlan, runPlan } from "cairnlog/sim";
      export const verdict: string = runPlan(drawPlan("1")).verdict;`;
    expect(checkTypes(source, true)).toBe("");
  });

  test("simulates a machine of one's own, with the fast-check of whoever asks", async () => {
    symlinkSync(join(root, "node_modules", "fast-check"), join(home, "node_modules", "fast-check"));
    symlinkSync(join(root, "node_modules", "pure-rand"), join(home, "node_modules", "pure-rand"));
    writeFileSync(join(home, "package.json"), '{ "type": "module" }');
    const source = readFileSync(join(root, "examples", "own-machine.ts"), "utf8");
    expect(checkTypes(`declare const process: { argv: string[] };\n${source}`, false)).toBe("");
    const example = readFileSync(join(root, "dist", "examples", "own-machine.js"), "utf8");
    const printed = await run("own-machine.js", example.replace("process.argv[2] ?? 3", "1"));
    expect(printed).toBe("the sums were equal in 1 plans");
  });

  test("holds the command, the contract and the license", () => {
    for (const bin of Object.values(manifest.bin)) {
      const help = execFileSync(process.execPath, [join(packed, bin), "--help"], {
        encoding: "utf8",
      });
      expect(help).toContain("cairn");
    }
    for (const file of ["proto/cairn/v1/log.proto", "proto/log/v1/log.proto", "LICENSE"]) {
      expect([file, existsSync(join(packed, file))]).toEqual([file, true]);
    }
  });
});
