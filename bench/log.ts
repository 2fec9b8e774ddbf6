// `npm run bench -- log`: the log engine on real files, beside raw writes and reads of the same
// bytes by the same thread pool. Both sides of a ratio take turns in one run on one directory. The
// engine runs with the production disk adapter, without network and consensus: what it costs above
// the disk, and what it saves.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";

import { benchAppends } from "./log-append.ts";
import { benchReads } from "./log-reads.ts";
import { benchSizes } from "./log-size.ts";
import type { Row } from "./row.ts";

/** Runs everything in a new folder of the temporary directory, which should be a real disk. */
export async function runLogBench(quick: boolean): Promise<readonly Row[]> {
  const folder = mkdtempSync(path.join(tmpdir(), "cairn-bench-log-"));
  try {
    // Memory first: what the others leave behind is not the log's.
    const sizes = await benchSizes(folder, quick);
    const appends = await benchAppends(folder, quick ? 15 : 100);
    const reads = await benchReads(folder, quick ? 64 : 256);
    return [...appends, ...reads, ...sizes];
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
