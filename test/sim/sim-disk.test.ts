// What crashes leave on a simulated disk: a process's death keeps what completed, a power loss
// keeps what was synced and any part of the rest. The promises of a disk without crashes are in
// test/contract.

import fc from "fast-check";
import { describe, expect, test } from "vitest";

import type { CrashKind } from "../../sim/observer.ts";
import { SimDisk } from "../../sim/sim-disk.ts";
import { SECTOR_BYTES } from "../../sim/sim-file.ts";
import { Timeline } from "../../sim/timeline.ts";
import type { DiskOperation, DiskResult } from "../../src/base/disk.ts";
import type { OpId, Position } from "../../src/base/ids.ts";
import { Prng } from "../../src/base/prng.ts";

type WithoutId<T> = T extends unknown ? Omit<T, "opId"> : never;
type Order = WithoutId<DiskOperation>;

class Bench {
  readonly timeline = new Timeline();
  readonly disk: SimDisk;
  readonly results: DiskResult[] = [];
  #nextId = 1;

  constructor(seed: string, syncMeanMicros = 1000) {
    const profile = { operationMeanMicros: 40, syncMeanMicros, slowPerMille: 0, capacityBytes: 0 };
    this.disk = new SimDisk(this.timeline, profile, new Prng(seed), {
      submitted: () => undefined,
      reached: () => true,
      applied: () => true,
    });
    this.listen();
  }

  listen(): void {
    this.disk.attach({ diskDone: (_, result) => this.results.push(result) });
  }

  submit(...orders: Order[]): void {
    for (const order of orders)
      this.disk.submit({ ...order, opId: this.#nextId++ as OpId } as DiskOperation);
  }

  /** Submits one after another, each when the one before is complete. */
  perform(...orders: Order[]): DiskResult {
    for (const order of orders) {
      this.submit(order);
      this.settle();
    }
    return this.results.at(-1) as DiskResult;
  }

  settle(): void {
    while (this.timeline.next !== Number.POSITIVE_INFINITY) this.timeline.advance();
  }

  crash(kind: CrashKind) {
    const loss = this.disk.crash(kind);
    this.listen();
    return loss;
  }

  image(): Record<string, string> {
    const names = [...this.disk.writtenImage()];
    return Object.fromEntries(names.map(([name, bytes]) => [name, text(bytes)]));
  }
}

const STORE = "00000000000000000001.store";
const bitsOf = (byte: number) => byte.toString(2).replaceAll("0", "").length;
const bytesOf = (letters: string) => new TextEncoder().encode(letters);
const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
const create = (file: string): Order => ({ kind: "create", file });
const sync = (file: string): Order => ({ kind: "sync", file });
const syncDir: Order = { kind: "sync-dir" };
const write = (file: string, position: number, ...parts: string[]): Order => ({
  kind: "write-at",
  file,
  position: position as Position,
  parts: parts.map(bytesOf),
});

/** Everything that a crash of this kind left, over many draws. */
function imagesAfter(kind: CrashKind, prepare: (bench: Bench) => void): Set<string> {
  const images = new Set<string>();
  for (let draw = 0; draw < 200; draw++) {
    const bench = new Bench(`draw ${draw}`);
    prepare(bench);
    bench.crash(kind);
    images.add(JSON.stringify(bench.image()));
  }
  return images;
}

describe("a process's death", () => {
  test("keeps every completed write, synced or not", () => {
    const images = imagesAfter("process", (bench) =>
      bench.perform(create("a"), write("a", 0, "one", "two")),
    );
    expect([...images]).toEqual([JSON.stringify({ a: "onetwo" })]);
  });

  test("leaves what was unsynced to a later power loss", () => {
    const images = imagesAfter("power", (bench) => {
      bench.perform(create("a"), syncDir, write("a", 0, "kept"), sync("a"), write("a", 4, "+"));
      bench.crash("process");
    });
    expect(images).toContain(JSON.stringify({ a: "kept" }));
    expect(images).toContain(JSON.stringify({ a: "kept+" }));
  });

  test("applies some first part of what was under way on a file, and nothing after it", () => {
    const images = imagesAfter("process", (bench) => {
      bench.perform(create("a"));
      bench.submit(write("a", 0, "12"), write("a", 2, "34"));
    });
    const left = ["", "1", "12", "123", "1234"].map((a) => JSON.stringify({ a }));
    expect([...images].sort()).toEqual([...left].sort());
  });

  test("takes the memory of a map away from the node that died", () => {
    const bench = new Bench("map");
    bench.perform(create("i"), write("i", 0, "0000"));
    const mapped = bench.perform({ kind: "map", file: "i", length: 4 });
    if (mapped.kind !== "mapped") throw new Error("expected a view");
    mapped.view.set(bytesOf("12"));
    bench.crash("process");
    mapped.view.set(bytesOf("99"));
    expect(bench.image()).toEqual({ i: "1200" });
  });
});

describe("a power loss", () => {
  test("keeps all that was synced, whatever is drawn", () => {
    const orders = fc.array(
      fc.record({
        file: fc.constantFrom("a", "b"),
        position: fc.nat({ max: 3000 }),
        length: fc.integer({ min: 1, max: 2000 }),
        isSynced: fc.boolean(),
      }),
      { maxLength: 12 },
    );
    fc.assert(
      fc.property(orders, fc.nat(), (drawn, seed) => {
        const bench = new Bench(String(seed));
        bench.perform(create("a"), create("b"), syncDir);
        for (const [at, { file, position, length, isSynced }] of drawn.entries()) {
          bench.perform(write(file, position, String.fromCharCode(97 + at).repeat(length)));
          if (isSynced) bench.perform(sync(file));
        }
        const before = bench.disk.writtenImage();
        const certain: [string, number][] = [];
        for (const [file, bytes] of before)
          for (let at = 0; at < bytes.length; at += 97)
            if (bench.disk.survivesPowerLoss(file, at, at + 1)) certain.push([file, at]);
        bench.crash("power");
        const after = bench.disk.writtenImage();
        for (const [file, at] of certain)
          expect(after.get(file)?.[at]).toBe(before.get(file)?.[at]);
      }),
    );
  });

  test("may lose, keep or tear by sectors what was not synced, in any order", () => {
    const long = "x".repeat(2 * SECTOR_BYTES);
    const images = imagesAfter("power", (bench) =>
      bench.perform(create("a"), syncDir, write("a", 0, long)),
    );
    const zeros = "\0".repeat(SECTOR_BYTES);
    const sector = "x".repeat(SECTOR_BYTES);
    const left = ["", zeros + zeros, sector, zeros + sector, sector + sector];
    expect([...images].sort()).toEqual(left.map((a) => JSON.stringify({ a })).sort());
  });

  test("may undo each change of names that no sync of the directory covered", () => {
    const images = imagesAfter("power", (bench) => {
      bench.perform(create("old"), create("tmp"), syncDir);
      bench.perform(write("tmp", 0, "new"), sync("tmp"), create("more"));
      bench.perform({ kind: "rename", from: "tmp", to: "old" }, { kind: "unlink", file: "more" });
    });
    expect(images).toContain(JSON.stringify({ old: "", tmp: "new" }));
    expect(images).toContain(JSON.stringify({ old: "new" }));
    expect(images).toContain(JSON.stringify({ old: "new", more: "" }));
    for (const image of images) expect(Object.keys(JSON.parse(image))).toContain("old");
  });

  test("keeps no name for a sync of the directory that began before the name was made", () => {
    const images = imagesAfter("power", (bench) => {
      bench.submit(syncDir, create("late"));
      bench.settle();
    });
    expect(images).toContain(JSON.stringify({}));
  });

  test("leaves a map in any mixture of what was synced, written and garbage", () => {
    const length = 4 * SECTOR_BYTES;
    const images = imagesAfter("power", (bench) => {
      bench.perform(create("i"), syncDir, write("i", 0, "0".repeat(length)), sync("i"));
      const mapped = bench.perform({ kind: "map", file: "i", length });
      if (mapped.kind === "mapped") mapped.view.fill(0x31);
    });
    expect(images).toContain(JSON.stringify({ i: "0".repeat(length) }));
    expect(images).toContain(JSON.stringify({ i: "1".repeat(length) }));
    expect(images.size).toBeGreaterThan(8);
  });

  test("says how much reads differently afterwards", () => {
    let lost = 0;
    for (let draw = 0; draw < 50; draw++) {
      const bench = new Bench(`loss ${draw}`);
      bench.perform(create("a"), syncDir, write("a", 0, "abc"));
      const { lostBytes } = bench.crash("power");
      expect(lostBytes).toBe(bench.image()["a"] === "abc" ? 0 : 3);
      lost += lostBytes;
    }
    expect(lost).toBeGreaterThan(0);
  });
});

describe("what would survive a power loss now", () => {
  test("is true only of synced bytes of a file whose name is synced", () => {
    const bench = new Bench("survives");
    bench.perform(create("a"), write("a", 0, "abcdef"), sync("a"));
    expect(bench.disk.survivesPowerLoss("a", 0, 6)).toBe(false);
    bench.perform(syncDir);
    expect(bench.disk.survivesPowerLoss("a", 0, 6)).toBe(true);
    expect(bench.disk.survivesPowerLoss("a", 0, 7)).toBe(false);
    bench.perform(write("a", 2, "X"));
    expect(bench.disk.survivesPowerLoss("a", 2, 3)).toBe(false);
    expect(bench.disk.survivesPowerLoss("a", 3, 6)).toBe(true);
    bench.perform({ kind: "rename", from: "a", to: "b" });
    expect(bench.disk.survivesPowerLoss("b", 3, 6)).toBe(false);
  });
});

describe("a disk that reads wrong", () => {
  test("returns one flipped bit, and the right bytes when the spell is over", () => {
    const bench = new Bench("misread");
    bench.perform(create("a"), write("a", 0, "abcdef"));
    const spell = { error: "misread", failPerMille: 1000 } as const;
    const read: Order = { kind: "read-at", file: "a", position: 0 as Position, length: 6 };
    const bitsOff = () => {
      const result = bench.perform(read);
      if (result.kind !== "read") throw new Error("expected bytes");
      const right = bytesOf("abcdef");
      return result.bytes.reduce((off, byte, at) => off + bitsOf(byte ^ (right[at] ?? 0)), 0);
    };
    bench.disk.errors.begin(spell);
    expect(bitsOff()).toBe(1);
    expect(bench.disk.errors.misread).toBe(1);
    bench.disk.errors.end(spell);
    expect(bitsOff()).toBe(0);
    expect(bench.image()).toEqual({ a: "abcdef" });
  });
});

describe("a disk that does not do what it acknowledged", () => {
  const lossy = (seed: string) => {
    const bench = new Bench(seed);
    bench.disk.losses.mayLose = () => true;
    return bench;
  };
  const readAll = (bench: Bench, file: string) => {
    const result = bench.perform({ kind: "read-at", file, position: 0 as Position, length: 5000 });
    return result.kind === "read" ? text(result.bytes) : result.kind;
  };

  test("has a phantom write in no read, and knows what was written", () => {
    const bench = lossy("phantom");
    bench.perform(create(STORE), write(STORE, 0, "old old"), sync(STORE), syncDir);
    bench.disk.losses.arm("phantom", 1);
    expect(bench.perform(write(STORE, 4, "new+"), sync(STORE))).toEqual({ kind: "done" });
    expect(readAll(bench, STORE)).toBe("old old\0");
    expect(bench.image()).toEqual({ [STORE]: "old new+" });
    expect(bench.disk.survivesPowerLoss(STORE, 0, 8)).toBe(true);
    expect(bench.disk.isDamaged).toBe(true);
    bench.perform(write(STORE, 4, "NEW+"));
    expect(readAll(bench, STORE)).toBe("old NEW+");
    expect(bench.disk.isDamaged).toBe(false);
  });

  test("loses a phantom write for good with the power", () => {
    for (let draw = 0; draw < 20; draw++) {
      const bench = lossy(`phantom ${draw}`);
      bench.perform(create(STORE), write(STORE, 0, "old"), sync(STORE), syncDir);
      bench.disk.losses.arm("phantom", 1);
      bench.perform(write(STORE, 0, "new"));
      bench.crash("power");
      expect(readAll(bench, STORE)).toBe("old");
    }
  });

  test("has a misdirected write at the beginning of another sector, not where it belongs", () => {
    const places = new Set<string>();
    const blank = ".".repeat(3 * SECTOR_BYTES);
    for (let draw = 0; draw < 60; draw++) {
      const bench = lossy(`misdirected ${draw}`);
      bench.perform(create(STORE), write(STORE, 0, blank), sync(STORE));
      bench.perform(create("hard-state"), write("hard-state", 0, blank), sync("hard-state"));
      bench.perform(syncDir);
      bench.disk.losses.arm("misdirected", 1);
      bench.perform(write(STORE, 700, "lost"));
      for (const file of [STORE, "hard-state"]) {
        const found = readAll(bench, file).indexOf("lost");
        if (found >= 0) places.add(`${file} ${found}`);
      }
    }
    const positions = [0, SECTOR_BYTES, 2 * SECTOR_BYTES];
    const expected = [STORE, "hard-state"].flatMap((file) =>
      positions.map((at) => `${file} ${at}`),
    );
    expect([...places].sort()).toEqual(expected.sort());
  });

  test("has lost names that it said were durable, once the power goes, and not before", () => {
    const images = imagesAfter("power", (bench) => {
      bench.disk.losses.mayLose = () => true;
      bench.perform(create("manifest.tmp"), create("manifest"), syncDir);
      bench.perform(write("manifest", 0, "one"), sync("manifest"));
      bench.perform(write("manifest.tmp", 0, "two"), sync("manifest.tmp"));
      bench.disk.losses.arm("names", 1);
      bench.perform(
        { kind: "rename", from: "manifest.tmp", to: "manifest" },
        create(STORE),
        syncDir,
      );
      expect(bench.disk.survivesPowerLoss("manifest", 0, 3)).toBe(true);
      bench.crash("process");
      expect(readAll(bench, "manifest")).toBe("two");
    });
    const read = [...images].map((image) => JSON.parse(image) as Record<string, string>);
    expect(new Set(read.map((image) => image["manifest"]))).toEqual(new Set(["one", "two"]));
    expect(new Set(read.map((image) => STORE in image))).toEqual(new Set([true, false]));
  });

  test("says that names are durable after a sync of them failed, and some are not", () => {
    const left = new Set<boolean>();
    for (let draw = 0; draw < 30; draw++) {
      const bench = lossy(`failed sync-dir ${draw}`);
      const spell = { error: "sync", failPerMille: 1000 } as const;
      bench.perform(create(STORE), write(STORE, 0, "x"), sync(STORE));
      bench.disk.errors.begin(spell);
      expect(bench.perform(syncDir).kind).toBe("failed");
      bench.disk.errors.end(spell);
      expect(bench.perform(syncDir)).toEqual({ kind: "done" });
      bench.crash("power");
      left.add(bench.perform(sync(STORE)).kind === "done");
    }
    expect(left).toEqual(new Set([true, false]));
  });

  test("loses nothing where the atlas says no", () => {
    const bench = new Bench("bounded");
    bench.disk.losses.arm("phantom", 1);
    bench.perform(create(STORE), write(STORE, 0, "kept"));
    expect(readAll(bench, STORE)).toBe("kept");
  });

  test("may be replaced by what it was before, all of which is durable", () => {
    const bench = new Bench("older");
    bench.perform(create("a"), write("a", 0, "one"), sync("a"), syncDir);
    const older = bench.disk.durableImage();
    bench.perform(write("a", 0, "two"), create("b"), sync("a"));
    bench.disk.crash("power");
    bench.disk.replace(older);
    bench.listen();
    expect(bench.image()).toEqual({ a: "one" });
    expect(bench.disk.survivesPowerLoss("a", 0, 3)).toBe(true);
  });
});

describe("the disk's time", () => {
  test("keeps the order on each file while different files overtake one another", () => {
    const order: string[] = [];
    const bench = new Bench("order");
    bench.perform(create("a"), create("b"));
    const names = new Map<number, string>();
    bench.disk.attach({ diskDone: (opId) => order.push(names.get(opId) as string) });
    for (let at = 0; at < 40; at++) {
      const file = at % 2 === 0 ? "a" : "b";
      names.set(1000 + at, `${file}${at}`);
      const parts = [bytesOf("x")];
      const position = at as Position;
      bench.disk.submit({ kind: "write-at", opId: (1000 + at) as OpId, file, position, parts });
    }
    bench.settle();
    const ofFile = (file: string) => order.filter((name) => name.startsWith(file));
    const numbers = (file: string) => ofFile(file).map((name) => Number(name.slice(1)));
    for (const file of ["a", "b"])
      expect(numbers(file)).toEqual([...numbers(file)].sort((x, y) => x - y));
    expect(order).not.toEqual([...names.values()]);
  });

  test("lets a crash fall before or after an effect", () => {
    const timeline = new Timeline();
    const profile = {
      operationMeanMicros: 40,
      syncMeanMicros: 1000,
      slowPerMille: 0,
      capacityBytes: 0,
    };
    for (const edge of ["before", "after"] as const) {
      const disk: SimDisk = new SimDisk(timeline, profile, new Prng(edge), {
        submitted: () => undefined,
        reached: () => edge !== "before" || crash(),
        applied: () => edge !== "after" || crash(),
      });
      const crash = () => {
        disk.crash("process");
        return false;
      };
      disk.attach({ diskDone: () => expect.unreachable("a dead node hears nothing") });
      disk.submit({ kind: "create", opId: 1 as OpId, file: "a" });
      while (timeline.next !== Number.POSITIVE_INFINITY) timeline.advance();
      if (edge === "after") expect(disk.writtenImage().has("a")).toBe(true);
    }
  });
});
