// Maps the index file given as its argument, writes into the memory, drops what gave the view, says
// "written" and waits to be killed. It never flushes.

import { closeSync, openSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

import { chooseIndex } from "../../../src/adapters/index-maps.ts";

const file = process.argv[2] ?? "";
const { maps } = chooseIndex("mmap");
const fd = openSync(file, "r+");
const view = await maps.map("index", fd, Number(process.argv[3]));
closeSync(fd);
view.set([1, 2, 3]);
maps.unmap("index");
setFlagsFromString("--expose-gc");
const collect = runInNewContext("gc") as () => void;
for (let round = 0; round < 5; round++) {
  collect();
  await new Promise((resolve) => setImmediate(resolve));
}
// The view alone keeps the mapping: were it gone, this would be a segmentation fault.
view.set([4, 5, 6], view.length - 3);
console.log("written");
process.stdin.resume();
