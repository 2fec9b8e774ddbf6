// Everybody who uses the cluster in a run: clients with scripts, readers that follow a node, and at
// the end an auditor per node that reads its whole log. Owns who there is and when all is answered;
// what one client does is sim/sim-client.ts.

import type { Offset } from "../src/base/ids.ts";
import type { Prng } from "../src/base/prng.ts";
import type { SimComputer } from "./computer.ts";
import { isErrand, Operator } from "./operator.ts";
import type { Plan, PlannedOperation } from "./plan.ts";
import type { ClientRoom } from "./sim-caller.ts";
import { SimClient } from "./sim-client.ts";

/** Auditors, and whoever else the simulator adds, are above all clients that a plan may name. */
export const AUDITOR_BASE = 256;
/** Who appends once more when all is healed. */
const PROBE = AUDITOR_BASE + 128;
const RETRY_MICROS = 20_000;
/** Between the names of a reader's streams: more than there are readers. */
const LEAP = 1024;

type PlannedStream = Extract<PlannedOperation, { kind: "stream" }>;

export class Workload {
  readonly #room: ClientRoom;
  readonly #prng: Prng;
  readonly #clients: SimClient[] = [];
  readonly #operators: Operator[] = [];
  readonly #readers: Reader[] = [];
  readonly #hasCursors: boolean;
  /** Nodes whose cursors an auditor has still to read. */
  readonly #unread = new Set<SimComputer>();

  constructor(plan: Plan, room: ClientRoom, prng: Prng) {
    this.#room = room;
    this.#prng = prng;
    this.#hasCursors = plan.operations.some(({ kind }) => kind === "commit-cursor");
    const scripts = new Map<number, PlannedOperation[]>();
    for (const planned of plan.operations) {
      const script = scripts.get(planned.client);
      if (script === undefined) scripts.set(planned.client, [planned]);
      else script.push(planned);
    }
    for (const [id, script] of scripts) {
      const ordered = script.sort((a, b) => a.atMs - b.atMs);
      const errands = ordered.filter(isErrand);
      if (errands.length > 0)
        this.#operators.push(new Operator(errands, room, prng.fork(`operator ${id}`)));
      const calls = ordered.filter((planned) => !isErrand(planned));
      if (calls.length > 0) this.#clients.push(this.#client(id, calls));
      for (const planned of ordered) if (planned.kind === "stream") this.#follow(planned);
    }
  }

  begin(): void {
    for (const client of this.#clients) client.begin();
    for (const operator of this.#operators) operator.begin();
  }

  /** Nobody begins a call any more; calls under way go on until they are answered. */
  close(): void {
    this.#room.isClosing = true;
  }

  /** One append by somebody new: what has recovered must take it. */
  probe(): void {
    const client = this.#client(PROBE, []);
    this.#clients.push(client);
    client.appendNow();
  }

  /** Every call that a script began has its outcome. */
  get isAnswered(): boolean {
    return [...this.#clients, ...this.#operators].every(({ isDone }) => isDone);
  }

  /** Every follower has read up to `end`, and every node's cursors are read. */
  hasRead(end: Offset): boolean {
    const isRead = (computer: SimComputer) => this.#isExcused(computer);
    return [...this.#unread].every(isRead) && this.#haveRead(end);
  }

  #haveRead(end: Offset): boolean {
    return this.#readers.every((reader) => reader.isExcused || reader.next >= end);
  }

  /** Reads every node's log from its start, and its cursors, until `hasRead(end)`. */
  audit(end: Offset): void {
    for (const computer of this.#room.computers) {
      if (this.#isExcused(computer)) continue;
      const id = AUDITOR_BASE + computer.place;
      const auditor = this.#client(id, []);
      const reader = new Reader(auditor, computer, id, end, this.#room);
      this.#readers.push(reader);
      reader.readOn(0 as Offset);
      if (this.#hasCursors) this.#auditCursors(auditor, computer);
    }
  }

  #isExcused(computer: SimComputer): boolean {
    return computer.isLost || computer.isOutside || this.#room.strangers.has(computer);
  }

  #auditCursors(auditor: SimClient, computer: SimComputer): void {
    this.#unread.add(computer);
    auditor.auditCursors(computer, (isAnswered) => {
      if (isAnswered) this.#unread.delete(computer);
      else this.#room.timeline.after(RETRY_MICROS, () => this.#auditCursors(auditor, computer));
    });
  }

  #follow(planned: PlannedStream): void {
    const computer = this.#room.computers[planned.node] as SimComputer;
    const reader = new Reader(
      this.#client(planned.client, []),
      computer,
      planned.client,
      null,
      this.#room,
    );
    this.#readers.push(reader);
    this.#room.timeline.at(planned.atMs * 1000, () => {
      const from = Math.floor((this.#room.knownEnd * planned.fromPerMille) / 1000);
      reader.readOn(from as Offset);
    });
  }

  #client(id: number, script: readonly PlannedOperation[]): SimClient {
    return new SimClient(id, script, this.#room, this.#prng.fork(`client ${id}`));
  }
}

/** Reads one node's log in order, one fetch after another. */
class Reader {
  readonly #client: SimClient;
  readonly #computer: SimComputer;
  /** Another one after a leap over what was trimmed. */
  #stream: number;
  /** Reads up to here; null: for ever. */
  readonly #end: Offset | null;
  readonly #room: ClientRoom;
  next = 0 as Offset;

  constructor(
    client: SimClient,
    computer: SimComputer,
    stream: number,
    end: Offset | null,
    room: ClientRoom,
  ) {
    this.#client = client;
    this.#computer = computer;
    this.#stream = stream;
    this.#end = end;
    this.#room = room;
  }

  /** Its node is down for good, or no member. */
  get isExcused(): boolean {
    const { isLost, isOutside } = this.#computer;
    return isLost || isOutside || this.#room.strangers.has(this.#computer);
  }

  readOn(from: Offset): void {
    this.next = from;
    if (this.#end !== null && from >= this.#end) return;
    this.#client.read(this.#computer, from, this.#stream, (next) => {
      // Nothing came: the node is down, the answer was lost, or what was asked for is trimmed.
      // Reconnecting takes a moment.
      const start = this.#computer.host?.status().startOffset ?? from;
      const go = Math.max(next, start) as Offset;
      if (go > next) this.#stream += LEAP;
      if (next === from) this.#room.timeline.after(RETRY_MICROS, () => this.readOn(go));
      else this.readOn(next);
    });
  }
}
