// What every Disk must do, real or simulated: the promises of src/base/disk.ts as tests. Owns no
// disk; the files that know one hand it in.

import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { concat } from "../../src/base/bytes.ts";
import type { DiskOperation, DiskResult } from "../../src/base/disk.ts";
import type { OpId, Position } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";
import type { Disk } from "../../src/ports/disk.ts";

export interface DiskUnderTest {
  /** Fresh, without an inbox. */
  readonly disk: Disk;
  /** Lets disk work go on: one step of virtual time, or one round of the event loop. */
  drive(): Promise<void>;
  /** Ends this disk in good order and opens its directory again. */
  reopen(): Promise<DiskUnderTest>;
  close(): Promise<void>;
}

type WithoutId<T> = T extends unknown ? Omit<T, "opId"> : never;
type Order = WithoutId<DiskOperation>;

/** Submits operations and keeps their results, with the order in which they came. */
export class DiskDesk {
  readonly #bench: DiskUnderTest;
  readonly #results = new Map<OpId, DiskResult>();
  readonly completed: OpId[] = [];
  #lastId = 0;

  constructor(bench: DiskUnderTest) {
    this.#bench = bench;
    bench.disk.attach({
      diskDone: (opId, result) => {
        this.completed.push(opId);
        this.#results.set(opId, result);
      },
    });
  }

  submit(order: Order): OpId {
    const opId = ++this.#lastId as OpId;
    this.#bench.disk.submit({ ...order, opId } as DiskOperation);
    return opId;
  }

  async resultOf(opId: OpId): Promise<DiskResult> {
    for (;;) {
      const result = this.#results.get(opId);
      if (result !== undefined) return result;
      await this.#bench.drive();
    }
  }

  perform(order: Order): Promise<DiskResult> {
    return this.resultOf(this.submit(order));
  }

  async done(order: Order): Promise<void> {
    expect(await this.perform(order)).toEqual({ kind: "done" });
  }

  write(file: string, position: number, ...parts: Uint8Array[]): Promise<void> {
    return this.done({ kind: "write-at", file, position: position as Position, parts });
  }

  async read(file: string, position: number, length: number): Promise<number[]> {
    const order: Order = { kind: "read-at", file, position: position as Position, length };
    const result = await this.perform(order);
    if (result.kind !== "read") throw new Error(`not a read: ${JSON.stringify(result)}`);
    return [...result.bytes];
  }

  async list(): Promise<[string, number][]> {
    const result = await this.perform({ kind: "list" });
    if (result.kind !== "listed") throw new Error(`not a list: ${JSON.stringify(result)}`);
    return result.files.map(({ file, bytes }) => [file, bytes]);
  }

  async map(file: string, length: number): Promise<Uint8Array> {
    const result = await this.perform({ kind: "map", file, length });
    if (result.kind !== "mapped") throw new Error(`not a map: ${JSON.stringify(result)}`);
    return result.view;
  }

  async failure(order: Order): Promise<string> {
    const result = await this.perform(order);
    if (result.kind !== "failed") throw new Error(`no failure: ${JSON.stringify(result)}`);
    expect(result.message).not.toBe("");
    return result.code;
  }
}

const START = 0 as Position;
const bytesOf = (...values: number[]): Uint8Array => Uint8Array.from(values);

export function diskContract(name: string, make: () => Promise<DiskUnderTest>): void {
  describe(`the disk contract: ${name}`, () => {
    let bench: DiskUnderTest;
    let desk: DiskDesk;

    beforeEach(async () => {
      bench = await make();
      desk = new DiskDesk(bench);
    });
    afterEach(() => bench.close());

    const reopen = async (): Promise<void> => {
      bench = await bench.reopen();
      desk = new DiskDesk(bench);
    };

    test("a new directory is empty", async () => {
      expect(await desk.list()).toEqual([]);
    });

    test("a created file is listed and empty", async () => {
      await desk.done({ kind: "create", file: "a" });
      expect(await desk.list()).toEqual([["a", 0]]);
      expect(await desk.read("a", 0, 10)).toEqual([]);
    });

    test("a file is not created twice, and the second try harms nothing", async () => {
      await desk.done({ kind: "create", file: "a" });
      await desk.write("a", 0, bytesOf(7));
      expect(await desk.failure({ kind: "create", file: "a" })).toBe("EEXIST");
      expect(await desk.read("a", 0, 2)).toEqual([7]);
    });

    test("an absent file cannot be written, read, synced, moved or mapped", async () => {
      const orders: Order[] = [
        { kind: "write-at", file: "no", position: START, parts: [bytesOf(1)] },
        { kind: "read-at", file: "no", position: START, length: 1 },
        { kind: "sync", file: "no" },
        { kind: "rename", from: "no", to: "other" },
        { kind: "unlink", file: "no" },
        { kind: "map", file: "no", length: 4 },
        { kind: "flush-map", file: "no" },
        { kind: "unmap", file: "no" },
      ];
      for (const order of orders) {
        expect([order.kind, await desk.failure(order)]).toEqual([order.kind, "ENOENT"]);
      }
      expect(await desk.list()).toEqual([]);
    });

    test("what was written is read back, from any place", async () => {
      await desk.done({ kind: "create", file: "a" });
      await desk.write("a", 0, bytesOf(1, 2, 3), bytesOf(), bytesOf(4, 5));
      expect(await desk.read("a", 0, 5)).toEqual([1, 2, 3, 4, 5]);
      expect(await desk.read("a", 2, 2)).toEqual([3, 4]);
      await desk.write("a", 1, bytesOf(9, 9));
      expect(await desk.read("a", 0, 5)).toEqual([1, 9, 9, 4, 5]);
    });

    test("a read ends where the file ends", async () => {
      await desk.done({ kind: "create", file: "a" });
      await desk.write("a", 0, bytesOf(1, 2, 3));
      expect(await desk.read("a", 1, 100)).toEqual([2, 3]);
      expect(await desk.read("a", 3, 4)).toEqual([]);
      expect(await desk.read("a", 1000, 4)).toEqual([]);
      expect(await desk.read("a", 1, 0)).toEqual([]);
    });

    test("a write beyond the end leaves zeros between", async () => {
      await desk.done({ kind: "create", file: "a" });
      await desk.write("a", 2, bytesOf(1));
      await desk.write("a", 6, bytesOf(2));
      expect(await desk.read("a", 0, 10)).toEqual([0, 0, 1, 0, 0, 0, 2]);
      expect(await desk.list()).toEqual([["a", 7]]);
    });

    test("thousands of parts and megabytes arrive whole", async () => {
      const prng = new Prng("disk contract");
      const parts = Array.from({ length: 3000 }, () => prng.bytes(prng.below(1200)));
      const large = prng.bytes(3_000_000);
      await desk.done({ kind: "create", file: "a" });
      await desk.write("a", 5, ...parts, large);
      const expected = concat([...parts, large]);
      const order: Order = {
        kind: "read-at",
        file: "a",
        position: 5 as Position,
        length: expected.length + 1,
      };
      const result = await desk.perform(order);
      expect(result.kind === "read" && Buffer.compare(result.bytes, expected)).toBe(0);
    });

    test("the bytes of a read are the reader's alone", async () => {
      await desk.done({ kind: "create", file: "a" });
      await desk.write("a", 0, bytesOf(1, 2, 3));
      const order: Order = { kind: "read-at", file: "a", position: START, length: 3 };
      const first = await desk.perform(order);
      const second = await desk.perform(order);
      if (first.kind !== "read" || second.kind !== "read") throw new Error("not a read");
      (first.bytes as Uint8Array)[0] = 99;
      expect([...second.bytes]).toEqual([1, 2, 3]);
      expect(await desk.read("a", 0, 3)).toEqual([1, 2, 3]);
      expect(second.bytes.constructor).toBe(Uint8Array);
    });

    test("no operation completes inside submit", async () => {
      const orders: Order[] = [
        { kind: "list" },
        { kind: "sync-dir" },
        { kind: "create", file: "a" },
        { kind: "write-at", file: "a", position: START, parts: [] },
        { kind: "read-at", file: "a", position: START, length: 0 },
        { kind: "sync", file: "b" },
        { kind: "unmap", file: "a" },
        { kind: "unlink", file: "a" },
      ];
      const ids = orders.map((order) => desk.submit(order));
      expect(desk.completed).toEqual([]);
      for (const id of ids) await desk.resultOf(id);
      expect([...desk.completed].sort((a, b) => a - b)).toEqual(ids);
    });

    test("operations on one file are performed and complete in the order submitted", async () => {
      const ids = [desk.submit({ kind: "create", file: "a" })];
      for (let value = 1; value <= 40; value++) {
        const parts = [new Uint8Array(value % 3 === 0 ? 50_000 : 10).fill(value)];
        ids.push(desk.submit({ kind: "write-at", file: "a", position: START, parts }));
        ids.push(desk.submit({ kind: "sync", file: "a" }));
        ids.push(desk.submit({ kind: "read-at", file: "a", position: START, length: 1 }));
      }
      for (const id of ids) await desk.resultOf(id);
      expect(desk.completed).toEqual(ids);
      for (let value = 1; value <= 40; value++) {
        const read = await desk.resultOf(ids[value * 3] as OpId);
        expect(read).toEqual({ kind: "read", bytes: bytesOf(value) });
      }
    });

    test("a failed operation holds up none behind it", async () => {
      const early = desk.submit({ kind: "sync", file: "a" });
      const create = desk.submit({ kind: "create", file: "a" });
      const late = desk.submit({ kind: "sync", file: "a" });
      expect(await desk.resultOf(late)).toEqual({ kind: "done" });
      expect(await desk.resultOf(create)).toEqual({ kind: "done" });
      expect(await desk.resultOf(early)).toMatchObject({ kind: "failed", code: "ENOENT" });
    });

    test("every operation on many files completes exactly once", async () => {
      const ids: OpId[] = [];
      for (let number = 0; number < 100; number++) {
        const file = `f${number}`;
        ids.push(desk.submit({ kind: "create", file }));
        ids.push(
          desk.submit({ kind: "write-at", file, position: START, parts: [bytesOf(number)] }),
        );
        ids.push(desk.submit({ kind: "sync", file }));
      }
      for (const id of ids) expect(await desk.resultOf(id)).toEqual({ kind: "done" });
      await desk.list();
      expect(desk.completed.slice(0, -1).sort((a, b) => a - b)).toEqual(ids);
      expect(await desk.read("f99", 0, 2)).toEqual([99]);
      expect(await desk.read("f0", 0, 2)).toEqual([0]);
    });

    test("a list is sorted by code units and knows the sizes", async () => {
      for (const file of ["b", "a1", "a10", "a2", "B", "ä", "a.tmp"]) {
        await desk.done({ kind: "create", file });
      }
      await desk.write("a2", 0, new Uint8Array(5000));
      expect(await desk.list()).toEqual([
        ["B", 0],
        ["a.tmp", 0],
        ["a1", 0],
        ["a10", 0],
        ["a2", 5000],
        ["b", 0],
        ["ä", 0],
      ]);
    });

    test("a rename replaces the other file with all its bytes", async () => {
      await desk.done({ kind: "create", file: "new.tmp" });
      await desk.write("new.tmp", 0, bytesOf(1));
      await desk.done({ kind: "create", file: "old" });
      await desk.write("old", 0, bytesOf(2, 2, 2));
      await desk.done({ kind: "rename", from: "new.tmp", to: "old" });
      expect(await desk.list()).toEqual([["old", 1]]);
      expect(await desk.read("old", 0, 9)).toEqual([1]);
      await desk.write("old", 1, bytesOf(5));
      expect(await desk.read("old", 0, 9)).toEqual([1, 5]);
      expect(await desk.failure({ kind: "sync", file: "new.tmp" })).toBe("ENOENT");
    });

    test("a rename waits for both files and is waited for by both", async () => {
      // One of the two has much more to do before: first the one that is replaced, then the other.
      for (const slow of ["to", "from"]) {
        const ids = ["to", "from"].map((file) => desk.submit({ kind: "create", file }));
        for (let value = 1; value <= 30; value++) {
          const parts = [new Uint8Array(50_000).fill(value)];
          ids.push(desk.submit({ kind: "write-at", file: slow, position: START, parts }));
          ids.push(desk.submit({ kind: "sync", file: slow }));
        }
        ids.push(
          desk.submit({ kind: "rename", from: "from", to: "to" }),
          desk.submit({ kind: "create", file: "from" }),
          desk.submit({ kind: "write-at", file: "to", position: START, parts: [bytesOf(77)] }),
        );
        for (const id of ids) expect(await desk.resultOf(id)).toEqual({ kind: "done" });
        const bytes = slow === "to" ? 1 : 50_000;
        expect(await desk.list()).toEqual([
          ["from", 0],
          ["to", bytes],
        ]);
        expect(await desk.read("to", 0, 2)).toEqual(slow === "to" ? [77] : [77, 30]);
        await desk.done({ kind: "unlink", file: "from" });
        await desk.done({ kind: "unlink", file: "to" });
      }
    });

    test("an unlinked file is gone, and its name is free", async () => {
      await desk.done({ kind: "create", file: "a" });
      await desk.write("a", 0, bytesOf(1));
      await desk.done({ kind: "unlink", file: "a" });
      expect(await desk.list()).toEqual([]);
      expect(await desk.failure({ kind: "sync", file: "a" })).toBe("ENOENT");
      await desk.done({ kind: "create", file: "a" });
      expect(await desk.read("a", 0, 9)).toEqual([]);
    });

    test("files survive a reopening in good order", async () => {
      await desk.done({ kind: "create", file: "a" });
      await desk.write("a", 0, bytesOf(1, 2, 3));
      await desk.done({ kind: "sync", file: "a" });
      await desk.done({ kind: "sync-dir" });
      await reopen();
      expect(await desk.list()).toEqual([["a", 3]]);
      expect(await desk.read("a", 0, 9)).toEqual([1, 2, 3]);
    });

    describe("index maps", () => {
      const capacity = 12 * 1000;

      beforeEach(async () => {
        await desk.done({ kind: "create", file: "i" });
        await desk.write("i", 0, new Uint8Array(capacity));
        await desk.done({ kind: "sync", file: "i" });
      });

      test("a view shows the file's bytes and takes writes", async () => {
        await desk.write("i", 100, bytesOf(7));
        const view = await desk.map("i", capacity);
        expect(view).toHaveLength(capacity);
        expect(view.constructor).toBe(Uint8Array);
        expect([...view.subarray(99, 102)]).toEqual([0, 7, 0]);
        view[capacity - 1] = 8;
        expect(view[capacity - 1]).toBe(8);
      });

      test("a flushed view is what a read of the file sees", async () => {
        const view = await desk.map("i", capacity);
        view.set([1, 2, 3], 24);
        await desk.done({ kind: "flush-map", file: "i" });
        expect(await desk.read("i", 23, 5)).toEqual([0, 1, 2, 3, 0]);
      });

      test("a flushed and synced view survives unmap and reopening", async () => {
        const view = await desk.map("i", capacity);
        view.set([1, 2, 3]);
        await desk.done({ kind: "flush-map", file: "i" });
        await desk.done({ kind: "sync", file: "i" });
        await desk.done({ kind: "sync-dir" });
        await desk.done({ kind: "unmap", file: "i" });
        await reopen();
        const again = await desk.map("i", capacity);
        expect([...again.subarray(0, 4)]).toEqual([1, 2, 3, 0]);
        expect(await desk.list()).toEqual([["i", capacity]]);
      });

      test("a file of another length is not mapped", async () => {
        const code = await desk.failure({ kind: "map", file: "i", length: capacity + 1 });
        expect(code).toBe("EOTHER");
        expect(await desk.failure({ kind: "map", file: "i", length: 12 })).toBe("EOTHER");
      });

      test("a mapped file that is unlinked frees its name for another", async () => {
        const view = await desk.map("i", capacity);
        await desk.done({ kind: "unlink", file: "i" });
        view.fill(9);
        await desk.done({ kind: "create", file: "i" });
        await desk.write("i", 0, new Uint8Array(12));
        const other = await desk.map("i", 12);
        expect([...other]).toEqual(new Array(12).fill(0));
      });
    });
  });
}
