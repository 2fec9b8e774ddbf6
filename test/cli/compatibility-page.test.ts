// docs/compatibility.md and docs/operations.md against what they name: every test that a seed's
// scenario became exists under that name, every link leads somewhere.

import { existsSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, expect, test } from "vitest";

const page = readFileSync("docs/compatibility.md", "utf8");
const rows = [...page.matchAll(/^\| (.+) \| `(test\/[^`]+)`: (.+) \|$/gm)].map(
  ([, scenario = "", file = "", name = ""]) => [scenario, file, name] as const,
);

describe("the page of compatibility", () => {
  test("has every scenario of the seeds' tests", () => {
    expect(rows.length).toBeGreaterThanOrEqual(28);
  });

  test.each(rows)("names for “%s” a test that there is, in %s", (_scenario, file, name) => {
    expect(readFileSync(file, "utf8")).toContain(`"${name}"`);
  });
});

describe.each(["commands", "compatibility", "concepts", "observability", "operations", "security"])(
  "docs/%s.md",
  (name) => {
    const text = readFileSync(`docs/${name}.md`, "utf8");

    test("links to files that there are", () => {
      for (const [, target = ""] of text.matchAll(/\]\((?!https?:)([^)#]+)\)/g)) {
        expect(existsSync(path.join("docs", target)), target).toBe(true);
      }
    });

    test("names sources that there are", () => {
      for (const [, file = ""] of text.matchAll(/`((?:src|sim|test|proto)\/[\w/.-]+)`/g)) {
        expect(existsSync(file), file).toBe(true);
      }
    });
  },
);
