// A backup as a stream over a node in memory: its order, its pace, and that whatever ends it lets
// go of what the node holds back.

import { beforeEach, expect, test } from "vitest";
import { GZIP_PACKING } from "../../src/adapters/gzip-packing.ts";
import { concat, freeze } from "../../src/base/bytes.ts";
import type { Fault } from "../../src/base/faults.ts";
import type { Instant, NodeId, WallMs } from "../../src/base/ids.ts";
import { BackupReader } from "../../src/service/backup-files.ts";
import {
  BACKUP_PART_BYTES,
  type BackupHead,
  type BackupMessage,
  joined,
} from "../../src/service/backup-requests.ts";
import { Caller } from "../../src/service/caller.ts";
import { DEFAULT_LOG_SERVICE_OPTIONS, LogService } from "../../src/service/log-service.ts";
import { MemoryCluster, MemoryNode } from "./memory-node.ts";

const settle = async () => {
  for (let round = 0; round < 50; round++) await Promise.resolve();
};

let cluster: MemoryCluster;
let service: LogService;
let node: MemoryNode;
let isAdmin = true;

beforeEach(async () => {
  isAdmin = true;
  cluster = new MemoryCluster();
  service = new LogService(DEFAULT_LOG_SERVICE_OPTIONS, {
    authorizer: {
      allows: (subject, _, action) => subject === "root" && (isAdmin || action !== "admin"),
    },
    clock: { now: () => 0 as Instant, wall: () => 5 as WallMs },
    packing: GZIP_PACKING,
    telemetry: { notice: () => {} },
  });
  node = new MemoryNode(cluster, "n1", service);
  cluster.members.push({ id: "n1" as NodeId, address: "h:1" });
  cluster.leader = "n1" as NodeId;
  service.attach(node);
  for (let n = 0; n < 5; n++) await service.produce(new Caller("root"), new Uint8Array([n]));
});

/** A receiver that takes as many messages as it is told to. */
class Slow {
  readonly taken: BackupMessage[] = [];
  room: number;
  #wake: (() => void) | null = null;

  constructor(room: number) {
    this.room = room;
  }

  write(message: BackupMessage): Promise<void> | null {
    this.taken.push(message);
    if (this.taken.length < this.room) return null;
    return new Promise((resolve) => {
      this.#wake = resolve;
    });
  }

  go(room: number): void {
    this.room = room;
    this.#wake?.();
  }
}

const reads = () => node.offered.filter(({ kind }) => kind === "read-backup").length;
const cancels = () => node.offered.filter(({ kind }) => kind === "cancel").length;

test("a backup is a head, files that read back as the log, and an end", async () => {
  const sink = new Slow(1000);
  expect(await service.backups.stream(new Caller("root"), sink)).toBeNull();
  const [first] = sink.taken;
  const head = (first?.kind === "head" ? first.head : null) as BackupHead;
  expect(head).toMatchObject({ node: "n1", address: "h:1", lastIndex: 5, endOffset: 5 });
  expect(sink.taken.at(-1)).toEqual({ kind: "end", files: 1 });
  const reader = new BackupReader(head);
  let bytes: Uint8Array[] = [];
  let count = 0;
  for (const message of sink.taken) {
    if (message.kind === "bytes") bytes.push(message.bytes);
    if (message.kind !== "file") continue;
    const content = reader.read(message.file.name, freeze(concat(bytes)));
    if (content.kind === "entries") count += content.entries.length;
    bytes = [];
  }
  expect([count, reader.point.index]).toEqual([5, 5]);
  expect(cancels()).toBe(1);
});

test("a receiver that takes no more is not read for", async () => {
  const sink = new Slow(3);
  const ended = service.backups.stream(new Caller("root"), sink);
  await settle();
  const waiting = reads();
  expect(waiting).toBeLessThan(5);
  await settle();
  expect(reads()).toBe(waiting);
  sink.go(1000);
  expect(await ended).toBeNull();
});

test("a receiver that leaves lets go of it", async () => {
  const caller = new Caller("root");
  const sink = new Slow(3);
  const ended = service.backups.stream(caller, sink);
  await settle();
  caller.leave();
  sink.go(1000);
  expect(await ended).toEqual({ code: "cancelled" });
  expect(cancels()).toBeGreaterThan(0);
});

test("what ends it at the node is told, and lets go of it", async () => {
  const fault: Fault = { code: "backup-ended", what: "the disk is full" };
  node.mishaps.push(null, null, { instead: fault });
  const sink = new Slow(1000);
  expect(await service.backups.stream(new Caller("root"), sink)).toEqual(fault);
  expect(sink.taken.some(({ kind }) => kind === "end")).toBe(false);
  expect(cancels()).toBe(1);
});

test("who is no administrator gets nothing, nor does who stops being one", async () => {
  const denied = { code: "permission-denied" };
  isAdmin = false;
  expect(await service.backups.stream(new Caller("root"), new Slow(9))).toMatchObject(denied);
  expect(node.offered.some(({ kind }) => kind === "begin-backup")).toBe(false);
  isAdmin = true;
  const sink = new Slow(3);
  const ended = service.backups.stream(new Caller("root"), sink);
  await settle();
  isAdmin = false;
  sink.go(1000);
  expect(await ended).toMatchObject(denied);
});

test("small pieces go together and large ones in slices, none across the end of a file", () => {
  const bytes = (length: number) => ({ kind: "bytes" as const, bytes: new Uint8Array(length) });
  const file = { kind: "file" as const, file: { name: "a", length: 0, crc: 0 } };
  const pieces = [bytes(10), bytes(20), file, bytes(5), bytes(BACKUP_PART_BYTES * 2), bytes(1)];
  const lengths = [...joined(pieces)].map((piece) =>
    piece.kind === "bytes" ? piece.bytes.length : piece.kind,
  );
  expect(lengths).toEqual([30, "file", BACKUP_PART_BYTES, BACKUP_PART_BYTES, 5, 1]);
});
