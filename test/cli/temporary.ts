// A temporary folder per test file, removed when its tests are done.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import path from "node:path";
import { afterAll } from "vitest";

export function temporaryFolder(): string {
  const folder = mkdtempSync(path.join(tmpdir(), "cairn-test-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}
