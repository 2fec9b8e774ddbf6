// How `cairn members` looks on a terminal: a table that fits its width, 80 columns where nobody
// says. Owns widths, words and colours; what is true is members.ts.

import { OWN_TAGS } from "../node/nomination.ts";
import { paint } from "./terminal.ts";

export interface MemberRow {
  readonly id: string;
  readonly address: string;
  /** leader or follower; empty for who is in gossip only. */
  readonly role: string;
  /** voter, learner, outgoing or none; empty when nobody says. */
  readonly standing: string;
  /** Entries it lacks, as the leader knows; null when that does not say. */
  readonly lag: number | null;
  /** probe, pipeline or snapshot, as the leader sends to it; empty when that does not say. */
  readonly replication: string;
  /** alive, leaving, left or failed; empty when nobody gossips of it. */
  readonly gossip: string;
  readonly tags: Readonly<Record<string, string>>;
  readonly answers: boolean;
  readonly ms: number | null;
}

type Stream = { readonly isTTY?: boolean; readonly columns?: number };

const COLUMNS_USUAL = 80;
/** What role, standing, lag, gossip and answers take, with their gaps. */
const REST_COLUMNS = 51;
const NAME_MIN = 6;
const NAME_MAX = 20;
const ADDRESS_MIN = 7;

/** The lines, heading first; no longer than the terminal is wide. */
export function drawMembers(rows: readonly MemberRow[], stream: Stream): readonly string[] {
  const columns = Math.max(60, stream.columns ?? COLUMNS_USUAL);
  const longest = (texts: string[], least: number) => {
    return Math.max(least, ...texts.map(({ length }) => length));
  };
  const nameWidth = Math.min(
    NAME_MAX,
    longest(
      rows.map(({ id }) => id),
      NAME_MIN,
    ),
  );
  const room = Math.max(ADDRESS_MIN, columns - REST_COLUMNS - nameWidth - 2);
  const addressWidth = Math.min(
    room,
    longest(
      rows.map(({ address }) => address),
      ADDRESS_MIN,
    ),
  );
  const place = (id: string, address: string) => {
    return `${sized(id, nameWidth)}  ${sized(address, addressWidth)}`;
  };
  const head = `${place("member", "address")}  role      standing  lag     gossip   answers`;
  const lines = [paint("bold", head, stream)];
  for (const row of rows) {
    lines.push(`${place(row.id, row.address)}  ${drawRest(row, stream)}`);
    const chosen = Object.entries(row.tags).filter(([name]) => !OWN_TAGS.includes(name));
    const tags = chosen.map(([name, value]) => `${name}=${value}`).join(" ");
    // What is usual is left out.
    if (row.replication === "probe" || row.replication === "snapshot") {
      lines.push(paint("yellow", `  replication: ${row.replication}`, stream));
    }
    if (tags !== "") lines.push(paint("dim", `  ${sized(tags, columns - 2).trimEnd()}`, stream));
  }
  return lines;
}

function drawRest(row: MemberRow, stream: Stream): string {
  const { role, standing, lag, gossip, answers, ms } = row;
  const shownRole = sized(role || "-", 8);
  const shownGossip = sized(gossip || "-", 7);
  const colour = gossip === "alive" || gossip === "" ? null : "yellow";
  const parts = [
    role === "leader" ? paint("green", shownRole, stream) : shownRole,
    sized(standing || "-", 8),
    sized(String(lag ?? "-"), 6),
    colour === null ? shownGossip : paint(colour, shownGossip, stream),
    drawAnswer(role, answers, ms, stream),
  ];
  return parts.join("  ");
}

/** Whoever is in gossip only was not asked. */
function drawAnswer(role: string, answers: boolean, ms: number | null, stream: Stream): string {
  if (answers) return `yes, ${ms} ms`;
  return role === "" ? "-" : paint("red", "no", stream);
}

/** Exactly so wide; what does not fit ends in two dots. */
function sized(text: string, width: number): string {
  return text.length <= width ? text.padEnd(width) : `${text.slice(0, width - 2)}..`;
}
