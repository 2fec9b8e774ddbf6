// Every bug of the catalogue, each of which the simulator must find.

import { MUTANTS } from "../../sim/mutants/catalogue.ts";
import { killAll } from "../sim-mutants/kill-all.ts";

killAll(MUTANTS);
