// Access by Casbin: the seeds' model and policy files, decided synchronously and remembered. Denied
// by default. Owns the reading of the two texts, so that a typing error in a policy is found at the
// start, with its line, and not as somebody's silent lack of a right. Reads no files: texts come
// in.

import { type Enforcer, type Model, newEnforcer, newModelFromString, StringAdapter } from "casbin";
import type { Authorizer } from "../ports/authorizer.ts";

/** The contents of a file, and its name for errors. */
export interface NamedText {
  readonly file: string;
  readonly text: string;
}

/** A model or policy that cannot be used: one line with file, line and what to do. */
export class PolicyError extends Error {
  override readonly name = "PolicyError";
}

/**
 * The seeds' model, grown: a policy's object `*` still means everything, other objects may end in
 * `*`, and subjects may have roles. The seeds' policies keep their meaning.
 */
export const DEFAULT_MODEL: string = `# How a request (subject, object, action) is held against the policy.

[request_definition]
r = sub, obj, act

[policy_definition]
p = sub, obj, act

# A subject may stand for others: "g, ann, role:writer" in the policy.
[role_definition]
g = _, _

# Allowed when one rule says so; nothing is allowed by default.
[policy_effect]
e = some(where (p.eft == allow))

# The object * in the policy means every object, and cursor/* those that begin with cursor/.
[matchers]
m = g(r.sub, p.sub) && (p.obj == "*" || keyMatch(r.obj, p.obj)) && r.act == p.act
`;

/** The seeds' policy, and the acts they do not know: root may do all, nobody else anything. */
export const DEFAULT_POLICY = `# Who may do what: p, SUBJECT, OBJECT, ACTION.
# SUBJECT: the common name of a client's certificate, or a role given below.
# OBJECT:  * is the log and everything else.
# ACTION:  produce, consume, admin, describe (which each of the others implies).

p, root, *, produce
p, root, *, consume
p, root, *, admin

# Roles; no certificate of cairn certs can bear a name with a colon.
# p, role:reader, *, consume
# g, ann, role:reader
`;

/** Decisions remembered; when full, the oldest goes. */
const DECISIONS_MAX = 10_000;

/** A line of the policy that means something. */
export interface PolicyLine {
  readonly line: number;
  /** Without what stands around it. */
  readonly text: string;
  readonly fields: readonly string[];
}

/** A decision, and the line that made it, when one did. */
export interface Explained {
  readonly isAllowed: boolean;
  readonly by: PolicyLine | null;
}

export class CasbinAuthorizer implements Authorizer {
  readonly #enforcer: Enforcer;
  readonly #lines: readonly PolicyLine[];
  readonly #decisions = new Map<string, boolean>();

  constructor(enforcer: Enforcer, lines: readonly PolicyLine[]) {
    this.#enforcer = enforcer;
    this.#lines = lines;
  }

  /** Lines of the policy that mean something. */
  get ruleCount(): number {
    return this.#lines.length;
  }

  /** As `allows`, for people: not remembered, and slower. */
  explain(subject: string, object: string, action: string): Explained {
    const isAllowed = this.#decide(subject, object, action);
    try {
      const [, rule] = this.#enforcer.enforceExSync(subject, object, action);
      const by =
        rule.length === 0 ? undefined : this.#lines.find(({ fields }) => same(fields, rule));
      return { isAllowed, by: by ?? null };
    } catch {
      return { isAllowed, by: null };
    }
  }

  allows(subject: string, object: string, action: string): boolean {
    // Lengths in front: no choice of names makes two questions one.
    const question = `${subject.length}:${object.length}:${subject}${object}${action}`;
    const known = this.#decisions.get(question);
    if (known !== undefined) return known;
    const decision = this.#decide(subject, object, action);
    if (this.#decisions.size >= DECISIONS_MAX) {
      const oldest = this.#decisions.keys().next();
      if (oldest.done !== true) this.#decisions.delete(oldest.value);
    }
    this.#decisions.set(question, decision);
    return decision;
  }

  #decide(subject: string, object: string, action: string): boolean {
    try {
      return this.#enforcer.enforceSync(subject, object, action);
    } catch {
      // A name the matcher cannot look at (a bad pattern, say) is a name without rights.
      return false;
    }
  }
}

function same(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((field, at) => field === b[at]);
}

/** Reads both texts and proves that they work together; throws PolicyError when they do not. */
export async function openCasbinAuthorizer(
  model: NamedText,
  policy: NamedText,
): Promise<CasbinAuthorizer> {
  const parsed = readModel(model);
  const lines = await readPolicy(parsed, policy);
  try {
    const enforcer = await newEnforcer(parsed, new StringAdapter(policy.text));
    // A matcher is compiled at its first use, and looks at all its parts only for what a policy
    // says.
    const [subject = "", object = "", action = ""] =
      enforcer.getModel().getPolicy("p", "p")[0] ?? [];
    enforcer.enforceSync(subject, object, action);
    return new CasbinAuthorizer(enforcer, lines);
  } catch (error) {
    throw new PolicyError(`${model.file}: its matcher does not work: ${messageOf(error)}`);
  }
}

const MODEL_SECTIONS: readonly (readonly [key: string, section: string])[] = [
  ["r", "request_definition"],
  ["p", "policy_definition"],
  ["e", "policy_effect"],
  ["m", "matchers"],
];

function readModel({ file, text }: NamedText): Model {
  let model: Model;
  try {
    model = newModelFromString(text);
  } catch (error) {
    throw new PolicyError(`${file}: not a Casbin model: ${messageOf(error)}`);
  }
  for (const [key, section] of MODEL_SECTIONS) {
    if (model.model.get(key)?.get(key) === undefined) {
      throw new PolicyError(`${file}: section [${section}] must define ${key}`);
    }
  }
  const asked = model.model.get("r")?.get("r")?.tokens.length;
  if (asked !== 3) {
    throw new PolicyError(`${file}: [request_definition] must be r = sub, obj, act`);
  }
  return model;
}

/**
 * Casbin itself takes misspelt, short and long lines in silence: each would be a right that nobody
 * has. So each line is read by Casbin's own parser, alone, and what came of it is looked at.
 */
async function readPolicy(model: Model, { file, text }: NamedText): Promise<PolicyLine[]> {
  const lines: PolicyLine[] = [];
  for (const [at, whole] of text.split(/\r?\n/).entries()) {
    const trimmed = whole.trim();
    if (trimmed === "" || trimmed.startsWith("#")) continue;
    const fields = await fieldsOfLine(model, trimmed);
    if (typeof fields === "string") {
      throw new PolicyError(`${file}:${at + 1}: ${fields}: ${trimmed}`);
    }
    lines.push({ line: at + 1, text: trimmed, fields });
  }
  model.clearPolicy();
  return lines;
}

/** The fields after the first; what is wrong with the line when something is. */
async function fieldsOfLine(model: Model, line: string): Promise<readonly string[] | string> {
  model.clearPolicy();
  try {
    await new StringAdapter(line).loadPolicy(model);
  } catch (error) {
    return messageOf(error);
  }
  for (const section of ["p", "g"]) {
    for (const [kind, definition] of model.model.get(section) ?? []) {
      const fields = definition.policy[0];
      if (fields !== undefined) return faultOfFields(kind, fields, definition) ?? fields;
    }
  }
  return "the model defines no such line, it begins with p in most models";
}

function faultOfFields(
  kind: string,
  fields: readonly string[],
  definition: { readonly tokens: readonly string[]; readonly value: string },
): string | null {
  const names = definition.tokens.map((token) => token.slice(kind.length + 1));
  const needed = names.length > 0 ? names.length : definition.value.split("_").length - 1;
  if (fields.length !== needed) {
    const which = names.length > 0 ? ` (${names.join(", ")})` : "";
    return `${fields.length} fields after ${kind}, the model needs ${needed}${which}`;
  }
  const empty = fields.indexOf("");
  return empty < 0 ? null : `field ${empty + 1} after ${kind} is empty`;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
