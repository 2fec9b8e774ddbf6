// Which damage a node would not notice when it starts: that of the last group, and of both slots of
// the hard state falling back together. All other damage it refuses.

import { describe, expect, test } from "vitest";

import { type DiskImage, forgottenIn } from "../../sim/checks/disk-memory.ts";
import { LOG_START, pointAfter } from "../../src/base/entry.ts";
import { entriesAfter, hardStateOf, openedLog } from "../log/driver.ts";

const STORE = "00000000000000000001.store";

const driver = openedLog();
const older = driver.disk.killImage().get("hard-state") as Uint8Array;
const first = entriesAfter(LOG_START, 1, 3);
driver.write({ entries: first });
const groupAt = driver.log.status().storeBytes;
driver.write({ entries: entriesAfter(pointAfter(first[2] as (typeof first)[number]), 1, 2) });
driver.write({ hardState: hardStateOf(4, "n2") });
const written = driver.disk.killImage();

function damaged(file: string, change: (bytes: Uint8Array) => void): DiskImage {
  const bytes = (written.get(file) as Uint8Array).slice();
  change(bytes);
  return new Map(written).set(file, bytes);
}

describe("a node that starts on a damaged disk", () => {
  test("has forgotten nothing when all reads as it was written", () => {
    expect(forgottenIn(written, written)).toBeNull();
  });

  test("has forgotten the last group, when that rots or never reached the disk", () => {
    const rotten = damaged(STORE, (bytes) => bytes.fill(0xff, groupAt + 100, groupAt + 101));
    expect(forgottenIn(rotten, written)).toBe("its entries 4 to 5");
    const phantom = damaged(STORE, (bytes) => bytes.fill(0, groupAt));
    expect(forgottenIn(phantom, written)).toBe("its entries 4 to 5");
  });

  test("notices damage before the last group, and refuses", () => {
    for (const position of [20, 600, groupAt - 10])
      expect(
        forgottenIn(
          damaged(STORE, (bytes) => bytes.fill(0xa5, position, position + 1)),
          written,
        ),
      ).toBeNull();
  });

  test("has forgotten its vote when both slots are older, and not when one is", () => {
    const both = damaged("hard-state", (bytes) => bytes.set(older));
    expect(forgottenIn(both, written)).toBe("its hard state of term 4, vote n2");
    const one = damaged("hard-state", (bytes) => bytes.set(older.subarray(0, 512)));
    expect(forgottenIn(one, written)).toBeNull();
  });

  test("has forgotten that a store was removed, when that is there again", () => {
    const ghost = new Map([...written, ["00000000000000000099.store", new Uint8Array(512)]]);
    expect(forgottenIn(ghost, written)).toBe(
      "that its file 00000000000000000099.store was removed",
    );
  });
});
