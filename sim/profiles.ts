// The profiles: the distributions from which the plan of a seed may be drawn. Owns their names;
// what is drawn is sim/swarm.ts and sim/swarm-mishaps.ts.

/** Which distributions a plan may be drawn from, and what each is for. */
export const PROFILE_NOTES = {
  swarm: "everything, of each seed some",
  calm: "hardly anything",
  disks: "failing disks, more of all that they do",
  network: "failing networks, more of all that they do",
  unbounded: "disks that lose more than a cluster can bear: losses are explained, not failed",
  discovery: "nodes that find each other by gossip and found a cluster, while all goes wrong",
  long: "hours, in which little goes wrong, and that at the worst moments",
} as const;
/** One of them by its name. */
export type Profile = keyof typeof PROFILE_NOTES;
export const PROFILES = Object.keys(PROFILE_NOTES) as readonly Profile[];
