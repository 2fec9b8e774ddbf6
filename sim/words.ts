// Words that reports and traces share.

/** "1 crash", "2 crashes". */
export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}
