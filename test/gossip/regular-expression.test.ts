// Regular expressions of query filters: found where RE2 finds them, refused where they are none,
// and never slow.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RegularExpression, STEPS_MAX } from "../../src/gossip/regular-expression.ts";

const isFound = (expression: string, text: string) =>
  RegularExpression.parse(expression)?.isFoundIn(text) ?? null;

describe("an expression", () => {
  const cases: readonly (readonly [string, string, boolean])[] = [
    ["", "", true],
    ["", "anything", true],
    ["w.*", "web", true],
    ["w.*", "a web", true],
    ["^w.*$", "a web", false],
    ["^(web|cache)$", "cache", true],
    ["^(web|cache)$", "caches", false],
    ["a+b?c*", "xa", true],
    ["^a{2,3}$", "aa", true],
    ["^a{2,3}$", "aaaa", false],
    ["^a{2}$", "aa", true],
    ["^a{2,}$", "aaaaa", true],
    ["^a{,2}$", "a{,2}", true],
    ["^a{0}$", "", true],
    ["^[a-c]+$", "abcab", true],
    ["^[^a-c]+$", "xyz", true],
    ["^[^a-c]+$", "xaz", false],
    ["^[]a]+$", "]a", true],
    ["^[a-]+$", "a-", true],
    ["[\\d-]{3}", "1-2", true],
    ["^[[:alpha:]]+$", "Ab", true],
    ["^[[:^alpha:]]+$", "12", true],
    ["^\\d+\\.\\d+$", "0.94", true],
    ["^\\d+\\.\\d+$", "0x94", false],
    ["^\\W\\S\\D$", "-ab", true],
    ["\\bweb\\b", "a web b", true],
    ["\\bweb\\b", "awebb", false],
    ["\\Beb", "web", true],
    ["(?i)^WEB$", "wEb", true],
    ["(?i)^[x-z]$", "Y", true],
    ["(?i:W)eb", "web", true],
    ["(?i:W)EB", "web", false],
    ["(?m)^b$", "a\nb\nc", true],
    ["^b$", "a\nb\nc", false],
    ["a.b", "a\nb", false],
    ["(?s)a.b", "a\nb", true],
    ["(?U)a+", "a", true],
    ["(?P<name>a)b", "ab", true],
    ["(?<name>a)b", "ab", true],
    ["(?:a|b)*c", "ababc", true],
    ["a+?b*?c??", "a", true],
    ["\\Qa.b\\E.", "a.bc", true],
    ["\\Qa.b\\E.", "axbc", false],
    ["\\x41\\x{1F600}\\101", "A\u{1F600}A", true],
    ["\\Aa\\z", "a", true],
    ["^.$", "\u{1F600}", true],
    ["\\t\\n", "\t\n", true],
    ["(|a)*b", "aab", true],
    ["(a*)*$", "b", true],
  ];
  for (const [expression, text, wanted] of cases) {
    test(`${JSON.stringify(expression)} is ${wanted ? "" : "not "}in ${JSON.stringify(text)}`, () => {
      expect(isFound(expression, text)).toBe(wanted);
    });
  }

  test("that is none, or not known here, is refused", () => {
    const none = ["(", ")", "a)", "[", "[a", "*", "a**", "a{2}{3}", "a{1001}", "a{3,2}", "[z-a]"];
    none.push("\\", "\\1", "\\pL", "\\C", "(?=a)", "(?<!a)", "(?P<>a)", "(?x)", "[[:nope:]]");
    none.push("\\x{110000}", "\\xg0", "(?i", "\\é", "(?P=a)", "a".repeat(2000));
    expect(none.filter((expression) => RegularExpression.parse(expression) !== null)).toEqual([]);
  });

  test("that would be of very many steps is refused before they are made", () => {
    const nested = "(((((((a{1000}){1000}){1000}){1000}){1000}){1000}){1000})";
    expect(RegularExpression.parse(nested)).toBeNull();
    expect(RegularExpression.parse(`a{${STEPS_MAX}}`)).toBeNull();
    expect(RegularExpression.parse("(".repeat(60) + ")".repeat(60))).toBeNull();
    expect(RegularExpression.parse("(".repeat(40) + ")".repeat(40))).not.toBeNull();
  });

  test("in which JavaScript would stand still is answered at once", () => {
    const text = `${"a".repeat(512)}!`;
    for (const bad of ["(a+)+$", "(a|aa)+$", "(a|a?)+b$", "(.*a){20}$", "(x+x+)+y|^(a+)+$"]) {
      expect([bad, isFound(bad, text)]).toEqual([bad, false]);
    }
  });

  /** Expressions that mean the same in JavaScript, over a small alphabet. */
  const expressions = fc.letrec<{ all: string; atom: string; part: string }>((tie) => ({
    atom: fc.oneof(
      fc.constantFrom("a", "b", ".", "[ab]", "[^a]", "\\d", "\\w", "\\b", "^", "$"),
      tie("all").map((inner) => `(?:${inner})`),
    ),
    part: fc.oneof(
      { weight: 3, arbitrary: tie("atom") },
      fc
        .tuple(fc.constantFrom("a", "b", "[ab1]", "(?:a|b1)"), fc.constantFrom("*", "+", "?"))
        .map((pair) => pair.join("")),
      fc.constantFrom("a{2}", "b{0,2}", "(?:ab){1,}"),
    ),
    all: fc.oneof(
      { maxDepth: 4 },
      tie("part"),
      fc.array(tie("part"), { maxLength: 3 }).map((parts) => parts.join("")),
      fc.tuple(tie("all"), tie("all")).map((both) => both.join("|")),
    ),
  }));

  test("is found where JavaScript finds it", () => {
    const text = fc.string({ unit: fc.constantFrom("a", "b", "1", "-"), maxLength: 8 });
    fc.assert(
      fc.property(expressions.all, text, (expression, drawn) => {
        expect(isFound(expression, drawn)).toBe(new RegExp(expression, "u").test(drawn));
      }),
      { numRuns: 2000 },
    );
  });

  test("that is any text at all never throws", () => {
    const unit = fc.constantFrom(..."()[]{}*+?|\\^$.-,ab019iPQE:<>\n");
    fc.assert(
      fc.property(fc.string({ unit, maxLength: 30 }), (expression) => {
        expect([true, false, null]).toContain(isFound(expression, "ab01-"));
      }),
      { numRuns: 3000 },
    );
  });
});
