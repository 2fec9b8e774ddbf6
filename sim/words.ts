// Words that reports and traces share.

import type { PlannedErrand } from "./operator.ts";
import type { Target } from "./plan.ts";

/** "1 crash", "2 crashes". */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** What an operator is to do: "add n3 as a voter at 1.2 s". */
export function describeErrand(errand: PlannedErrand): string {
  const times = "times" in errand ? errand.times : 1;
  const at = `at ${errand.atMs / 1000} s${times > 1 ? `, ${times} times` : ""}`;
  return `${describeAsked(errand)} ${at}`;
}

function describeAsked(errand: PlannedErrand): string {
  switch (errand.kind) {
    case "trim":
      return `keep the last ${plural(errand.keep, "record")}`;
    case "transfer":
      return errand.to === null ? "let another lead" : `let ${nodeOf(errand.to)} lead`;
    case "add-member":
      return `add ${nodeOf(errand.node)} as a ${errand.asVoter ? "voter" : "learner"}`;
    case "remove-member":
      return `remove ${nodeOf(errand.node)}`;
    case "promote-member":
      return `promote ${nodeOf(errand.node)}`;
    case "demote-member":
      return `demote ${nodeOf(errand.node)}`;
    case "replace-member":
      return `replace ${nodeOf(errand.node)} by ${nodeOf(errand.withNode)}`;
    case "set-members": {
      const learning = errand.learners.length === 0 ? "" : `, ${namesOf(errand.learners)} to learn`;
      return `let ${namesOf(errand.voters)} vote${learning}`;
    }
  }
}

function namesOf(places: readonly number[]): string {
  return places.map(nodeOf).join(" ") || "nobody";
}

function nodeOf(target: Target): string {
  return target === "leader" ? "the leader" : `n${target}`;
}
