// `cairn restore` and `cairn backup verify` on backups made here: what is whole becomes a cluster
// of one with the same entries, and whatever is wrong with a byte of it is said, and leaves
// nothing.

import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import tar from "tar-stream";
import { beforeEach, describe, expect, test } from "vitest";
import { OverlayDisk } from "../../src/adapters/overlay-disk.ts";
import { concat, EMPTY_BYTES, freeze } from "../../src/base/bytes.ts";
import { controlDraft } from "../../src/base/control.ts";
import { crc32c } from "../../src/base/crc32c.ts";
import { type Entry, headOf, LOG_START, type LogPoint, pointAfter } from "../../src/base/entry.ts";
import type { LogIndex, NodeId, Term, WallMs } from "../../src/base/ids.ts";
import { memberId, membershipOf } from "../../src/base/membership.ts";
import { BackupCheck } from "../../src/cli/backup-check.ts";
import { type BackupManifest, encodeBackupManifest } from "../../src/cli/backup-manifest.ts";
import { OfflineLog, offlineOptions } from "../../src/cli/offline-log.ts";
import { restore, verifyBackup } from "../../src/cli/restore.ts";
import { sealFrame } from "../../src/log/frame.ts";
import { BackupWriter } from "../../src/service/backup-files.ts";
import { encodeStateAt, State } from "../../src/state/state.ts";
import { entryAfter } from "../log/driver.ts";
import { temporaryFolder } from "./temporary.ts";

const folder = temporaryFolder();
const OWNER = { clusterId: "c1".repeat(16), instanceId: "ab".repeat(16) };
const MEMBER = memberId("n1" as NodeId, OWNER.instanceId);
let made = 0;

interface Made {
  readonly entries: readonly Entry[];
  readonly manifest: BackupManifest;
  /** By name, in order. */
  readonly files: ReadonlyMap<string, Uint8Array>;
}

/** Forty entries, the first of them the membership; a backup of those after `baseIndex`. */
function backupOf(baseIndex: number, more: Partial<BackupManifest> = {}): Made {
  const entries = [founding()];
  for (let n = 1; n < 40; n++) {
    entries.push(entryAfter(pointAfter(entries.at(-1) as Entry), n < 20 ? 2 : 5, 1 + (n % 3)));
  }
  const state = State.empty(10_000);
  for (const entry of entries.slice(0, baseIndex)) state.append(entry);
  state.commit(baseIndex as LogIndex, () => undefined);
  const bytes = encodeStateAt(state.stateAt(baseIndex as LogIndex), EMPTY_BYTES);
  const at = pointAt(entries, baseIndex);
  const base = baseIndex === 0 ? null : { at, stateBytes: bytes.length, stateCrc: crc32c(bytes) };
  const writer = new BackupWriter(OWNER, base, 1500);
  const check = new BackupCheck(OWNER);
  const files = new Map<string, Uint8Array>();
  let parts: Uint8Array[] = [];
  const pieces = [
    ...(base === null ? [] : writer.take({ kind: "state", bytes })),
    ...writer.take({ kind: "entries", entries: entries.slice(baseIndex) }),
    ...writer.take({ kind: "end" }),
  ];
  for (const piece of pieces) {
    if (piece.kind === "bytes") parts.push(piece.bytes);
    else {
      const whole = freeze(concat(parts));
      parts = [];
      check.file(piece.file.name, whole);
      files.set(piece.file.name, whole);
    }
  }
  const { index, term, endOffset } = pointAt(entries, 40);
  const place = { lastIndex: index, lastTerm: term, endOffset, startOffset: 0, baseIndex };
  const manifest: BackupManifest = {
    ...{ version: 1, cairn: "0", time: "2026-01-01T00:00:00.000Z", ...OWNER, nodeName: "n1" },
    ...{ address: "10.0.0.1:8400", term: 7, hasMachine: false, ...place },
    files: [...check.files],
    ...more,
  };
  files.set("backup.json", Buffer.from(encodeBackupManifest(manifest)));
  return { entries, manifest, files };
}

function founding(): Entry {
  const membership = membershipOf([{ id: MEMBER, address: "10.0.0.1:8400" }]);
  const draft = controlDraft({ kind: "membership", membership }, 0 as WallMs);
  const head = headOf(draft, 1 as LogIndex, 1 as Term, LOG_START);
  return { ...head, frame: sealFrame(head, draft.bytes) };
}

function pointAt(entries: readonly Entry[], index: number): LogPoint {
  const entry = entries[index - 1];
  return entry === undefined ? LOG_START : pointAfter(entry);
}

function stand({ files }: Made): string {
  const directory = path.join(folder, `backup-${made++}`);
  mkdirSync(directory);
  for (const [name, bytes] of files) writeFileSync(path.join(directory, name), bytes);
  return directory;
}

/** Of its last store, which holds some entries. */
function lastStore(directory: string): string {
  const stores = readdirSync(directory).filter((name) => name.endsWith(".store"));
  return path.join(directory, stores.sort().at(-1) ?? "");
}

async function tarOf({ files }: Made): Promise<Buffer> {
  const pack = tar.pack();
  for (const [name, bytes] of files)
    pack.entry({ name: `cairn-backup/${name}` }, Buffer.from(bytes));
  pack.finalize();
  const parts: Buffer[] = [];
  for await (const part of pack) parts.push(part as Buffer);
  return Buffer.concat(parts);
}

let into: string;
beforeEach(() => {
  into = path.join(folder, `into-${made++}`);
});

async function refused(from: string, nodeName?: string): Promise<string> {
  const name = nodeName === undefined ? {} : { nodeName };
  const error = await restore(from, into, name).then(
    () => null,
    (thrown: Error) => thrown,
  );
  expect([existsSync(into), existsSync(`${into}.unfinished`)]).toEqual([false, false]);
  const verified = await verifyBackup(from).then(
    () => null,
    (thrown: Error) => thrown,
  );
  expect(verified?.message).toBe(error?.message);
  return error?.message ?? "it was restored";
}

describe.each([0, 11])("a backup of the entries after %i", (baseIndex) => {
  test("becomes a log with the same entries, a note, and a membership of one", async () => {
    const backup = backupOf(baseIndex);
    const { identity, end } = await restore(stand(backup), into, {});
    expect(identity).toMatchObject({ nodeName: "n1" });
    expect(identity.clusterId).not.toBe(OWNER.clusterId);
    expect(identity.instanceId).not.toBe(OWNER.instanceId);
    const disk = new OverlayDisk(into);
    const { log, opened } = await OfflineLog.open(disk, offlineOptions(identity));
    expect(opened).toMatchObject({ cleanStop: true, startIndex: baseIndex + 1 });
    expect(opened.hardState).toEqual({ term: 8, votedFor: null });
    expect(opened.checkpoint?.at).toEqual(pointAt(backup.entries, 40));
    const read = await log.entries((baseIndex + 1) as LogIndex, 42 as LogIndex);
    const frames = (list: readonly Entry[]) =>
      list.map(({ frame }) => Buffer.from(frame).toString("hex"));
    expect(frames(read.slice(0, -2))).toEqual(frames(backup.entries.slice(baseIndex)));
    const [note, membership] = read.slice(-2);
    expect([note?.kind, note?.term, membership?.kind]).toEqual(["recovered", 8, "membership"]);
    const self = memberId(identity.nodeName, identity.instanceId);
    expect(membership?.control).toMatchObject({
      membership: { voters: [self], members: [{ id: self, address: "10.0.0.1:8400" }] },
    });
    const record = JSON.parse(readFileSync(path.join(into, "recovered.json"), "utf8"));
    expect(record).toEqual(end.record);
    expect(record).toMatchObject({ backup: { lastIndex: 40, ...OWNER }, to: identity });
    await disk.close();
  });

  test("is the same from a tar file, which needs a name for the node", async () => {
    const backup = backupOf(baseIndex);
    const file = path.join(folder, `whole-${baseIndex}.tar`);
    writeFileSync(file, await tarOf(backup));
    await expect(restore(file, into, {})).rejects.toThrow("--node-name: name the node");
    const { check, identity } = await restore(file, into, { nodeName: "n9", address: "h:1" });
    expect(identity.nodeName).toBe("n9");
    expect([check.entries, check.point.index]).toEqual([40 - baseIndex, 40]);
  });

  test("that was cut short anywhere in its tar stream is refused", async () => {
    const whole = await tarOf(backupOf(baseIndex));
    const file = path.join(folder, `short-${baseIndex}.tar`);
    // The end of a tar stream is zeros, and nothing is in them.
    const used = whole.lastIndexOf("}") + 1;
    for (let nth = 0; nth < 25; nth++) {
      writeFileSync(file, whole.subarray(0, Math.floor((used * nth) / 25)));
      expect(await refused(file, "n1")).toMatch(/cut short|no whole tar stream/);
    }
  });
});

test("without a checkpoint of a user's machine the restored log begins to apply at its base", async () => {
  const { identity } = await restore(stand(backupOf(11, { hasMachine: true })), into, {});
  const disk = new OverlayDisk(into);
  const { opened } = await OfflineLog.open(disk, offlineOptions(identity));
  expect(opened.checkpoint?.at.index).toBe(11);
  await disk.close();
});

describe("a backup is refused, and nothing is made of it,", () => {
  const spoils: Readonly<Record<string, [(directory: string) => void, RegExp]>> = {
    "when a bit of it has changed": [
      (directory) => {
        const bytes = readFileSync(lastStore(directory));
        bytes[700] = (bytes[700] ?? 0) ^ 4;
        writeFileSync(lastStore(directory), bytes);
      },
      /\.store at byte \d+: .*checksum does not match/,
    ],
    "when a file has lost its end": [
      (directory) => {
        const bytes = readFileSync(lastStore(directory));
        writeFileSync(lastStore(directory), bytes.subarray(0, 600));
      },
      /\.store: 600 bytes, and \d+ were written/,
    ],
    "when a file is gone": [
      (directory) => writeFileSync(path.join(directory, "backup.json"), manifestWithout(directory)),
      /backup\.json says number of files|backup\.json says last entry/,
    ],
    "when its manifest is gone": [
      (directory) => writeFileSync(path.join(directory, "backup.json"), ""),
      /backup\.json cannot be used: it is not JSON/,
    ],
    "when a number in its manifest has changed": [
      (directory) => {
        const file = path.join(directory, "backup.json");
        const text = readFileSync(file, "utf8");
        writeFileSync(file, text.replace('"lastIndex": 40', '"lastIndex": 41'));
      },
      /backup\.json cannot be used: its checksum does not match/,
    ],
  };

  function manifestWithout(directory: string): string {
    const { backup } = JSON.parse(readFileSync(path.join(directory, "backup.json"), "utf8"));
    return encodeBackupManifest({ ...backup, files: backup.files.slice(0, -1) });
  }

  test.each(Object.entries(spoils))("%s", async (_, [spoil, why]) => {
    const directory = stand(backupOf(11));
    spoil(directory);
    expect(await refused(directory)).toMatch(why);
  });

  const claims: readonly Partial<BackupManifest>[] = [
    { clusterId: "d2".repeat(16) },
    { instanceId: "d2".repeat(16) },
    { lastIndex: 39 },
    { lastTerm: 6 },
    { endOffset: 1 },
    { startOffset: 1 },
    { baseIndex: 10 },
  ];
  test.each(claims)("when its manifest says %o", async (claim) => {
    expect(await refused(stand(backupOf(11, claim)))).toMatch(
      /^backup\.json says .*, the files have/,
    );
  });

  test("when it is of a newer build", async () => {
    const { files, ...rest } = backupOf(0);
    const newer = { ...rest.manifest, version: 2 } as unknown as BackupManifest;
    const text = Buffer.from(encodeBackupManifest(newer));
    const directory = stand({ ...rest, files: new Map(files).set("backup.json", text) });
    expect(await refused(directory)).toContain("a backup of version 2, this build reads 1");
  });

  test("when it is no backup, or the place is taken", async () => {
    expect(await refused(folder)).toContain("is no whole backup: backup.json is not there");
    await expect(restore(stand(backupOf(0)), folder, {})).rejects.toThrow("it holds files");
  });
});
