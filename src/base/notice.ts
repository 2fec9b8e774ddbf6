// One thing worth telling an operator, as data: the adapter makes a log line or a metric of it.

export interface Notice {
  readonly level: "debug" | "info" | "warn" | "error";
  /** Kebab-case, stable: operators search for it. */
  readonly what: string;
  readonly facts: Readonly<Record<string, string | number | boolean | null>>;
}
