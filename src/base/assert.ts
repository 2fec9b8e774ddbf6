// Assertions: on in production and in simulation alike. A broken invariant stops the node, because
// one node less is better than one wrong record. Damage on disk, and anything a peer or a client
// sends, is never an assertion: those are faults (faults.ts).

/** Thrown by `assert`; nobody below the composition root catches it. */
export class InvariantViolation extends Error {
  override readonly name = "InvariantViolation";
}

/**
 * Throws InvariantViolation unless `condition` holds. The message is a literal, so that nothing is
 * built when all is well; `facts` are read only on failure.
 */
export function assert(
  condition: boolean,
  message: string,
  ...facts: readonly (string | number | boolean | null)[]
): asserts condition {
  if (!condition) {
    throw new InvariantViolation(facts.length === 0 ? message : `${message} (${facts.join(", ")})`);
  }
}

/** For the end of an exhaustive switch: a new variant fails to compile here. */
export function unreachable(value: never): never {
  throw new InvariantViolation(`unreachable variant: ${JSON.stringify(value)}`);
}
