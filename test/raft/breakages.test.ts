// Consensus broken in one place at a time, one of each kind, which random plans on the core alone
// must show; all of them are measured by `npm run mutants`.
import { EVERYDAY_CORE_MUTANTS } from "../../sim/mutants/catalogue.ts";
import { killAll } from "../sim-mutants/kill-all.ts";

killAll(EVERYDAY_CORE_MUTANTS);
