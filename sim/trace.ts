// A run as a person can read it: one row per thing that happened, its glyph in the column of its
// node. An observer that writes down; which rows are worth a line is decided at the end, when all
// are known.

import type { MemberId, NodeId, Term } from "../src/base/ids.ts";
import { type Membership, NO_MEMBERS, nameOf } from "../src/base/membership.ts";
import type { Stopped } from "../src/node/protocol.ts";
import type { RaftStatus } from "../src/raft/protocol.ts";
import { describeMembership } from "./checks/memberships.ts";
import type { LostWrite } from "./lost-writes.ts";
import type { Moment } from "./moments.ts";
import type { Computer, CrashKind, CrashLoss, Observer, Stage } from "./observer.ts";
import { plural } from "./words.ts";

const LINES_MAX = 60;
/** A row of progress for every so many committed entries. */
const PROGRESS_STEP = 50;

export const LEGEND =
  "+ started  * leads  x crashed  # lost power  - stopped  = paused  ~ disk lies  < dropped a tail  | cut  c committed  m members  . up";

interface Row {
  readonly at: number;
  /** One glyph per node. */
  readonly glyphs: string;
  readonly term: Term;
  readonly commit: number;
  readonly what: string;
  /** Rows of less weight are left out first. */
  readonly weight: number;
}

/** An observer that keeps the rows of `npm run sim`; ask for its `lines` when the run is over. */
export class Trace implements Observer {
  readonly #rows: Row[] = [];
  #stage: Stage | null = null;
  #term = 0 as Term;
  #commit = 0;
  #leader: NodeId | null = null;
  /** As the last leader that said so has committed them. */
  #members: Membership = NO_MEMBERS;
  #transferTo: MemberId | null = null;
  readonly #lastIndexes = new Map<NodeId, number>();

  attach(stage: Stage): void {
    this.#stage = stage;
  }

  nodeStarted(node: Computer): void {
    const what = node.life === 1 ? `${node.name} starts` : `${node.name} starts again`;
    this.#add(node.life === 1 ? 1 : 3, what, "+", [node.name]);
  }

  nodeCrashed(node: Computer, kind: CrashKind, loss: CrashLoss): void {
    this.#lastIndexes.delete(node.name);
    if (this.#leader === node.name) this.#leader = null;
    const losses = [
      loss.lostBytes > 0 ? `${plural(loss.lostBytes, "byte")} lost` : "",
      loss.tornWrites > 0 ? `${plural(loss.tornWrites, "write")} torn` : "",
      loss.lostNames > 0 ? `${plural(loss.lostNames, "name")} undone` : "",
    ].filter((text) => text !== "");
    const what = kind === "power" ? "loses power" : "crashes";
    const details = losses.length > 0 ? `: ${losses.join(", ")}` : "";
    this.#add(4, `${node.name} ${what}${details}`, kind === "power" ? "#" : "x", [node.name]);
  }

  nodeStopped(node: Computer, how: Stopped): void {
    const what = how.kind === "clean" ? "stops" : `stops by itself: ${how.why}`;
    this.#add(4, `${node.name} ${what}`, "-", [node.name]);
  }

  momentStruck(node: Computer, moment: Moment): void {
    this.#add(4, `${node.name} is struck at: ${moment}`, "x", [node.name]);
  }

  bitsRotted(node: Computer, bits: number): void {
    this.#add(4, `${plural(bits, "bit")} rot on the disk of ${node.name}`, "~", [node.name]);
  }

  writeLost(node: Computer, how: LostWrite): void {
    const what = how === "names" ? "names that it says are durable" : `a write (${how})`;
    this.#add(4, `the disk of ${node.name} loses ${what}`, "~", [node.name]);
  }

  diskReplaced(node: Computer, ageMs: number | null): void {
    const what = ageMs === null ? "is empty" : `is as it was ${ageMs} ms ago`;
    this.#add(4, `the disk of ${node.name} ${what}`, "~", [node.name]);
  }

  diskForgot(node: Computer, what: string): void {
    this.#add(4, `the disk of ${node.name} has forgotten ${what}`, "~", [node.name]);
  }

  diskLost(node: Computer): void {
    this.#add(4, `${node.name} is excused for good: its disk is damaged`, "-", [node.name]);
  }

  nodePaused(node: Computer): void {
    this.#add(4, `${node.name} is paused`, "=", [node.name]);
  }

  nodeResumed(node: Computer): void {
    this.#add(2, `${node.name} goes on`, ".", [node.name]);
  }

  pathsCut(from: readonly NodeId[], to: readonly NodeId[], isBothWays: boolean): void {
    const arrow = isBothWays ? "<-x->" : "-x->";
    this.#add(4, `cut: ${from.join(" ")} ${arrow} ${to.join(" ")}`, "|", from);
  }

  pathsMended(from: readonly NodeId[], to: readonly NodeId[]): void {
    this.#add(2, `mended: ${from.join(" ")} and ${to.join(" ")}`, ".", from);
  }

  healed(): void {
    this.#add(5, "the mishaps are over", ".", []);
  }

  nodeLeftOutside(node: Computer, how: string): void {
    this.#add(5, `${node.name} fails for ever: ${how}`, "x", [node.name]);
  }

  nodeSpared(node: Computer): void {
    this.#add(5, `${node.name} is spared: disks are lost, and it is needed`, ".", [node.name]);
  }

  excused(proof: string): void {
    this.#add(5, `recovery is excused: ${proof}`, ".", []);
  }

  recovered(): void {
    this.#add(5, "everything is answered and equal", ".", []);
  }

  raftChanged(node: Computer, raft: RaftStatus): void {
    const lastIndex = this.#lastIndexes.get(node.name) ?? 0;
    if (raft.lastIndex < lastIndex) {
      const dropped = plural(
        lastIndex - raft.lastIndex,
        "uncommitted entry",
        "uncommitted entries",
      );
      this.#add(3, `${node.name} drops ${dropped}`, "<", [node.name]);
    }
    this.#lastIndexes.set(node.name, raft.lastIndex);
    this.#lookAtMembers(node, raft);
    if (raft.role === "leader" && raft.term > this.#term) {
      this.#term = raft.term;
      this.#leader = node.name;
      this.#add(5, `${node.name} leads term ${raft.term}`, "*", [node.name]);
    }
    if (raft.commitIndex <= this.#commit) return;
    const before = Math.floor(this.#commit / PROGRESS_STEP);
    this.#commit = raft.commitIndex;
    if (Math.floor(this.#commit / PROGRESS_STEP) > before)
      this.#add(0, `${this.#commit} entries are committed`, "c", [node.name]);
  }

  /** Whoever leads has committed other members, or wants another to lead. */
  #lookAtMembers(node: Computer, raft: RaftStatus): void {
    if (raft.role !== "leader") return;
    const { committedMembership, transferTo } = raft;
    if (committedMembership !== this.#members) {
      const [before, now] = [this.#members, committedMembership].map(describeMembership);
      this.#members = committedMembership;
      if (before !== now) this.#add(3, `${node.name} commits the members ${now}`, "m", [node.name]);
    }
    if (transferTo !== null && transferTo !== this.#transferTo)
      this.#add(3, `${node.name} hands over to ${nameOf(transferTo)}`, "*", [node.name]);
    this.#transferTo = transferTo;
  }

  /** At most 60 lines, or all of them. */
  lines(isVerbose: boolean): string[] {
    const names = this.#stage?.nodes.map(({ name }) => name).join(" ") ?? "";
    const head = `${"time".padStart(8)}  ${names}  ${"term".padStart(4)} ${"commit".padStart(7)}`;
    const rows = isVerbose ? this.#rows : chooseRows(this.#rows, LINES_MAX - 2);
    const lines = [head, ...rows.map(describeRow)];
    const left = this.#rows.length - rows.length;
    if (left > 0) lines.push(`${"".padStart(8)}  (${left} rows left out: --verbose shows them)`);
    return lines;
  }

  #add(weight: number, what: string, glyph: string, actors: readonly NodeId[]): void {
    const stage = this.#stage;
    if (stage === null) return;
    const glyphs = stage.nodes.map((node) => {
      if (actors.includes(node.name)) return glyph;
      if (node.host === null) return " ";
      return node.name === this.#leader ? "*" : ".";
    });
    const [term, commit] = [this.#term, this.#commit];
    this.#rows.push({ at: stage.now, glyphs: glyphs.join("  "), term, commit, what, weight });
  }
}

/** The heaviest rows, in their order; of equal ones the earlier half and the later half. */
function chooseRows(rows: readonly Row[], count: number): readonly Row[] {
  if (rows.length <= count) return rows;
  const ranked = rows.map((row, at) => ({ row, rank: Math.min(at, rows.length - 1 - at) }));
  ranked.sort((a, b) => b.row.weight - a.row.weight || a.rank - b.rank);
  const chosen = new Set(ranked.slice(0, count).map(({ row }) => row));
  return rows.filter((row) => chosen.has(row));
}

function describeRow(row: Row): string {
  const time = (row.at / 1_000_000).toFixed(3).padStart(8);
  const term = String(row.term).padStart(4);
  return `${time}  ${row.glyphs}   ${term} ${String(row.commit).padStart(7)}  ${row.what}`;
}
