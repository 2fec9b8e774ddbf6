// The question before a command changes what cannot be changed back. Owns who is asked, and what
// counts as yes.

import { createInterface } from "node:readline/promises";

import { CommandError, EXIT } from "./exit.ts";

export interface ConfirmFlags {
  readonly yes?: boolean;
}

/**
 * Returns when --yes was said, or yes was answered; throws a CommandError otherwise. `unasked` is
 * what is said where nobody can be asked.
 */
export async function confirm(
  question: string,
  unasked: string,
  { yes }: ConfirmFlags,
): Promise<void> {
  if (yes === true) return;
  if (process.stdin.isTTY !== true) throw new CommandError(`${unasked}: say --yes`, EXIT.usage);
  const asking = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await asking.question(`${question} [y/N] `);
  asking.close();
  if (!/^y(es)?$/i.test(answer.trim())) throw new CommandError("nothing was changed");
}
