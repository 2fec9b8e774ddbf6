// What `cairn keys` shows: which key is where.

import { expect, test } from "vitest";

import { drawKeys } from "../../src/cli/keys.ts";

const [one, two] = ["A".repeat(44), "B".repeat(44)];
const told = (name: string, ...keys: string[]) => ({ name, keys, trouble: null });

test("a rotation that is half done is seen by key, in 80 columns", () => {
  const gone = { name: "n4", keys: [], trouble: "nobody answers" };
  const lines = drawKeys([told("n1", two, one), told("n2", one, two), told("n3", one), gone]);
  expect(lines).toEqual([
    `${"key".padEnd(44)}  installed  in use`,
    `${one}  3/4        2/4`,
    `${two}  2/4        1/4`,
  ]);
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThanOrEqual(80);
});
