// Lists that are filled during a turn and taken with its output. Owns that an empty one costs
// nothing: most turns say little of all that a turn may say.

const NOTHING: readonly never[] = [];

/** Removes and returns all of `items`, which go on to be filled. */
export function takeAll<T>(items: T[]): readonly T[] {
  return items.length === 0 ? NOTHING : items.splice(0);
}
