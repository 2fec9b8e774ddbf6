// Bugs put into consensus, each of which the simulator must find.

import { RAFT_MUTANTS } from "../../sim/mutants/catalogue.ts";
import { killAll } from "./kill-all.ts";

killAll(RAFT_MUTANTS);
