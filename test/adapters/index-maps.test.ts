// The choice of an index, and what a mapping must survive.

import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

import { FileDisk } from "../../src/adapters/file-disk.ts";
import { chooseIndex, parseIndexWish } from "../../src/adapters/index-maps.ts";
import { MAP_BYTES_MAX } from "../../src/adapters/mapped-index.ts";
import { compileProgram } from "./child-program.ts";
import { HAS_MMAP, INDEX_KINDS } from "./index-kinds.ts";

describe("an index", () => {
  let directory: string;
  let file: string;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "cairn-index-"));
    file = join(directory, "index");
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  test("is what CAIRN_INDEX says, and the disk says which", () => {
    const kindOf = (value: string | undefined): string => {
      const index = chooseIndex(parseIndexWish(value)).maps;
      return new FileDisk({ directory, index }).indexKind;
    };
    for (const kind of INDEX_KINDS) expect(kindOf(kind)).toBe(kind);
    if (HAS_MMAP) for (const auto of ["auto", "", undefined]) expect(kindOf(auto)).toBe("mmap");
    expect(() => parseIndexWish("ram")).toThrow("CAIRN_INDEX=ram: expected mmap, file or auto");
  });

  test("is a plain file where the addon does not load, and says why", () => {
    const absent = () => ({ kind: "absent", why: "no such addon" }) as const;
    expect(chooseIndex("file", absent).fallback).toBeNull();
    const { maps, fallback } = chooseIndex("auto", absent);
    expect([maps.kind, fallback]).toEqual(["file", "no such addon"]);
    expect(() => chooseIndex("mmap", absent)).toThrow(/CAIRN_INDEX=mmap.*no such addon/);
  });

  if (HAS_MMAP) {
    test("that is mapped survives a kill -9 of its process", async () => {
      const length = 3 * 4096 + 12;
      writeFileSync(file, new Uint8Array(length));
      const program = compileProgram("test/adapters/children/map-writer.ts");
      const writer = program.start(file, String(length));
      expect(await writer.line()).toBe("written");
      await writer.kill();
      program.remove();
      const expected = new Uint8Array(length);
      expected.set([1, 2, 3]);
      expected.set([4, 5, 6], length - 3);
      expect(Buffer.compare(readFileSync(file), expected)).toBe(0);
    });
  }

  test("is refused with its sizes when the file is not what was to be mapped", async () => {
    writeFileSync(file, new Uint8Array(100));
    const fd = openSync(file, "r+");
    for (const wish of INDEX_KINDS) {
      const { maps } = chooseIndex(wish);
      await expect(maps.map("index", fd, 200)).rejects.toThrow(/has 100 bytes, 200/);
      await expect(maps.flush("index", fd)).rejects.toThrow(/not mapped/);
    }
    if (HAS_MMAP) {
      const { maps } = chooseIndex("mmap");
      await expect(maps.map("index", fd, 0)).rejects.toThrow(/cannot be mapped/);
      await expect(maps.map("index", fd, MAP_BYTES_MAX + 1)).rejects.toThrow(/cannot be mapped/);
    }
    closeSync(fd);
  });

  test("follows a rename of its file, and lets go of the one it replaces", async () => {
    writeFileSync(file, new Uint8Array(8));
    const fd = openSync(file, "r+");
    for (const wish of INDEX_KINDS) {
      const { maps } = chooseIndex(wish);
      const view = await maps.map("old", fd, 8);
      maps.renamed("old", "new");
      view[0] = 5;
      await maps.flush("new", fd);
      expect(readFileSync(file)[0]).toBe(5);
      await expect(maps.flush("old", fd)).rejects.toThrow(/not mapped/);
      maps.renamed("never mapped", "new");
      await expect(maps.flush("new", fd)).rejects.toThrow(/not mapped/);
    }
    closeSync(fd);
  });
});
