// A directory that can be changed without being changed: the layer behaves as a disk does, and what
// is under it stays as it is.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { FileDisk } from "../../src/adapters/file-disk.ts";
import { chooseIndex } from "../../src/adapters/index-maps.ts";
import { OverlayDisk } from "../../src/adapters/overlay-disk.ts";
import type { DiskOperation, DiskResult } from "../../src/base/disk.ts";
import type { OpId, Position } from "../../src/base/ids.ts";
import type { Disk } from "../../src/ports/disk.ts";

type WithoutId<T> = T extends unknown ? Omit<T, "opId"> : never;
type Order = WithoutId<DiskOperation>;

const folders: string[] = [];
afterAll(() => {
  for (const folder of folders) rmSync(folder, { recursive: true });
});

function directoryWith(files: Readonly<Record<string, Uint8Array>>): string {
  const folder = mkdtempSync(path.join(tmpdir(), "cairn-overlay-"));
  folders.push(folder);
  for (const [file, bytes] of Object.entries(files)) writeFileSync(path.join(folder, file), bytes);
  return folder;
}

const contentOf = (folder: string) =>
  Object.fromEntries(
    readdirSync(folder).map((file) => [file, [...readFileSync(path.join(folder, file))]]),
  );

/** Each order's result, in words that say the same of both disks. */
async function perform(disk: Disk, orders: readonly Order[]): Promise<unknown[]> {
  const results = new Map<OpId, DiskResult>();
  let wake = (): void => undefined;
  disk.attach({
    diskDone: (opId, result) => {
      results.set(opId, result);
      wake();
    },
  });
  const told: unknown[] = [];
  for (const [at, order] of orders.entries()) {
    const opId = at as OpId;
    disk.submit({ ...order, opId } as DiskOperation);
    while (!results.has(opId)) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    const result = results.get(opId);
    if (result?.kind === "failed") told.push(result.code);
    else if (result?.kind === "read") told.push([...result.bytes]);
    else if (result?.kind === "mapped") told.push([...result.view]);
    else told.push(result);
  }
  return told;
}

const file = fc.constantFrom("a", "b", "c");
const position = fc.nat(40).map((at) => at as Position);
const parts = fc.array(fc.uint8Array({ maxLength: 12 }), { maxLength: 3 });
const order: fc.Arbitrary<Order> = fc.oneof(
  fc.record({ kind: fc.constant("create" as const), file }),
  fc.record({ kind: fc.constant("write-at" as const), file, position, parts }),
  fc.record({ kind: fc.constant("read-at" as const), file, position, length: fc.nat(60) }),
  fc.record({ kind: fc.constant("sync" as const), file }),
  fc.record({ kind: fc.constant("sync-dir" as const) }),
  fc.record({ kind: fc.constant("rename" as const), from: file, to: file }),
  fc.record({ kind: fc.constant("unlink" as const), file }),
  fc.record({ kind: fc.constant("list" as const) }),
);

const UNDER = { a: new Uint8Array([1, 2, 3, 4, 5, 6, 7, 8]), b: new Uint8Array(20).fill(9) };

describe("a layer over a directory", () => {
  test("answers as the directory would, and leaves that as it is", async () => {
    const property = fc.asyncProperty(fc.array(order, { maxLength: 25 }), async (orders) => {
      const under = directoryWith(UNDER);
      const overlay = new OverlayDisk(under);
      const real = new FileDisk({
        directory: directoryWith(UNDER),
        index: chooseIndex("file").maps,
      });
      expect(await perform(overlay, orders)).toEqual(await perform(real, orders));
      await overlay.close();
      await real.close();
      expect(contentOf(under)).toEqual(contentOf(directoryWith(UNDER)));
    });
    await fc.assert(property, { seed: 1, numRuns: 150 });
  }, 30_000);

  test("gives memory that stands in the file once it is flushed", async () => {
    const under = directoryWith(UNDER);
    const overlay = new OverlayDisk(under);
    const results: DiskResult[] = [];
    overlay.attach({ diskDone: (_, result) => results.push(result) });
    const submit = (operation: Order) =>
      overlay.submit({ ...operation, opId: 1 as OpId } as DiskOperation);
    submit({ kind: "map", file: "a", length: 8 });
    submit({ kind: "map", file: "b", length: 8 });
    await overlay.close();
    const [mapped, tooShort] = results;
    expect(tooShort).toMatchObject({ kind: "failed" });
    if (mapped?.kind !== "mapped") throw new Error("it is not mapped");
    mapped.view[0] = 77;
    const read = { kind: "read-at", file: "a", position: 0 as Position, length: 2 } as const;
    submit(read);
    submit({ kind: "flush-map", file: "a" });
    submit(read);
    submit({ kind: "unmap", file: "a" });
    await overlay.close();
    expect(results.slice(2)).toMatchObject([
      { bytes: new Uint8Array([1, 2]) },
      { kind: "done" },
      { bytes: new Uint8Array([77, 2]) },
      { kind: "done" },
    ]);
    expect(contentOf(under)).toEqual(contentOf(directoryWith(UNDER)));
    expect(overlay.changed).toEqual(["a"]);
  });
});
