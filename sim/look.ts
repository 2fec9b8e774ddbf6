// A run stopped in the middle, for a person to look at: what every node, log, queue and disk is
// like at one instant. Owns the picture and its tables, which fit 80 columns; it asks nothing that
// would change the run.

import { type Instant, millis } from "../src/base/ids.ts";
import { nameOf } from "../src/base/membership.ts";
import { MAIL_CLASSES } from "../src/node/mailbox.ts";
import { Watch } from "./checks/watch.ts";
import type { Computer, Observer } from "./observer.ts";
import type { Plan } from "./plan.ts";
import { withPoison } from "./poison.ts";
import { type Verdict, World } from "./world.ts";

export interface Picture {
  readonly plan: Plan;
  readonly at: Instant;
  readonly events: number;
  /** Null when the run goes on from here. */
  readonly verdict: Verdict | null;
  readonly nodes: readonly NodePicture[];
}

interface NodePicture {
  readonly name: string;
  readonly life: number;
  readonly state: string;
  readonly raft: Computer["raft"];
  readonly log: ReturnType<NonNullable<Computer["host"]>["log"]> | null;
  readonly startOffset: number | null;
  readonly mail: ReturnType<NonNullable<Computer["host"]>["mail"]> | null;
  readonly diskOperations: number;
  readonly frames: { readonly sent: number; readonly refused: number };
  /** The last entry that a power loss now would leave for certain. */
  readonly certainIndex: number;
  readonly files: readonly FilesPicture[];
}

/** All files of one kind on one disk. */
interface FilesPicture {
  /** What follows the dot in their names, or the whole name. */
  readonly kind: string;
  readonly count: number;
  readonly bytes: number;
  /** Bytes that the least lucky power loss now would change or take away. */
  readonly unsafeBytes: number;
  /** The last by name. */
  readonly newest: string;
}

/** Runs the plan up to `atMs`, under the eyes of all checkers, and looks. */
export function lookAt(plan: Plan, atMs: number, observers: readonly Observer[] = []): Picture {
  return withPoison(() => {
    const watch = new Watch();
    const disks = new DisksBusy();
    const world = new World(plan, [...observers, disks, watch]);
    const verdict = world.runUntil(millis(atMs) as number as Instant);
    const at = verdict === null ? (millis(atMs) as number as Instant) : world.now;
    const nodes = world.nodes.map((node): NodePicture => {
      const { host, raft, name, life } = node;
      return {
        name,
        life,
        state: stateOf(node),
        raft,
        log: host?.log() ?? null,
        startOffset: host?.status().startOffset ?? null,
        mail: host?.mail() ?? null,
        diskOperations: disks.busy(node),
        frames: world.framesOf(name),
        certainIndex: watch.certainIndexOf(name),
        files: filesOf(node),
      };
    });
    return { plan, at, events: world.events, verdict, nodes };
  });
}

function stateOf({ host, isLost, isOutside, isPaused }: Computer): string {
  if (isLost) return "lost";
  if (isOutside) return "outside";
  if (host === null) return "down";
  return isPaused ? "paused" : host.status().state;
}

function filesOf({ disk }: Computer): FilesPicture[] {
  const durable = disk.durableImage();
  const files = [...disk.writtenImage()].sort(([a], [b]) => (a < b ? -1 : 1));
  const byKind = new Map<string, FilesPicture>();
  for (const [newest, written] of files) {
    const kind = newest.slice(newest.indexOf(".") + 1);
    const { count = 0, bytes = 0, unsafeBytes = 0 } = byKind.get(kind) ?? {};
    byKind.set(kind, {
      kind,
      count: count + 1,
      bytes: bytes + written.length,
      unsafeBytes: unsafeBytes + unsafeIn(written, durable.get(newest)),
      newest,
    });
  }
  return [...byKind.values()].sort((a, b) => (a.kind < b.kind ? -1 : 1));
}

function unsafeIn(written: Uint8Array, kept: Uint8Array | undefined): number {
  let count = 0;
  for (let at = 0; at < written.length; at++) if (written[at] !== kept?.[at]) count++;
  return count;
}

/** Counts what disks were told and have not said to be done. */
class DisksBusy implements Observer {
  readonly #busy = new Map<Computer, number>();

  busy(node: Computer): number {
    return this.#busy.get(node) ?? 0;
  }

  operationSubmitted(node: Computer): void {
    this.#busy.set(node, this.busy(node) + 1);
  }

  operationCompleted(node: Computer): void {
    this.#busy.set(node, this.busy(node) - 1);
  }

  nodeCrashed(node: Computer): void {
    this.#busy.delete(node);
  }

  nodeStarted(node: Computer): void {
    this.#busy.delete(node);
  }
}

// ---- tables ----

type Cell = string | number | null | undefined;

/** The picture as tables of at most 80 columns. */
export function describePicture(picture: Picture): string[] {
  const { at, events, verdict, plan, nodes } = picture;
  const time = (at / 1_000_000).toFixed(6);
  const lines = [`at ${time} s of seed ${plan.seed}, after ${events} events`];
  if (verdict !== null) lines.push(`the run was over then: ${verdict.kind}`);
  lines.push("", ...describeNodes(nodes), "", ...describeLogs(nodes));
  lines.push("", ...describeQueues(nodes), "", ...describeMail(nodes));
  lines.push("", ...describeDisks(nodes));
  return lines;
}

function describeNodes(nodes: readonly NodePicture[]): string[] {
  const name = (id: Parameters<typeof nameOf>[0] | null | undefined) =>
    id == null ? "-" : nameOf(id);
  const rows = nodes.map(({ name: node, life, state, raft }) => {
    const { role, term, votedFor, leader, lastTerm, membership } = raft ?? {};
    const voters = membership?.voters.length;
    return [node, life, state, role, term, name(votedFor), name(leader), lastTerm, voters];
  });
  const head = ["node", "life", "state", "role", "term", "vote", "leader", "last term", "voters"];
  return table(head, rows);
}

function describeLogs(nodes: readonly NodePicture[]): string[] {
  const rows = nodes.map(({ name, raft, log, certainIndex, startOffset }) => [
    name,
    log?.startIndex,
    log?.writtenIndex,
    log?.durableIndex,
    certainIndex,
    raft?.commitIndex,
    raft === null ? null : `${startOffset}-${raft.endOffset}`,
    log?.segments,
  ]);
  const indexes = ["start", "written", "durable", "certain", "committed"];
  return table(["log", ...indexes, "offsets", "segments"], rows);
}

function describeQueues(nodes: readonly NodePicture[]): string[] {
  const rows = nodes.map(({ name, log, diskOperations, frames, raft }) => {
    const inFlight = raft?.peers.reduce((sum, peer) => sum + peer.inFlight, 0);
    const { sent, refused } = frames;
    return [name, diskOperations, log?.backlogBytes, log?.cachedBytes, sent, refused, inFlight];
  });
  const head = ["queue", "disk ops", "backlog B", "cached B", "sent", "at the door", "appends"];
  return table(head, rows);
}

function describeMail(nodes: readonly NodePicture[]): string[] {
  const rows = nodes.map(({ name, mail }) => [name, ...MAIL_CLASSES.map((each) => mail?.[each])]);
  return table(["mail", ...MAIL_CLASSES], rows);
}

function describeDisks(nodes: readonly NodePicture[]): string[] {
  const rows = nodes.flatMap(({ name, files }) =>
    files.map(({ kind, count, bytes, unsafeBytes, newest }) => {
      return [name, kind, count, bytes, unsafeBytes, newest === kind ? "" : newest];
    }),
  );
  return table(["disk", "kind", "files", "bytes", "unsafe", "newest"], rows);
}

/** Numbers to the right, words to the left; what is not known is a dash. */
function table(head: readonly string[], rows: readonly (readonly Cell[])[]): string[] {
  const texts = rows.map((row) => row.map((cell) => (cell == null ? "-" : String(cell))));
  const isNumber = head.map((_, at) => rows.some((row) => typeof row[at] === "number"));
  const widths = head.map((name, at) =>
    Math.max(name.length, ...texts.map((row) => row[at]?.length ?? 0)),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, at) => {
        const width = widths[at] ?? 0;
        return isNumber[at] === true ? cell.padStart(width) : cell.padEnd(width);
      })
      .join("  ")
      .trimEnd();
  return [line(head), ...texts.map(line)];
}
