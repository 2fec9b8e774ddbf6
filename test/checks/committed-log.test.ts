// The list of committed entries, given what no node of ours writes.

import { expect, test } from "vitest";
import { CommittedLog } from "../../sim/checks/committed-log.ts";
import type { Finding } from "../../sim/checks/violation.ts";
import type { EntryHead } from "../../src/base/entry.ts";
import type { LogIndex, NodeId, Offset, Term, WallMs } from "../../src/base/ids.ts";

function noop(index: number, timestamp: number): EntryHead {
  return {
    kind: "noop",
    codec: 0,
    critical: true,
    index: index as LogIndex,
    term: 1 as Term,
    prevTerm: (index === 1 ? 0 : 1) as Term,
    offset: 0 as Offset,
    count: 0,
    timestamp: timestamp as WallMs,
    bodyLength: 0,
    bodyCrc: 0,
    rawLength: 0,
    producerId: 0,
    epoch: 0,
    sequence: 0,
  };
}

test.each([
  [[5, 5, 6], null],
  [[5, 4], "log-time-monotonic"],
] as const)("a committed log with the times %j shows %s", (times, property) => {
  const findings: Finding[] = [];
  const log = new CommittedLog((finding) => findings.push(finding));
  for (const [at, time] of times.entries())
    log.extend(noop(at + 1, time), "n1" as NodeId, 1 as Term);
  expect(findings[0]?.property ?? null).toBe(property);
});
