// What may be damaged in a run, so that of every entry a quorum of true copies remains: the disks
// of a minority, each of which counts as lost from its first damaged entry on. Within a disk only
// what a node can notice is damaged (sim/checks/rot.ts).

export class DiskAtlas {
  readonly #lostMax: number;
  readonly #lost = new Set<number>();

  constructor(nodes: number) {
    this.#lostMax = Math.floor((nodes - 1) / 2);
  }

  /** Counts the disk as lost; false when a quorum would not remain, and nothing may be damaged. */
  maybeLose(place: number): boolean {
    if (!this.#lost.has(place) && this.#lost.size >= this.#lostMax) return false;
    this.#lost.add(place);
    return true;
  }
}
