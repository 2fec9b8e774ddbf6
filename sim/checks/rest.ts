// What a recovered cluster does when nobody asks anything: its term stays, and its nodes send and
// do no more than heartbeats take. Watched from the moment at which all is answered and equal, up
// to the end of the run. Owns these bounds; the recovery itself is sim/world.ts.

import type { NodeId, Term } from "../../src/base/ids.ts";
import { nameOf } from "../../src/base/membership.ts";
import type { RaftStatus } from "../../src/raft/protocol.ts";
import type { Computer, Stage } from "../observer.ts";
import type { Report } from "./violation.ts";

/** For each heartbeat to each peer: it, its answer, and as much again for what is in between. */
const FRAMES_A_HEARTBEAT = 4;
/** A frame or two are heard in a turn, a disk and an alarm take one each. */
const TURNS_A_HEARTBEAT = 12;
/** Links that are still being made, and files that are still being closed. */
const SPARE = 300;

interface Resting {
  readonly term: Term;
  frames: number;
  turns: number;
}

export class Rest {
  readonly #stage: Stage;
  readonly #report: Report;
  /** Nodes that recovered; null before. */
  #resting: Map<NodeId, Resting> | null = null;
  #since = 0;
  /** One whose disk hangs leads, and has to give way yet. */
  #isLedFromOutside = false;

  constructor(stage: Stage, report: Report) {
    this.#stage = stage;
    this.#report = report;
  }

  recovered(): void {
    this.#since = this.#stage.now;
    this.#resting = new Map();
    const members = this.#members();
    this.#isLedFromOutside = this.#stage.nodes.some(({ raft, isOutside }) => {
      return isOutside && raft?.role === "leader";
    });
    for (const { name, raft, isLost, isOutside } of this.#stage.nodes)
      if (raft !== null && !isLost && !isOutside && (members?.has(name) ?? true))
        this.#resting.set(name, { term: raft.term, frames: 0, turns: 0 });
  }

  /** Who was removed goes its own way; null while nobody leads. */
  #members(): ReadonlySet<NodeId> | null {
    let leader: RaftStatus | null = null;
    for (const { raft } of this.#stage.nodes)
      if (raft?.role === "leader" && raft.term > (leader?.term ?? 0)) leader = raft;
    return leader === null ? null : new Set(leader.membership.members.map(({ id }) => nameOf(id)));
  }

  sent({ name }: Computer): void {
    const resting = this.#resting?.get(name);
    if (resting !== undefined) resting.frames++;
  }

  afterTurn({ name, raft }: Computer): void {
    const resting = this.#resting?.get(name);
    if (resting === undefined) return;
    resting.turns++;
    if (raft === null || raft.term === resting.term || this.#isLedFromOutside) return;
    const first = `${name} was in term ${resting.term} when all was answered and equal`;
    const facts = [first, `nothing went wrong since, and it is in term ${raft.term}`] as const;
    this.#report({ property: "stable-when-healed", facts, node: name });
  }

  atEnd(): void {
    const { plan, now } = this.#stage;
    const heartbeats = (now - this.#since) / (plan.options.heartbeatIntervalMs * 1000);
    const most = (each: number) => Math.ceil(heartbeats * (plan.nodes - 1) * each) + SPARE;
    for (const [name, { frames, turns }] of this.#resting ?? []) {
      this.#check(name, "frames", frames, most(FRAMES_A_HEARTBEAT));
      this.#check(name, "turns", turns, most(TURNS_A_HEARTBEAT));
    }
  }

  #check(node: NodeId, what: string, count: number, countMax: number): void {
    if (count <= countMax) return;
    const spanMs = Math.floor((this.#stage.now - this.#since) / 1000);
    const first = `nobody asked ${node} anything for ${spanMs} ms: ${countMax} ${what} are enough`;
    const facts = [first, `it took ${count} ${what}`] as const;
    this.#report({ property: "quiet-when-idle", facts, node });
  }
}
