// `cairn recover` on directories made by the test: which log is the greatest, what is refused, and
// that the new directory has every entry of the chosen one.
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";
import { FileDisk } from "../../src/adapters/file-disk.ts";
import { chooseIndex } from "../../src/adapters/index-maps.ts";
import { OverlayDisk } from "../../src/adapters/overlay-disk.ts";
import { controlDraft } from "../../src/base/control.ts";
import { crc32c } from "../../src/base/crc32c.ts";
import {
  bodyOf,
  type Draft,
  type Entry,
  FRAME_HEADER_BYTES,
  headOf,
  LOG_START,
  type LogPoint,
  pointAfter,
} from "../../src/base/entry.ts";
import type { LogIndex, NodeId, Term, WallMs } from "../../src/base/ids.ts";
import { memberId, membershipOf } from "../../src/base/membership.ts";
import { OfflineLog, offlineOptions } from "../../src/cli/offline-log.ts";
import { sealFrame } from "../../src/log/frame.ts";
import { decodeManifest } from "../../src/log/manifest.ts";
import type { Identity } from "../../src/log/protocol.ts";
import { encodeStateAt, State } from "../../src/state/state.ts";
import { cairn, useFolder, useProgram } from "./program.ts";

useProgram();
const folder = useFolder();
const CLUSTER = "0123456789abcdef0123456789abcdef";
const instanceOf = (name: string) => name.charCodeAt(1).toString(16).padStart(32, "0");
const NAMES = ["n1", "n2", "n3", "n4", "n5"];
const memberOf = (name: string) => {
  // Nobody listens at port 1.
  return { id: memberId(name as NodeId, instanceOf(name)), address: "127.0.0.1:1" };
};
const MEMBERSHIP = membershipOf(NAMES.map(memberOf));

const record = (mark: number): Draft => {
  const body = new TextEncoder().encode(`record ${mark}`);
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + body.length);
  bytes.set(body, FRAME_HEADER_BYTES);
  return {
    ...controlDraft({ kind: "trim", startOffset: 0 as never }, 1 as WallMs),
    kind: "records",
    count: 1,
    bodyCrc: crc32c(body),
    rawLength: body.length,
    control: undefined as never,
    bytes,
  };
};

/** The founding entry of term 1, then a record of each of these terms. */
function entriesOf(terms: readonly number[]): Entry[] {
  const founding = controlDraft({ kind: "membership", membership: MEMBERSHIP }, 1 as WallMs);
  const entries: Entry[] = [];
  let end: LogPoint = LOG_START;
  for (const [at, term] of [1, ...terms].entries()) {
    const { control, ...draft } = at === 0 ? founding : record(at);
    const given = control === undefined ? draft : { ...draft, control };
    const head = headOf(given, (at + 1) as LogIndex, term as Term, end);
    entries.push({ ...head, frame: sealFrame(head, given.bytes) });
    end = pointAfter(head);
  }
  return entries;
}

const identityOf = (name: string, clusterId = CLUSTER): Identity => {
  return { clusterId, nodeName: name as NodeId, instanceId: instanceOf(name) };
};

/** A node's directory with such a log; trimmed up to `base` when that is given. */
async function directoryOf(
  name: string,
  terms: readonly number[],
  { clusterId = CLUSTER, term = terms.at(-1) ?? 1, base = 0 } = {},
): Promise<string> {
  const directory = path.join(folder, `${name}-${randomBytes(4).toString("hex")}`);
  mkdirSync(directory);
  const disk = new FileDisk({ directory, index: chooseIndex("file").maps });
  const { log } = await OfflineLog.open(disk, offlineOptions(identityOf(name, clusterId)));
  const entries = entriesOf(terms);
  const hardState = { term: term as Term, votedFor: null };
  if (base > 0) {
    const state = State.empty(10);
    for (const entry of entries.slice(0, base)) state.append(entry);
    state.commit(base as LogIndex, () => undefined);
    const { at, ...then } = state.stateAt(base as LogIndex);
    const bytes = encodeStateAt({ at, ...then }, new Uint8Array([7, 7]) as never);
    await log.install({ at, state: bytes }, MEMBERSHIP);
  }
  await log.write({ hardState, truncateFrom: null, entries: entries.slice(base) });
  await log.close();
  await disk.close();
  return directory;
}

async function contentOf(directory: string) {
  const decoded = decodeManifest(readFileSync(path.join(directory, "manifest")));
  if (decoded.kind !== "manifest") throw new Error("there is no manifest");
  const disk = new OverlayDisk(directory);
  const { identity } = decoded.manifest;
  const { log, opened } = await OfflineLog.open(disk, offlineOptions(identity));
  const entries = await log.entries((opened.base.index + 1) as LogIndex, opened.end.index);
  const base = await log.base();
  await disk.close();
  return { identity, opened, entries, base };
}

let made = 0;
async function recover(...directories: string[]) {
  const into = path.join(folder, `made-${++made}`);
  const ended = await cairn(["recover", ...directories, "--into", into, "--yes", "--json"]);
  return { into, ...ended };
}

describe("of several directories", () => {
  test("the one with the later last term is chosen, however long the others are", async () => {
    const long = await directoryOf("n1", [1, 1, 1, 1, 1, 1]);
    const late = await directoryOf("n2", [1, 2], { term: 2 });
    const { code, stdout, into } = await recover(long, late);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      from: { nodeName: "n2", lastIndex: 3, lastTerm: 2 },
      to: { term: 3 },
      compared: [
        { nodeName: "n1", lastIndex: 7, lastTerm: 1 },
        { nodeName: "n2", lastIndex: 3 },
      ],
    });
    const { entries, identity, opened } = await contentOf(into);
    const [first, ...others] = entriesOf([1, 2]);
    expect(entries.slice(0, 3)).toEqual([first, ...others]);
    expect(entries.slice(3)).toMatchObject([
      { kind: "recovered", index: 4, term: 3, prevTerm: 2, critical: false },
      { kind: "membership", index: 5, term: 3, prevTerm: 3, critical: true },
    ]);
    const id = memberId("n2" as NodeId, identity.instanceId);
    expect(entries[4]?.control).toEqual({
      kind: "membership",
      membership: membershipOf([{ id, address: "127.0.0.1:1" }]),
    });
    const note = JSON.parse(new TextDecoder().decode(bodyOf(entries[3] as Entry)));
    expect(note).toEqual(JSON.parse(readFileSync(path.join(into, "recovered.json"), "utf8")));
    expect(opened.hardState).toEqual({ term: 3, votedFor: null });
    expect(identity.instanceId).not.toBe(instanceOf("n2"));
  });

  test("the longer is chosen of two with the same last term, and the term is above all", async () => {
    const short = await directoryOf("n1", [2, 2], { term: 9 });
    const long = await directoryOf("n2", [2, 2, 2]);
    const { stdout } = await recover(short, long);
    expect(JSON.parse(stdout)).toMatchObject({
      from: { nodeName: "n2", lastIndex: 4, endOffset: 3 },
      to: { term: 10 },
    });
  });

  test("those that cannot be read are named, and the others are used", async () => {
    const broken = await directoryOf("n1", [1, 1, 1]);
    writeFileSync(path.join(broken, "manifest"), new Uint8Array(512));
    const whole = await directoryOf("n2", [1]);
    const { code, stdout, stderr } = await recover(broken, whole);
    expect(code).toBe(0);
    expect(stderr).toContain(`${broken}  cannot be used: manifest: `);
    expect(JSON.parse(stdout)).toMatchObject({ from: { nodeName: "n2" }, unusable: 1 });
  });

  test("three of five are a quorum: there is nothing to recover", async () => {
    const names = ["n1", "n2", "n3"];
    const directories = await Promise.all(names.map((name) => directoryOf(name, [1])));
    const { code, stderr } = await recover(...directories);
    expect(code).toBe(1);
    expect(stderr).toContain("n1 and n2 and n3 are a quorum: start them");
  });

  test("those of two clusters are refused with both ids", async () => {
    const one = await directoryOf("n1", [1]);
    const other = await directoryOf("n2", [1], { clusterId: "f".repeat(32) });
    const { code, stderr } = await recover(one, other);
    expect(code).toBe(64);
    expect(stderr).toContain(`${one} of ${CLUSTER}, ${other} of ${"f".repeat(32)}`);
  });
});

test("a log that begins with a checkpoint is copied with it", async () => {
  const source = await directoryOf("n1", [1, 1, 1, 2, 2], { base: 4 });
  const { code, into, stderr } = await recover(source);
  expect(code, stderr).toBe(0);
  const [from, to] = [await contentOf(source), await contentOf(into)];
  expect(to.base).toEqual(from.base);
  expect(to.entries.slice(0, 2)).toEqual(from.entries);
  expect(to.opened.base).toEqual(from.opened.base);
  expect(to.entries.map(({ index }) => index)).toEqual([5, 6, 7, 8]);
});

describe("a directory", () => {
  test("that is no node's, is named twice, or has no log is refused", async () => {
    const none = await recover(folder);
    expect(none).toMatchObject({ code: 64 });
    expect(none.stderr).toContain(`${folder}: no data directory of a node`);
    const empty = path.join(folder, "empty");
    mkdirSync(empty);
    const disk = new FileDisk({ directory: empty, index: chooseIndex("file").maps });
    await OfflineLog.open(disk, offlineOptions(identityOf("n1")));
    await disk.close();
    const nothing = await recover(empty);
    expect(nothing).toMatchObject({ code: 1 });
    expect(nothing.stderr).toContain("none of these directories has a log to go on from");
    const one = await directoryOf("n1", [1]);
    const twice = await recover(one, `${one}/.`);
    expect(twice).toMatchObject({ code: 64 });
    expect(twice.stderr).toContain("a directory is named twice");
  });

  test("to make the cluster in must be empty", async () => {
    const one = await directoryOf("n1", [1]);
    const full = await directoryOf("n2", [1]);
    const ended = await cairn(["recover", one, "--into", full, "--yes"]);
    expect(ended).toMatchObject({ code: 64, stdout: "" });
    expect(ended.stderr).toContain(`--into ${full}: it holds files, name another one`);
  });
});
