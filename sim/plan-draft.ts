// The shortest text of a plan: what a default says is left out, as in a plan that somebody wrote by
// hand. Owns what may go; the form and its defaults are sim/plan.ts.

import { BadPlan, encodeDraft, type Plan, type PlanDraft, planOf } from "./plan.ts";

type Fields = Readonly<Record<string, unknown>>;

/** A plan file that decodes to `plan`. */
export function encodeBriefly(plan: Plan): string {
  const full = JSON.stringify(plan);
  return encodeDraft(slimmed({ ...plan }, (draft) => textOf(draft) === full) as PlanDraft);
}

/** Without every field that `isSame` does not miss. */
function slimmed(part: Fields, isSame: (part: Fields) => boolean): Fields {
  let slim = part;
  for (const [name, value] of Object.entries(part)) {
    const { [name]: _, ...without } = slim;
    if (isSame(without)) {
      slim = without;
      continue;
    }
    const rest = slim;
    const isSameWith = (smaller: unknown) => isSame({ ...rest, [name]: smaller });
    if (Array.isArray(value)) slim = { ...rest, [name]: slimmedRows(value, isSameWith) };
    else if (isFields(value)) slim = { ...rest, [name]: slimmed(value, isSameWith) };
  }
  return slim;
}

/** Rows stay, their fields go. */
function slimmedRows(
  rows: readonly unknown[],
  isSame: (rows: readonly unknown[]) => boolean,
): unknown[] {
  const slim = [...rows];
  for (const [at, row] of rows.entries())
    if (isFields(row)) slim[at] = slimmed(row, (smaller) => isSame(slim.with(at, smaller)));
  return slim;
}

function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null;
}

function textOf(draft: Fields): string | null {
  try {
    return JSON.stringify(planOf(draft));
  } catch (error) {
    if (error instanceof BadPlan) return null;
    throw error;
  }
}
