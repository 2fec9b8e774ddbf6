// Named places in the node at which a failure would hurt most. In production nobody listens, and
// they cost one comparison; the simulator ends a process there. Types only.

export type FaultSite =
  /** An election is won, and nothing of it has been said or written. */
  | "election-won"
  /** A granted vote is durable, and about to be told. */
  | "vote-durable"
  /** A leader commits for the first time in its term, and nobody else knows. */
  | "first-commit"
  /** A new segment is there under its name, and holds nothing. */
  | "segment-roll"
  /** A tail has been dropped from memory, and stands on the disk. */
  | "truncation"
  /** A snapshot has replaced the log in memory, and the old one stands on the disk. */
  | "install"
  /** A checkpoint has been taken, and nothing of it is written. */
  | "checkpoint";

export interface FaultSites {
  /** The turn under way comes to a site; it goes on. */
  reached(site: FaultSite): void;
  /**
   * Asked at the end of a turn that came to one: false when the process ends here. Then nothing of
   * what the turn decided is performed, and the host is not used any more.
   */
  survives(): boolean;
}
