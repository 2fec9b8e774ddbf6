// Disks that are not what they were: a node comes back to an empty one, or to an older image of its
// own. Owns when that may happen, so that every committed entry is on a quorum of the others, and
// who stays down after it; what was on the older disk is sim/sim-disk.ts.

import type { RaftStatus } from "../src/raft/protocol.ts";
import type { DiskImage } from "./checks/disk-memory.ts";
import type { SimComputer } from "./computer.ts";
import type { DiskAtlas } from "./disk-atlas.ts";
import type { Electorates } from "./electorates.ts";
import type { PlannedMishap } from "./plan.ts";
import type { Timeline } from "./timeline.ts";

export type PlannedReplacement = Extract<PlannedMishap, { kind: "wipe" | "older-image" }>;
type PlannedOlderImage = Extract<PlannedMishap, { kind: "older-image" }>;

/** The others are looked at again so much later. */
const LOOK_MICROS = 20_000;

export interface ReplacementParts {
  readonly timeline: Timeline;
  readonly computers: readonly SimComputer[];
  readonly atlas: DiskAtlas;
  readonly electorates: Electorates;
  /** False: nobody looks whether the others do without. */
  readonly isBounded: boolean;
}

export class Replacements {
  readonly #parts: ReplacementParts;
  readonly #images = new Map<PlannedOlderImage, DiskImage>();
  /** The highest index that any node ever took for committed. */
  #committed = 0;
  /** What each node may have confirmed: a leader counts it, whether it is committed yet or not. */
  readonly #confirmed = new Map<SimComputer, number>();
  /** Those whose disks were emptied, until they are whole again. */
  readonly #returning = new Set<SimComputer>();
  #isOver = false;

  constructor(parts: ReplacementParts) {
    this.#parts = parts;
  }

  /** Keeps an image of the disk for when it will be the older one. */
  prepare(planned: PlannedOlderImage): void {
    const { timeline, computers } = this.#parts;
    const computer = computers[planned.node];
    if (computer === undefined) return;
    timeline.at(Math.max(planned.atMs - planned.ageMs, 0) * 1000, () => {
      this.#images.set(planned, computer.disk.durableImage());
    });
  }

  /** A turn has changed what Raft says there. */
  tookTurn(computer: SimComputer): void {
    const { raft } = computer;
    if (raft === null) return;
    if (raft.commitIndex > this.#committed) this.#committed = raft.commitIndex;
    this.#confirmed.set(computer, raft.durableIndex);
    if (this.#returning.size > 0 && this.#returning.has(computer))
      this.#maybeRestore(computer, raft);
  }

  /** A new instance that votes and has everything is a true copy like any other. */
  #maybeRestore(computer: SimComputer, { isVoter, commitIndex, durableIndex }: RaftStatus): void {
    if (!isVoter || Math.min(commitIndex, durableIndex) < this.#committed) return;
    this.#returning.delete(computer);
    this.#parts.atlas.restored(computer.place);
  }

  /** As soon as the others do without what is lost. */
  begin(planned: PlannedReplacement, computer: SimComputer): void {
    if (this.#isOver || computer.isLost) return;
    const { timeline, atlas, isBounded } = this.#parts;
    if (isBounded && !this.#othersHoldAll(computer)) {
      timeline.after(LOOK_MICROS, () => this.begin(planned, computer));
    } else if (atlas.maybeLose(computer.place)) this.#replace(planned, computer);
  }

  /** Whoever waits for the others waits in vain. */
  end(): void {
    this.#isOver = true;
  }

  #replace(planned: PlannedReplacement, computer: SimComputer): void {
    const { timeline } = this.#parts;
    const isOlder = planned.kind === "older-image";
    const image = isOlder ? (this.#images.get(planned) ?? NOTHING) : NOTHING;
    computer.crashOnto(image, isOlder ? planned.ageMs : null);
    if (planned.returns && !isOlder) this.#returning.add(computer);
    if (planned.returns) timeline.after(planned.downMs * 1000, () => computer.maybeStart());
    else computer.lose();
  }

  /**
   * True when every entry that is committed, or that this node has helped to commit, is durable on
   * a quorum of the other nodes that are up, whoever decides.
   */
  #othersHoldAll(without: SimComputer): boolean {
    const { electorates } = this.#parts;
    const needed = Math.max(this.#committed, this.#confirmed.get(without) ?? 0);
    return electorates.bears((computer) => {
      const { raft, disk, isLost } = computer;
      if (computer === without || isLost || raft === null || raft.isMending || disk.isDamaged)
        return false;
      return Math.min(raft.commitIndex, raft.durableIndex) >= needed;
    });
  }
}

const NOTHING: DiskImage = new Map();
