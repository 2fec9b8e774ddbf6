// `cairn log` on directories at rest: what verify finds in whole and in spoiled ones, what repair
// mends and keeps, what dump and stats print; and that a running node's directory is refused.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";

import { lockDataDirectory } from "../../src/adapters/data-lock.ts";
import { LOG_START, pointAfter } from "../../src/base/entry.ts";
import type { LogIndex } from "../../src/base/ids.ts";
import { checkLog } from "../../src/cli/log-check.ts";
import { LogFiles } from "../../src/cli/log-files.ts";
import { indexFile, sealFile, storeFile } from "../../src/log/file-names.ts";
import type { LogOptions } from "../../src/log/protocol.ts";
import { cairn, useProgram } from "../e2e/program.ts";
import { entriesAfter, OPTIONS, openedLog } from "../log/driver.ts";
import { temporaryFolder } from "./temporary.ts";

useProgram();
const folder = temporaryFolder();
const SMALL: LogOptions = { ...OPTIONS, segmentBytesMax: 1500, indexEntriesMax: 64 };
const base = (index: number) => index as LogIndex;
let made = 0;

/** A directory of a node with forty entries in several segments and a checkpoint. */
function directoryOf(how: "closed" | "killed"): string {
  const driver = openedLog(SMALL);
  const entries = entriesAfter(LOG_START, 1, 40);
  driver.write({ entries });
  driver.checkpoint(pointAfter(entries[29] as (typeof entries)[0])).run();
  if (how === "closed") driver.close();
  const directory = path.join(folder, `node-${made++}`);
  mkdirSync(directory);
  for (const [file, bytes] of driver.disk.killImage()) {
    writeFileSync(path.join(directory, file), bytes);
  }
  return directory;
}

function spoil(directory: string, file: string, at: number): void {
  const bytes = readFileSync(path.join(directory, file));
  bytes[at < 0 ? bytes.length + at : at] = (bytes.at(at) ?? 0) ^ 0x41;
  writeFileSync(path.join(directory, file), bytes);
}

function imageOf(directory: string): Map<string, string> {
  const files = readdirSync(directory).filter((name) => !name.startsWith("."));
  return new Map(files.map((file) => [file, readFileSync(path.join(directory, file), "hex")]));
}

async function check(directory: string) {
  const files = await LogFiles.open(directory);
  try {
    return await checkLog(files, () => undefined);
  } finally {
    await files.close();
  }
}

function secondSegment(directory: string): LogIndex {
  const stores = readdirSync(directory).filter((name) => name.endsWith(".store"));
  return base(Number.parseInt(stores.sort()[1] ?? "", 10));
}

describe("verify", () => {
  test.each(["closed", "killed"] as const)("finds a directory that was %s whole", async (how) => {
    const directory = directoryOf(how);
    const before = imageOf(directory);
    const checked = await check(directory);
    expect(checked.findings.filter(({ level }) => level !== "note")).toEqual([]);
    expect(checked).toMatchObject({ entries: 40, firstIndex: 1, lastIndex: 40 });
    expect(checked.segments).toBeGreaterThan(3);
    expect(imageOf(directory)).toEqual(before);
  });

  test("tells damage inside of a segment from a torn tail behind the last", async () => {
    const torn = directoryOf("killed");
    const last =
      readdirSync(torn)
        .filter((name) => name.endsWith(".store"))
        .sort()
        .at(-1) ?? "";
    const bytes = readFileSync(path.join(torn, last));
    const end = bytes.findLastIndex((byte) => byte !== 0);
    spoil(torn, last, end);
    expect((await check(torn)).findings).toContainEqual(
      expect.objectContaining({ level: "note", file: last }),
    );
    const rotten = directoryOf("closed");
    spoil(rotten, storeFile(base(1)), 700);
    const { findings } = await check(rotten);
    expect(findings).toContainEqual(
      expect.objectContaining({ level: "damage", file: storeFile(base(1)) }),
    );
  });

  test("finds a spoiled index, a spoiled seal and a spoiled checkpoint by name", async () => {
    const directory = directoryOf("closed");
    const second = secondSegment(directory);
    const checkpoint = readdirSync(directory).find((name) => name.endsWith(".checkpoint")) ?? "";
    for (const file of [indexFile(second), sealFile(second)]) {
      spoil(directory, file, 11);
      expect((await check(directory)).findings).toContainEqual(
        expect.objectContaining({ level: "repair", file }),
      );
    }
    spoil(directory, checkpoint, -1);
    expect((await check(directory)).findings).toContainEqual(
      expect.objectContaining({ level: "repair", file: checkpoint }),
    );
  });

  test("finds a segment that was taken out of the middle", async () => {
    const directory = directoryOf("closed");
    const second = secondSegment(directory);
    const other = directoryOf("closed");
    writeFileSync(
      path.join(directory, storeFile(second)),
      readFileSync(path.join(other, storeFile(base(1)))),
    );
    const { findings } = await check(directory);
    expect(findings).toContainEqual(
      expect.objectContaining({ level: "damage", file: storeFile(second) }),
    );
  });

  test("says by its exit code whether all is whole, and refuses a running node's", async () => {
    const directory = directoryOf("closed");
    expect(await cairn(["log", "verify", directory])).toMatchObject({ code: 0 });
    spoil(directory, storeFile(base(1)), 700);
    const spoiled = await cairn(["log", "verify", directory, "--json"]);
    expect(spoiled.code).toBe(1);
    expect(JSON.parse(spoiled.stdout)).toMatchObject({ whole: false, nodeName: "n1" });
    expect(await cairn(["log", "verify", folder])).toMatchObject({ code: 64 });
    const lock = await lockDataDirectory(directory);
    const running = await cairn(["log", "verify", directory]);
    await lock.release();
    expect(running.code).toBe(1);
    expect(running.stderr).toContain(`in use by the process with pid ${process.pid}`);
  });
});

describe("repair", () => {
  test("changes nothing unasked, and what is damaged not at all", async () => {
    const directory = directoryOf("closed");
    spoil(directory, indexFile(secondSegment(directory)), 11);
    const before = imageOf(directory);
    const unasked = await cairn(["log", "repair", directory], { input: "" });
    expect(unasked.code).toBe(64);
    expect(unasked.stderr).toContain("--yes");
    expect(imageOf(directory)).toEqual(before);
    spoil(directory, storeFile(base(1)), 700);
    const damaged = imageOf(directory);
    const refused = await cairn(["log", "repair", directory, "--yes"]);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("cannot be mended from this directory alone");
    expect(imageOf(directory)).toEqual(damaged);
  });

  test("mends indexes and seals, and keeps the old bytes", async () => {
    const directory = directoryOf("killed");
    const second = secondSegment(directory);
    for (const file of [indexFile(second), sealFile(second)]) spoil(directory, file, 11);
    const before = imageOf(directory);
    const repaired = await cairn(["log", "repair", directory, "--yes"]);
    expect([repaired.code, repaired.stderr]).toEqual([0, expect.stringContaining("repaired")]);
    const kept = /the old bytes are in (.*)/.exec(repaired.stderr)?.[1] ?? "";
    for (const [file, bytes] of imageOf(kept)) expect(bytes).toBe(before.get(file));
    const after = await check(directory);
    expect(after.findings).toEqual([]);
    expect(after.entries).toBe(40);
    expect(await cairn(["log", "repair", directory, "--yes"])).toMatchObject({ code: 0 });
  });
});

describe("dump and stats", () => {
  test("print the entries of the stores, from an index on, as lines or as objects", async () => {
    const directory = directoryOf("closed");
    const some = await cairn(["log", "dump", directory, "--from", "9", "--count", "3"]);
    const lines = some.stdout.trimEnd().split("\n");
    expect(lines.map((line) => line.split(" ")[0])).toEqual(["9", "10", "11"]);
    const all = await cairn(["log", "dump", directory, "--json", "--values"]);
    const objects = all.stdout
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(objects.map(({ index }) => index)).toEqual(Array.from({ length: 40 }, (_, n) => n + 1));
  });

  test("stop at damage with what stands before it", async () => {
    const directory = directoryOf("closed");
    spoil(directory, storeFile(base(1)), 700);
    const dumped = await cairn(["log", "dump", directory]);
    expect(dumped.code).toBe(1);
    expect(dumped.stderr).toContain("see cairn log verify");
  });

  test("count entries, records and bytes", async () => {
    const directory = directoryOf("closed");
    const { stdout } = await cairn(["log", "stats", directory, "--json"]);
    const stats = JSON.parse(stdout);
    expect(stats).toMatchObject({ firstIndex: 1, lastIndex: 40, terms: 1 });
    const entries = Object.values<{ entries: number }>(stats.kinds);
    expect(entries.reduce((sum, kind) => sum + kind.entries, 0)).toBe(40);
    const { stdout: text } = await cairn(["log", "stats", directory]);
    expect(text).toMatch(/^entries +1 to 40, 1 terms$/m);
  });
});
