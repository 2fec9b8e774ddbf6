// The form of every measured figure, for people and for machines (design, section 8).

export interface Row {
  readonly bench: string;
  readonly case: string;
  readonly value: number;
  readonly unit: string;
  /** What it is measured against, in the same run where we can run it. */
  readonly reference: string | null;
  readonly referenceValue: number | null;
  /** value / referenceValue; null without a reference. */
  readonly ratio: number | null;
}

/** A picture for the docs beside the rows that say the same in figures. */
export interface Plot {
  /** Its name in docs. */
  readonly file: string;
  readonly svg: string;
}

export interface Measured {
  readonly rows: readonly Row[];
  readonly plots: readonly Plot[];
}

/** A row with its ratio. */
export function row(
  bench: string,
  what: string,
  value: number,
  unit: string,
  reference: string | null = null,
  referenceValue: number | null = null,
): Row {
  const ratio = referenceValue === null || referenceValue === 0 ? null : value / referenceValue;
  return { bench, case: what, value, unit, reference, referenceValue, ratio };
}

/** A number with four significant digits and thousands apart. */
export function readable(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString("en-US").replaceAll(",", " ");
  return String(Number(value.toPrecision(4)));
}

/** The rows as a table of at most 80 columns. */
export function table(rows: readonly Row[]): string {
  const cells = rows.map((one) => [
    one.case,
    `${readable(one.value)} ${one.unit}`,
    one.ratio === null ? "" : `${one.ratio.toFixed(2)} x`,
    one.reference === null ? "" : `${one.reference} (${readable(one.referenceValue ?? 0)})`,
  ]);
  const widths = [0, 1, 2, 3].map((at) =>
    Math.max(...cells.map((line) => (line[at] ?? "").length)),
  );
  return cells
    .map((line) =>
      line
        .map((cell, at) => pad(cell, widths[at] ?? 0, at))
        .join("  ")
        .trimEnd(),
    )
    .map((line) => (line.length > 80 ? `${line.slice(0, 79)}…` : line))
    .join("\n");
}

function pad(cell: string, width: number, column: number): string {
  return column === 1 || column === 2 ? cell.padStart(width) : cell.padEnd(width);
}
