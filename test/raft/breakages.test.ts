// Consensus broken in one place at a time, one of each kind; all of them are in test/deep.
import { breakAll } from "./break-all.ts";
import { EVERYDAY_BREAKAGES } from "./breakages.ts";

breakAll(EVERYDAY_BREAKAGES);
