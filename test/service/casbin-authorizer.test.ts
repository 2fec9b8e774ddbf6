// The real Casbin with the seeds' texts: what root, nobody and strangers may, and what is wrong
// with a policy that has a typing error.

import { describe, expect, test } from "vitest";
import {
  DEFAULT_MODEL,
  DEFAULT_POLICY,
  openCasbinAuthorizer,
} from "../../src/adapters/casbin-authorizer.ts";

/** As the seeds ship it: all three compared exactly. */
const SEED_MODEL = `# Request definition
[request_definition]
r = sub, obj, act

# Policy definition
[policy_definition]
p = sub, obj, act

# Policy effect
[policy_effect]
e = some(where (p.eft == allow))

# Matchers
[matchers]
m = r.sub == p.sub && r.obj == p.obj && r.act == p.act
`;

const RBAC_MODEL = `${SEED_MODEL}
[role_definition]
g = _, _
`.replace("r.sub == p.sub", "g(r.sub, p.sub)");

const open = (policy: string, model = DEFAULT_MODEL) =>
  openCasbinAuthorizer({ file: "model.conf", text: model }, { file: "policy.csv", text: policy });

describe.each([
  ["the seeds' model", SEED_MODEL],
  ["the default model", DEFAULT_MODEL],
])("Casbin with %s and the seeds' policy", (_name, model) => {
  test("lets root produce and consume and nobody do anything", async () => {
    const authorizer = await open(DEFAULT_POLICY, model);
    const may = (subject: string, action: string) => authorizer.allows(subject, "*", action);
    expect([may("root", "produce"), may("root", "consume")]).toEqual([true, true]);
    expect([may("nobody", "produce"), may("nobody", "consume")]).toEqual([false, false]);
    expect([may("stranger", "produce"), may("", "produce"), may("root", "trim")]).toEqual([
      false,
      false,
      false,
    ]);
  });
});

describe("Casbin", () => {
  test("denies everybody when the policy is empty", async () => {
    const authorizer = await open("# nobody yet\n\n");
    expect(authorizer.allows("root", "*", "produce")).toBe(false);
  });

  test("matches prefixes of objects with the default model", async () => {
    const authorizer = await open("p, ann, orders/*, consume\n");
    expect(authorizer.allows("ann", "orders/7", "consume")).toBe(true);
    expect(authorizer.allows("ann", "bills/7", "consume")).toBe(false);
    expect(authorizer.allows("ann", "*", "consume")).toBe(false);
  });

  test.each([
    ["the default model", DEFAULT_MODEL],
    ["a model of one's own", RBAC_MODEL],
  ])("knows roles with %s", async (_name, model) => {
    const authorizer = await open("p, writer, *, produce\ng, ann, writer\n", model);
    expect(authorizer.allows("ann", "*", "produce")).toBe(true);
    expect(authorizer.allows("bob", "*", "produce")).toBe(false);
  });

  test("knows roles of roles with the default model, and no role by its name alone", async () => {
    const authorizer = await open("p, role:a, *, admin\ng, role:b, role:a\ng, ann, role:b\n");
    const may = (subject: string) => authorizer.allows(subject, "cursor/x", "admin");
    expect([may("ann"), may("bob"), may("role:c"), may("a")]).toEqual([true, false, false, false]);
  });

  test("names the line that decided", async () => {
    const policy = `# who\n\n  p, ann , cursor/*, consume\np, role:w, *, produce\ng, bob, role:w\n`;
    const authorizer = await open(policy);
    expect(authorizer.ruleCount).toBe(3);
    expect(authorizer.explain("ann", "cursor/7", "consume")).toEqual({
      isAllowed: true,
      by: { line: 3, text: "p, ann , cursor/*, consume", fields: ["ann", "cursor/*", "consume"] },
    });
    expect(authorizer.explain("bob", "*", "produce")).toMatchObject({
      isAllowed: true,
      by: { line: 4 },
    });
    expect(authorizer.explain("bob", "*", "consume")).toEqual({ isAllowed: false, by: null });
  });

  test("names the line that denies, where the model knows such lines", async () => {
    const model = SEED_MODEL.replace("p = sub, obj, act", "p = sub, obj, act, eft").replace(
      "some(where (p.eft == allow))",
      "some(where (p.eft == allow)) && !some(where (p.eft == deny))",
    );
    const policy = "p, ann, *, produce, allow\np, ann, *, produce, deny\n";
    const authorizer = await open(policy, model);
    expect(authorizer.explain("ann", "*", "produce")).toMatchObject({
      isAllowed: false,
      by: { line: 2 },
    });
  });

  test("gives the same answer again, also after more questions than it remembers", async () => {
    const authorizer = await open(DEFAULT_POLICY);
    for (let round = 0; round < 2; round++) {
      expect(authorizer.allows("root", "*", "produce")).toBe(true);
      expect(authorizer.allows("nobody", "*", "produce")).toBe(false);
      for (let i = 0; i < 11_000; i++) authorizer.allows(`subject-${i}`, "*", "produce");
    }
  });

  test("does not take two names for one, wherever the words are split", async () => {
    const authorizer = await open("p, ro, o*, tproduce\n", SEED_MODEL);
    expect(authorizer.allows("ro", "o*", "tproduce")).toBe(true);
    expect(authorizer.allows("roo", "*", "tproduce")).toBe(false);
    expect(authorizer.allows("ro", "o", "*tproduce")).toBe(false);
  });

  test.each([
    [
      "p, root, *, produce\np, root, *\n",
      /^policy\.csv:2: 2 fields after p, .*3 \(sub, obj, act\)/,
    ],
    ["p, root, *, produce, allow\n", /^policy\.csv:1: 4 fields after p/],
    ["# fine\n\nq, root, *, produce\n", /^policy\.csv:3: the model defines no such line/],
    ["p, root, *, produce\ng, ann\n", /^policy\.csv:2: 1 fields after g, the model needs 2/],
    ["p, root, , produce\n", /^policy\.csv:1: field 2 after p is empty/],
    ['p, "root, *, produce\n', /^policy\.csv:1: /],
  ])("refuses the policy %j and names its line", async (policy, message) => {
    await expect(open(policy)).rejects.toThrow(message);
  });

  test.each([
    ["", /^model\.conf: /],
    [SEED_MODEL.replace("[matchers]", "[matcherz]"), /^model\.conf: /],
    [SEED_MODEL.replace("r = sub, obj, act", "r = sub, act"), /^model\.conf: .*r = sub, obj, act/],
    [SEED_MODEL.replace("p.act", "p.act ("), /^model\.conf: its matcher does not work/],
    [SEED_MODEL.replace("r.obj == p.obj", "keyMatsch(r.obj, p.obj)"), /^model\.conf: its matcher/],
  ])("refuses a model that cannot work and names its file", async (model, message) => {
    await expect(open(DEFAULT_POLICY, model)).rejects.toThrow(message);
  });
});
