// `cairn acl init|test`: writes the access rules to begin with, and says what the rules make of a
// question. Owns the words; the decision is the same Casbin's and the same table's as in an agent.

import { mkdirSync, writeFileSync } from "node:fs";
import path from "node:path";

import {
  type CasbinAuthorizer,
  DEFAULT_MODEL,
  DEFAULT_POLICY,
  type Explained,
} from "../adapters/casbin-authorizer.ts";
import { ACTIONS, sufficientFor, WHOLE_LOG } from "../service/access.ts";
import { openRules } from "./agent-security.ts";
import { CommandError, EXIT } from "./exit.ts";
import { Output, paint, say } from "./terminal.ts";

export interface AclFlags {
  readonly dir?: string;
  readonly aclModelFile?: string;
  readonly aclPolicyFile?: string;
  readonly json?: boolean;
}

export async function runAclInit({ dir = ".", json }: AclFlags): Promise<void> {
  const files = { model: path.join(dir, "model.conf"), policy: path.join(dir, "policy.csv") };
  mkdirSync(dir, { recursive: true });
  writeNew(files.model, DEFAULT_MODEL);
  writeNew(files.policy, DEFAULT_POLICY);
  const output = new Output();
  if (json === true) await output.line(JSON.stringify(files));
  else {
    await output.line(files.model);
    await output.line(files.policy);
    say(`cairn agent --acl-model-file ${files.model} --acl-policy-file ${files.policy} uses them`);
  }
  await output.flush();
}

function writeNew(file: string, text: string): void {
  try {
    writeFileSync(file, text, { flag: "wx" });
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const why = code === "EEXIST" ? "exists already: remove it first" : message;
    throw new CommandError(`cannot write ${file}: ${why}`);
  }
}

/** Exit code 0 when allowed, 1 when denied. */
export async function runAclTest(
  [subject, action, object = WHOLE_LOG]: readonly [string, string, string?],
  flags: AclFlags,
): Promise<void> {
  const { casbin, policy } = await openRules({
    aclModelFile: flags.aclModelFile ?? null,
    aclPolicyFile: flags.aclPolicyFile ?? null,
  });
  const { isAllowed, by, asked } = decide(casbin, subject, object, action);
  const where = by === null ? null : `${policy.file}:${by.line}`;
  const output = new Output();
  if (flags.json === true) {
    const rule = by === null ? null : { file: policy.file, line: by.line, text: by.text };
    await output.line(JSON.stringify({ allowed: isAllowed, subject, action, object, rule }));
  } else {
    const colour = isAllowed ? "green" : "red";
    const verdict = paint(colour, isAllowed ? "allowed" : "denied", process.stdout);
    const may = isAllowed ? "may" : "may not";
    await output.line(`${verdict}: ${subject} ${may} ${action} ${object}`);
    await output.line(
      by === null ? `  no rule of ${policy.file} says so` : `  ${where}: ${by.text}`,
    );
    if (asked !== action) await output.line(`  whoever may ${asked} may ${action}`);
  }
  await output.flush();
  if (!ACTIONS.some((known) => known === action)) {
    say(`cairn: nothing asks for the action "${action}"; there are ${ACTIONS.join(", ")}`);
  }
  if (!isAllowed) throw new CommandError([], EXIT.failed);
}

/** The first way by which it is allowed, else what the rules say to the action itself. */
function decide(
  casbin: CasbinAuthorizer,
  subject: string,
  object: string,
  action: string,
): Explained & { readonly asked: string } {
  for (const asked of sufficientFor(action)) {
    const explained = casbin.explain(subject, object, asked);
    if (explained.isAllowed) return { ...explained, asked };
  }
  return { ...casbin.explain(subject, object, action), asked: action };
}
