// Everything that happens in a run, one after another, each in one line of words: what two runs are
// compared by, and what trace files are made of. An observer; owns the words, and who an event
// belongs to. Which of them a person is shown is sim/trace.ts.

import type { FrozenBytes } from "../src/base/bytes.ts";
import type { Answer, ClientRequest } from "../src/base/client.ts";
import type { DiskOperation, DiskResult } from "../src/base/disk.ts";
import type { Instant, NodeId } from "../src/base/ids.ts";
import type { Stopped } from "../src/node/protocol.ts";
import type { Lane } from "../src/ports/network.ts";
import { describeMessage } from "../src/raft/describe.ts";
import type { RaftMessage, RaftStatus } from "../src/raft/protocol.ts";
import type { Computer, CrashKind, CrashLoss, Observer, Stage } from "./observer.ts";

/** One thing that happened. */
export interface Narrated {
  readonly at: Instant;
  /** Whose event it is; null for the whole run's. */
  readonly node: NodeId | null;
  /** Kebab-case, one for each kind of event. */
  readonly kind: string;
  readonly what: string;
  /** Of a message that was sent or taken: the same object at both ends. */
  readonly message?: RaftMessage;
}

export class Narrator implements Observer {
  readonly #tell: (narrated: Narrated) => void;
  readonly #seen = new Map<NodeId, RaftStatus>();
  #stage: Stage | null = null;

  /** `tell` is called as things happen. */
  constructor(tell: (narrated: Narrated) => void) {
    this.#tell = tell;
  }

  attach(stage: Stage): void {
    this.#stage = stage;
  }

  nodeStarted({ name, life }: Computer): void {
    this.#say(name, "start", `starts, life ${life}`);
  }

  nodeCrashed({ name }: Computer, kind: CrashKind, loss: CrashLoss): void {
    const { lostBytes, tornWrites, lostNames } = loss;
    const lost = `${lostBytes} bytes lost, ${tornWrites} writes torn, ${lostNames} names undone`;
    this.#say(name, "crash", `${kind === "power" ? "loses its power" : "crashes"}: ${lost}`);
    this.#seen.delete(name);
  }

  nodeStopped({ name }: Computer, how: Stopped): void {
    this.#say(name, "stop", how.kind === "clean" ? "stops" : `stops by itself: ${how.why}`);
    this.#seen.delete(name);
  }

  nodePaused({ name }: Computer): void {
    this.#say(name, "pause", "is paused");
  }

  nodeResumed({ name }: Computer): void {
    this.#say(name, "resume", "goes on");
  }

  diskLost({ name }: Computer): void {
    this.#say(name, "disk-lost", "is excused for good: its disk is damaged");
  }

  diskReplaced({ name }: Computer, ageMs: number | null): void {
    const what = ageMs === null ? "empty" : `as it was ${ageMs} ms ago`;
    this.#say(name, "disk-replaced", `its disk is ${what}`);
  }

  writeLost({ name }: Computer, how: string): void {
    this.#say(name, "write-lost", `its disk loses a write: ${how}`);
  }

  bitsRotted({ name }: Computer, bits: number): void {
    this.#say(name, "rot", `${bits} bits rot on its disk`);
  }

  pathsCut(from: readonly NodeId[], to: readonly NodeId[], isBothWays: boolean): void {
    this.#say(null, "cut", `${from.join(" ")} ${isBothWays ? "<-x->" : "-x->"} ${to.join(" ")}`);
  }

  pathsMended(from: readonly NodeId[], to: readonly NodeId[]): void {
    this.#say(null, "mend", `${from.join(" ")} and ${to.join(" ")}`);
  }

  healed(): void {
    this.#say(null, "heal", "the mishaps are over");
  }

  afterTurn({ name, raft }: Computer): void {
    const before = this.#seen.get(name) ?? null;
    if (raft === null || raft === before) return;
    this.#seen.set(name, raft);
    const changes = describeChanges(before, raft);
    if (changes.length > 0) this.#say(name, "turn", changes.join(", "));
  }

  operationSubmitted({ name }: Computer, operation: DiskOperation): void {
    this.#say(name, "disk-submit", describeOperation(operation));
  }

  operationCompleted({ name }: Computer, operation: DiskOperation, result: DiskResult): void {
    const how = result.kind === "failed" ? `failed, ${result.code}` : "done";
    this.#say(name, "disk-done", `${describeOperation(operation)}: ${how}`);
  }

  frameSent(
    { name }: Computer,
    to: NodeId,
    lane: Lane,
    frame: FrozenBytes,
    message: RaftMessage | null,
  ): void {
    if (message === null) this.#say(name, "send-frame", `${frame.length} bytes to ${to}, ${lane}`);
    else this.#say(name, "send", `to ${to}: ${describeMessage(message)}`, message);
  }

  frameTaken({ name }: Computer, from: NodeId, message: RaftMessage | null): void {
    if (message === null) this.#say(name, "take-frame", `a frame from ${from}`);
    else this.#say(name, "take", `from ${from}: ${describeMessage(message)}`, message);
  }

  offered({ name }: Computer, request: ClientRequest): void {
    this.#say(name, "request", `${request.kind} #${request.requestId}`);
  }

  answered({ name }: Computer, answer: Answer): void {
    const what = answer.kind === "fault" ? `fault ${answer.fault.code}` : answer.kind;
    this.#say(name, "answer", `${what} #${answer.requestId}`);
  }

  #say(node: NodeId | null, kind: string, what: string, message?: RaftMessage): void {
    const at = this.#stage?.now ?? (0 as Instant);
    this.#tell({ at, node, kind, what, ...(message === undefined ? {} : { message }) });
  }
}

/** What a turn has changed of what others could know. */
function describeChanges(before: RaftStatus | null, now: RaftStatus): string[] {
  const changes: string[] = [];
  const isNew = (name: "term" | "role" | "leader" | "lastIndex" | "durableIndex" | "commitIndex") =>
    before === null || before[name] !== now[name];
  if (isNew("term")) changes.push(`term ${now.term}`);
  if (isNew("role")) changes.push(now.role);
  if (isNew("leader")) changes.push(`leader ${now.leader ?? "unknown"}`);
  if (isNew("lastIndex")) changes.push(`last ${now.lastIndex}`);
  if (isNew("durableIndex")) changes.push(`durable ${now.durableIndex}`);
  if (isNew("commitIndex")) changes.push(`commit ${now.commitIndex}`);
  return changes;
}

function describeOperation(operation: DiskOperation): string {
  const id = `#${operation.opId}`;
  switch (operation.kind) {
    case "write-at": {
      const bytes = operation.parts.reduce((sum, part) => sum + part.length, 0);
      return `write ${id} ${operation.file} at ${operation.position}, ${bytes} bytes`;
    }
    case "read-at":
      return `read ${id} ${operation.file} at ${operation.position}, ${operation.length} bytes`;
    case "rename":
      return `rename ${id} ${operation.from} to ${operation.to}`;
    default:
      return "file" in operation
        ? `${operation.kind} ${id} ${operation.file}`
        : `${operation.kind} ${id}`;
  }
}

/** `  12.345678 s  n1  take      from n0: append-request ...` */
export function describeNarrated({ at, node, kind, what }: Narrated): string {
  const time = (at / 1_000_000).toFixed(6).padStart(11);
  return `${time}  ${(node ?? "-").padEnd(3)} ${kind.padEnd(11)} ${what}`;
}
