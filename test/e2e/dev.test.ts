// The development cluster: the lines it prints are typed as printed, by a shell, with npx.

import { readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { beforeAll, describe, expect, test } from "vitest";

import { cairn, mainFile, Running, shell, start, useFolder, useProgram } from "./program.ts";

useProgram();
// Inside the repository, where `npx cairn` is this very package.
const folder = useFolder(true);
const npmCache = useFolder();
const options = { cwd: folder, env: { npm_config_cache: npmCache, npm_config_loglevel: "error" } };
// The cluster's lines name the README of the folder it was started in.
const textFile = path.join(folder, "README.md");
const text = "first\n\n  indented\t\nänd ünicode ☃\r\n\n\nlast, without a newline";
const textLines = 7;
let dev: Running;
let printed: string[];

beforeAll(async () => {
  writeFileSync(textFile, text);
  dev = start(["dev"], options);
  await dev.says(/begins anew/);
  printed = dev.output.split("\n").filter((line) => line.startsWith("  npx cairn"));
});

/** The one printed line that has these words. */
function line(words: string): string {
  return printed.find((each) => each.includes(words))?.trim() ?? `nothing printed has ${words}`;
}

describe("the printed lines", () => {
  test("are the four that were promised", () => {
    expect(printed.map((line) => line.trim())).toEqual([
      "npx cairn produce < README.md",
      `npx cairn consume --from 0 --count ${textLines} | diff - README.md`,
      "npx cairn consume --follow",
      "npx cairn members",
    ]);
  });

  test("produce takes a text and consume gives back the same bytes", async () => {
    const produced = await shell(line("produce"), options);
    expect(produced).toMatchObject({ code: 0, stdout: "" });
    expect(produced.stderr).toContain(`${textLines} records at offsets 0 to ${textLines - 1} (`);
    const difference = await shell(line("--count"), options);
    expect(difference).toMatchObject({ code: 0, stdout: "" });
    // A difference would be found: one record fewer.
    const fewer = line("--count").replace(`--count ${textLines}`, `--count ${textLines - 1}`);
    const shorter = await shell(fewer, options);
    expect(shorter.code).toBe(1);
    expect(shorter.stdout).toContain("last, without a newline");
  });

  test("members lists three, one of them leading", async () => {
    const members = await shell(line("members"), options);
    expect(members.code).toBe(0);
    const rows = members.stdout.trim().split("\n").slice(1);
    expect(rows).toHaveLength(3);
    expect(rows.filter((row) => row.includes(" leader "))).toHaveLength(1);
    expect(rows.every((row) => / yes, \d+ ms$/.test(row))).toBe(true);
  });
});

describe("an operator", () => {
  test("sees what each member is and how far its log goes", async () => {
    const shown = await cairn(["status"], options);
    expect(shown.code).toBe(0);
    const [head, ...rows] = shown.stdout.trim().split("\n");
    expect(head).toMatch(/^member +state +role +term +log +committed +on disk +room +scrub$/);
    expect(rows).toHaveLength(3);
    expect(rows.filter((row) => / serving +leader /.test(row))).toHaveLength(1);
    expect(rows.every((row) => / 0\.\.\d+ /.test(row))).toBe(true);
    const asJson = await cairn(["status", "--json"], options);
    const members = asJson.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(members.map(({ name }) => name).sort()).toEqual(["n1", "n2", "n3"]);
  });

  test("watches members in a pipe: a JSON object for each, and another for each change", async () => {
    const watch = start(["members", "--watch"], options);
    await watch.says(/(.*\n){3}/);
    watch.child.kill("SIGINT");
    const { code, stdout } = await watch.ended;
    expect(code).toBe(0);
    const rows = stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(rows.slice(0, 3).map(({ id, gossip }) => [id, gossip])).toEqual(
      ["n1", "n2", "n3"].map((name) => [name, "alive"]),
    );
  });

  test("hands leadership to another member, and the cluster serves on", async () => {
    const leaderNow = async () => {
      const { stdout } = await cairn(["status", "--json"], options);
      const members = stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line));
      return String(members.find(({ role }) => role === "leader")?.name);
    };
    const before = await leaderNow();
    const other = ["n1", "n2", "n3"].find((name) => name !== before) ?? "";
    const moved = await cairn(["admin", "transfer", other], options);
    expect(moved).toMatchObject({ code: 0, stdout: `leadership went to ${other}\n` });
    expect(await leaderNow()).toBe(other);
    const refused = await cairn(["admin", "remove", "n9"], options);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain("change-refused");
  });

  test("reads the last records only", async () => {
    const last = await cairn(["tail", "-n", "2"], options);
    expect(last).toMatchObject({ code: 0, stdout: "\nlast, without a newline" });
  });
});

describe("consume", () => {
  test("follows new records until Ctrl-C, which is a good end", async () => {
    const follower = start(["consume", "--follow"], options);
    await follower.says(/last, without a newline$/);
    await cairn(["produce"], { ...options, input: "\nand on\n" });
    await follower.says(/without a newline\nand on\n$/);
    follower.child.kill("SIGINT");
    expect(await follower.ended).toMatchObject({
      code: 0,
      stdout: `${text}\nand on\n`,
      stderr: "",
    });
  });

  test("ends quietly when its reader has had enough", async () => {
    const program = path.relative(folder, mainFile);
    const head = new Running("sh", ["-c", `node ${program} consume --follow | head -n 1`], options);
    await head.says(/^first$/m);
    // A closed pipe is met by the next write.
    await cairn(["produce"], { ...options, input: "one more\n" });
    expect(await head.ended).toMatchObject({ code: 0, stdout: "first\n", stderr: "" });
  });

  test("gives JSON that has every byte", async () => {
    const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
    const { code, stdout } = await cairn(["produce", "--json"], { ...options, input: all });
    const { from, records } = JSON.parse(stdout);
    // One newline is among the bytes.
    expect([code, records]).toEqual([0, 2]);
    const flags = ["--from", String(from), "--count", "2", "--json"];
    const read = await cairn(["consume", ...flags], options);
    const lines = read.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(lines[0]).toEqual({ offset: from, value: Buffer.from(all.slice(0, 10)).toString() });
    expect(lines[1]).toMatchObject({
      offset: from + 1,
      base64: Buffer.from(all.slice(11)).toString("base64"),
      headers: [{ name: "cairn-line-end", value: "none" }],
    });
  });

  test("that waits for records is interrupted by Ctrl-C, and says so with its exit code", async () => {
    const waiting = start(["consume", "--count", "1000000"], options);
    await waiting.says(/first\n/);
    waiting.child.kill("SIGINT");
    expect(await waiting.ended).toMatchObject({ code: 130 });
  });

  test("from beyond the end says where the end is", async () => {
    const beyond = await cairn(["consume", "--from", "1000"], options);
    expect(beyond.code).toBe(1);
    expect(beyond.stderr).toMatch(
      /^cairn: --from: the log ends at \d+, before 1000; --follow waits/,
    );
  });
});

describe("produce", () => {
  test("interrupted by Ctrl-C tells what it appended", async () => {
    const typing = start(["produce"], { ...options, openInput: "typed\n" });
    const follower = start(["consume", "--follow"], options);
    await follower.says(/typed\n/);
    follower.child.kill("SIGINT");
    typing.child.kill("SIGINT");
    const { code, stderr } = await typing.ended;
    expect(stderr).toMatch(/^1 record at offset \d+ /m);
    expect(code).toBe(130);
  });

  test("names the line that is too long, and appends none of its batch", async () => {
    const before = await cairn(["consume", "--json"], options);
    const tooLong = await cairn(["produce"], {
      ...options,
      input: `short\n${"x".repeat(1024 * 1024 + 1)}\nafter\n`,
    });
    expect(tooLong.code).toBe(1);
    expect(tooLong.stderr).toContain("line 2 has 1048577 bytes, a record may have 1048576");
    const after = await cairn(["consume", "--json"], options);
    const added = after.stdout.slice(before.stdout.length).trim().split("\n").filter(Boolean);
    expect(added.length).toBeLessThanOrEqual(1);
  });
});

describe("the cluster", () => {
  test("is found from a folder below, and not without a profile", async () => {
    const below = await cairn(["members", "--json"], {
      ...options,
      cwd: path.join(folder, ".cairn"),
    });
    expect(
      below.stdout
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line).id),
    ).toEqual(["n1", "n2", "n3"]);
    const away = await cairn(["members"], { cwd: npmCache });
    expect(away.code).toBe(64);
    expect(away.stderr).toContain("start a cluster with `npx cairn dev`");
  });

  test("is one a folder: a second start is refused", async () => {
    const second = await cairn(["dev"], options);
    expect(second.code).toBe(1);
    expect(second.stderr).toContain("a development cluster runs here already");
  });

  test("measures a cluster, and is asked before what stays in the log", async () => {
    const asked = await cairn(["bench", "append", "--seconds", "1"], options);
    expect(asked).toMatchObject({ code: 64, stdout: "" });
    expect(asked.stderr).toContain("stays in it: say --yes");
    const flags = ["--seconds", "1", "--clients", "2", "--batch", "8", "--json"];
    const appended = await cairn(["bench", "append", "--yes", "--size", "32", ...flags], options);
    const facts = JSON.parse(appended.stdout) as Record<string, number>;
    expect(facts).toMatchObject({ bench: "append", clients: 2, unknownOutcomes: 0 });
    expect(facts["records"]).toBe((facts["operations"] ?? 0) * 8);
    expect(facts["bytes"]).toBe((facts["records"] ?? 0) * 32);
    const read = await cairn(["bench", "read", "--seconds", "1", "--clients", "1"], options);
    expect(read.stdout).toMatch(/^speed +[\d,]+ records\/s, [\d.]+ MB\/s$/m);
  });

  test("stops on Ctrl-C, keeps its log, and prints the offset to go on from", async () => {
    const { stdout } = await cairn(["consume", "--json"], options);
    const end = stdout.trim().split("\n").length;
    dev.child.kill("SIGINT");
    expect(await dev.ended).toMatchObject({ code: 0 });
    for (const name of ["n1", "n2", "n3"]) {
      const log = readFileSync(path.join(folder, ".cairn", `${name}.log`), "utf8");
      expect(JSON.parse(log.trim().split("\n").at(-1) ?? "")).toMatchObject({ msg: "stopped" });
    }
    const again = start(["dev"], options);
    await again.says(new RegExp(`consume --from ${end} --count ${textLines} \\| diff - README.md`));
    again.child.kill("SIGTERM");
    expect(await again.ended).toMatchObject({ code: 0 });
  });
});
