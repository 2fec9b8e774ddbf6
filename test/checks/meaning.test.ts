// What checkpoints and nodes make of the committed log, against what its entries say: equal states
// are left alone, and each part that differs is found.

import { beforeEach, describe, expect, it } from "vitest";
import { CommittedLog } from "../../sim/checks/committed-log.ts";
import { Meaning } from "../../sim/checks/meaning.ts";
import type { Finding } from "../../sim/checks/violation.ts";
import { EMPTY_BYTES, freeze } from "../../src/base/bytes.ts";
import type { Control } from "../../src/base/control.ts";
import type { EntryHead } from "../../src/base/entry.ts";
import type { LogIndex, NodeId, Offset, Term } from "../../src/base/ids.ts";
import type { Checkpoint } from "../../src/log/checkpoint.ts";
import { decodeCheckpoint, encodeCheckpoint } from "../../src/state/checkpoint.ts";
import { encodeStateAt, State } from "../../src/state/state.ts";
import { entry, N1, N2 } from "./cluster.ts";

const PRODUCERS_MAX = 4;

/** Ten records of two producers, a cursor, a fence, and a trim of the first four records. */
function someHeads(): EntryHead[] {
  const heads: EntryHead[] = [];
  const add = (words: Partial<EntryHead>) => {
    const index = heads.length + 1;
    const last = heads.at(-1);
    const { frame: _, ...head } = entry(index, 1, {
      prevTerm: (index === 1 ? 0 : 1) as Term,
      offset: ((last?.offset ?? 0) + (last?.count ?? 0)) as Offset,
      ...words,
    });
    heads.push(head);
  };
  const control = (said: Control) => add({ kind: said.kind, count: 0, control: said });
  for (let nth = 0; nth < 5; nth++)
    for (const producerId of [1, 2]) add({ producerId, sequence: nth });
  control({ kind: "cursor", name: "reader", offset: 6 as Offset, ttlMs: 0 });
  control({ kind: "fence", token: "mine" });
  control({ kind: "trim", startOffset: 4 as Offset });
  add({ producerId: 1, sequence: 5 });
  return heads;
}

const HEADS = someHeads();
const TRIM_INDEX = 13;

/** The checkpoint of a node that applied all up to `index`, one entry after another. */
function checkpointAt(index: number): Checkpoint {
  const state = State.empty(PRODUCERS_MAX);
  for (const head of HEADS.slice(0, index)) state.append(head);
  state.commit(index as LogIndex, () => undefined);
  const at = state.stateAt(index as LogIndex);
  return { at: at.at, state: encodeStateAt(at, EMPTY_BYTES) };
}

let findings: Finding[];
let committed: CommittedLog;
let meaning: Meaning;

beforeEach(() => {
  findings = [];
  const report = (finding: Finding) => void findings.push(finding);
  committed = new CommittedLog(report);
  meaning = new Meaning(committed, PRODUCERS_MAX, report);
  for (const head of HEADS) committed.extend(head, N1, 1 as Term);
});

describe("a checkpoint", () => {
  it("of any committed place is as the entries up to there say", () => {
    for (let index = 1; index <= HEADS.length; index++)
      meaning.checkpointed(N2, checkpointAt(index));
    expect(findings).toEqual([]);
  });

  it("may hold a user's machine, whatever that says", () => {
    const { at, state } = checkpointAt(12);
    const parts = decodeCheckpoint(state);
    if (parts === null) return expect.unreachable();
    const machine = freeze(new Uint8Array([1, 2, 3]));
    meaning.checkpointed(N2, { at, state: encodeCheckpoint({ ...parts, machine }) });
    expect(findings).toEqual([]);
  });

  it("is found when it is of a place that is not committed, or not as it is there", () => {
    const { at, state } = checkpointAt(12);
    meaning.checkpointed(N2, { at: { ...at, index: 99 as LogIndex }, state });
    meaning.checkpointed(N2, { at: { ...at, term: 7 as Term }, state });
    expect(findings.map(({ property, node }) => [property, node])).toEqual([
      ["checkpoint-committed", N2],
      ["checkpoint-committed", N2],
    ]);
    expect(findings[0]?.facts[1]).toBe("nothing is committed at index 99");
    expect(findings[1]?.facts[0]).toContain("12@7");
  });

  it.each([
    ["producers", (index: number) => checkpointAt(index - 4).state],
    ["startOffset", (index: number) => changed(index, { startOffset: 3 as Offset })],
    ["fence", (index: number) => changed(index, { fence: "" })],
    ["cursors", (index: number) => changed(index, { cursors: [] })],
  ] as const)("is found when its %s are not what the entries say", (part, stateAt) => {
    const index = part === "producers" ? 10 : TRIM_INDEX;
    meaning.checkpointed(N2, { at: checkpointAt(index).at, state: stateAt(index) });
    expect(findings[0]?.property).toBe("state-agrees");
    expect(findings[0]?.facts[1]).toContain(`something else: ${part}`);
  });

  it("is found when it cannot be read", () => {
    meaning.checkpointed(N2, { ...checkpointAt(3), state: freeze(new Uint8Array(7)) });
    expect(findings[0]?.facts[1]).toContain("it cannot be read");
  });
});

describe("a node", () => {
  it("is found when it makes something else of the entries that it applied", () => {
    const { state } = checkpointAt(12);
    meaning.applied(N1 as NodeId, 12 as LogIndex, state);
    expect(findings).toEqual([]);
    meaning.applied(N1 as NodeId, TRIM_INDEX as LogIndex, state);
    expect(findings[0]?.property).toBe("state-agrees");
  });
});

describe("the start of the log", () => {
  it("moves with the entry that says so, and never back", () => {
    expect(meaning.startOffsetAt((TRIM_INDEX - 1) as LogIndex)).toBe(0);
    expect(meaning.startOffsetAt(TRIM_INDEX as LogIndex)).toBe(4);
    const back: Control = { kind: "trim", startOffset: 2 as Offset };
    const words = { kind: back.kind, count: 0, control: back, offset: 11 as Offset } as const;
    const { frame: _, ...head } = entry(HEADS.length + 1, 1, words);
    committed.extend(head, N1, 1 as Term);
    expect(findings).toEqual([]);
    expect(meaning.startOffset).toBe(4);
  });
});

function changed(
  index: number,
  change: Partial<Parameters<typeof encodeCheckpoint>[0]>,
): Checkpoint["state"] {
  const parts = decodeCheckpoint(checkpointAt(index).state);
  if (parts === null) throw new Error("a checkpoint that was just made can be read");
  return encodeCheckpoint({ ...parts, ...change });
}
