// A child process of a batch: runs the seeds it is given, one at a time, and sends each report
// back. Owns nothing; sim/batch.ts gives and collects.

import { runSeed } from "./batch.ts";

process.on("message", (seed: string) => {
  process.send?.(runSeed(seed));
});
process.on("disconnect", () => process.exit());
