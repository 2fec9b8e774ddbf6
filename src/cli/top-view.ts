// How `cairn top` looks: one screen of a cluster as it is now and was in the last minute. Owns
// widths, words and colours; what is true is top.ts.

import { grouped, paint } from "./terminal.ts";

export interface TopMember {
  readonly name: string;
  readonly address: string;
  /** serving, opening and so on; or why it does not answer. */
  readonly state: string;
  readonly answers: boolean;
  readonly role: string;
  readonly term: number;
  readonly startOffset: number;
  readonly endOffset: number;
  /** Entries that are not on its disk yet. */
  readonly unsynced: number;
  /** Records that were committed there, a second. */
  readonly recordsPerSecond: number;
  /** Until it answered. */
  readonly ms: number;
}

export interface Top {
  readonly members: readonly TopMember[];
  /** Records a second of the whole cluster, oldest first, a sample a second. */
  readonly history: readonly number[];
  readonly at: Date;
}

type Stream = { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number };

const COLUMNS_USUAL = 80;
const ROWS_USUAL = 24;
/** Lines above and below the members. */
const REST_ROWS = 8;
const BARS = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"] as const;

/** The lines of the screen; no longer than it is wide, no more than it is high. */
export function drawTop({ members, history, at }: Top, stream: Stream): readonly string[] {
  const columns = Math.max(60, stream.columns ?? COLUMNS_USUAL);
  const leader = leaderOf(members);
  const answering = members.filter(({ answers }) => answers);
  const end = Math.max(0, ...answering.map(({ endOffset }) => endOffset));
  const start = Math.max(0, ...answering.map(({ startOffset }) => startOffset));
  const leads =
    leader === null
      ? paint("red", "nobody leads", stream)
      : `${paint("green", leader.name, stream)} leads term ${leader.term}`;
  const time = at.toTimeString().slice(0, 8);
  const now = history.at(-1) ?? 0;
  const lines = [
    `${paint("bold", "cairn top", stream)}  ${time}  ${counted(members, answering)}, ${leads}`,
    `log        ${grouped(start)} .. ${grouped(end)}`,
    `records/s  ${grouped(now).padStart(9)}  ${sparkline(history, columns - 24)}`,
    "",
    paint("bold", headOf(columns), stream),
    ...rowsThatFit(members, stream).map((member) => rowOf(member, end, columns, stream)),
    "",
    paint("dim", "q quits", stream),
  ];
  return lines;
}

function counted(members: readonly TopMember[], answering: readonly TopMember[]): string {
  const count = members.length === 1 ? "1 member" : `${members.length} members`;
  return answering.length === members.length ? count : `${count}, ${answering.length} answer`;
}

/** Of two who say so, the one of the later term. */
function leaderOf(members: readonly TopMember[]): TopMember | null {
  const leaders = members.filter(({ role, answers }) => role === "leader" && answers);
  return leaders.toSorted((one, other) => other.term - one.term)[0] ?? null;
}

function rowsThatFit(members: readonly TopMember[], stream: Stream): readonly TopMember[] {
  const room = Math.max(1, (stream.rows ?? ROWS_USUAL) - REST_ROWS);
  return members.toSorted((a, b) => (a.name < b.name ? -1 : 1)).slice(0, room);
}

/** Behind the name; they fit 80 columns. */
const FIGURES = ["role", "term", "end", "behind", "unsynced", "rec/s", "answer"] as const;
const WIDTHS = [9, 5, 11, 7, 8, 8, 7] as const;
const NAME_WIDTH = 10;

function headOf(columns: number): string {
  const titles = FIGURES.map((title, at) => title.padStart(WIDTHS[at] ?? 0));
  return ["member".padEnd(NAME_WIDTH), ...titles].join(" ").slice(0, columns);
}

function rowOf(member: TopMember, end: number, columns: number, stream: Stream): string {
  const { name, answers, state, role, term, endOffset, unsynced, recordsPerSecond, ms } = member;
  const short = name.length > NAME_WIDTH ? `${name.slice(0, NAME_WIDTH - 2)}..` : name;
  if (!answers) return paint("red", `${short.padEnd(NAME_WIDTH)} ${state}`, stream);
  const figures = [
    state === "serving" ? role : state,
    String(term),
    grouped(endOffset),
    grouped(end - endOffset),
    grouped(unsynced),
    grouped(recordsPerSecond),
    `${ms} ms`,
  ].map((text, at) => text.padStart(WIDTHS[at] ?? 0));
  const line = [short.padEnd(NAME_WIDTH), ...figures].join(" ").slice(0, columns);
  return role === "leader" && state === "serving" ? paint("green", line, stream) : line;
}

/** The samples as bars, the highest of them full; the newest is last. */
export function sparkline(samples: readonly number[], width: number): string {
  const shown = samples.slice(-Math.max(1, width));
  const highest = Math.max(...shown, 1);
  return shown
    .map((sample) => BARS[Math.min(BARS.length - 1, Math.floor((sample / highest) * BARS.length))])
    .join("");
}
