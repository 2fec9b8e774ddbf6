// Consensus broken in one place at a time, each of which random plans on the core alone must show.
import { breakAll } from "../raft/break-all.ts";
import { BREAKAGES } from "../raft/breakages.ts";

breakAll(BREAKAGES);
