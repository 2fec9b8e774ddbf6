// The demo's proof holds for a right log and fails for each way in which a log can be wrong.

import { describe, expect, test } from "vitest";

import { type Evidence, findContradictions } from "../../src/cli/demo-proof.ts";

const texts = ["one", "", "}", "}", "five"];
const lines = texts.map((text) => Buffer.from(text));

function evidence(
  log: readonly string[] = texts,
  offsets: readonly (number | null)[] = [0, 1, 2, 3, 4],
): Evidence {
  const records = log.map((text, offset) => ({ offset, value: Buffer.from(text) }));
  const right = texts.map((text, offset) => ({ offset, value: Buffer.from(text) }));
  return {
    lines,
    acknowledged: offsets,
    logs: [
      { node: "n1", records: right },
      { node: "n2", records },
    ],
  };
}

test("the proof holds when every line is once at its offset, equal lines too", () => {
  expect(findContradictions(evidence())).toEqual([]);
});

describe("the proof fails", () => {
  test.each([
    ["a lost line", evidence(["one", "", "}", "five"]), "n2 has 4 records for 5 lines"],
    [
      "a doubled line",
      evidence(["one", "", "}", "}", "}", "five"]),
      "n2 has 6 records for 5 lines",
    ],
    [
      "a doubled line in place of a lost one",
      evidence(["one", "one", "}", "}", "five"]),
      'n2: line 2, acknowledged at 1, is another: "one"',
    ],
    [
      "two lines in the wrong order",
      evidence(["one", "}", "", "}", "five"]),
      'n2: line 2, acknowledged at 1, is another: "}"',
    ],
    [
      "a line never acknowledged",
      evidence(texts, [0, 1, null, 3, 4]),
      "line 3 was never acknowledged",
    ],
    [
      "two lines acknowledged at one offset",
      evidence(texts, [0, 1, 2, 2, 4]),
      "line 4 was acknowledged at 2, not after 2",
    ],
    [
      "fewer acknowledgements than lines",
      evidence(texts, [0, 1, 2, 3]),
      "5 lines were sent, 4 were accounted for",
    ],
  ])("for %s", (_what, wrong, problem) => {
    expect(findContradictions(wrong)).toContain(problem);
  });

  test("for a hole in the offsets", () => {
    const wrong = evidence();
    const records = texts.map((text, at) => ({
      offset: at < 2 ? at : at + 1,
      value: Buffer.from(text),
    }));
    const holed = { ...wrong, logs: [{ node: "n3", records }] };
    expect(findContradictions(holed)).toContain("n3: record 2 has offset 3");
  });

  test("when no log was read", () => {
    expect(findContradictions({ ...evidence(), logs: [] })).toEqual(["no log was read"]);
  });

  test("with ten sentences at most", () => {
    const many = Array.from({ length: 100 }, () => Buffer.from("x"));
    const wrong = { lines: many, acknowledged: many.map(() => null), logs: evidence().logs };
    expect(findContradictions(wrong)).toHaveLength(10);
  });
});
