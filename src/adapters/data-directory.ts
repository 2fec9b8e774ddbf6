// Makes a data directory so that it is still there after a power cut. Owns nothing inside it.

import { mkdir, open } from "node:fs/promises";
import { dirname, resolve } from "node:path";

/**
 * Makes `directory` with its parents, where absent, and syncs every directory that got a new name
 * in it: a node that votes from a directory which a power cut takes away could vote twice.
 */
export async function makeDataDirectory(directory: string): Promise<void> {
  const firstMade = await mkdir(directory, { recursive: true, mode: 0o750 });
  if (firstMade === undefined) return;
  const top = dirname(resolve(firstMade));
  for (let parent = dirname(resolve(directory)); ; parent = dirname(parent)) {
    await syncDirectory(parent);
    if (parent === top || parent === dirname(parent)) return;
  }
}

async function syncDirectory(directory: string): Promise<void> {
  const opened = await open(directory, "r");
  try {
    await opened.sync();
  } finally {
    await opened.close();
  }
}
