// The checker of backups, on a small log made by hand: silent on good copies, and each way to be
// wrong found on one that is wrong in one place.

import { beforeEach, describe, expect, test } from "vitest";

import { checkBackups } from "../../sim/checks/backups.ts";
import { checkLinearizable } from "../../sim/checks/linearizability.ts";
import type { BackupFacts, Call } from "../../sim/history.ts";
import { type EntryHead, LOG_START, pointAfter } from "../../src/base/entry.ts";
import type { FaultCode } from "../../src/base/faults.ts";
import type { LogIndex, Offset } from "../../src/base/ids.ts";
import { State } from "../../src/state/state.ts";
import { appendedAt, asked, fencedWith, headsOf, NODE } from "./entries.ts";

/** Offsets 0 and 1, then 2, then 3; a fence in between. */
const LOG = headsOf(
  { time: 100, count: 2 },
  { time: 150, count: 1 },
  { time: 160, control: fencedWith("mine") },
  { time: 170, count: 1 },
);

/** What restored backups said that they mean, as of which index. */
let applied: { readonly index: LogIndex; readonly bytes: number[] }[];

beforeEach(() => {
  applied = [];
});

function check(...calls: readonly Call[]) {
  return checkBackups(calls, {
    committed: LOG,
    producersMax: 10,
    applied: (_node, index, state) => {
      applied.push({ index, bytes: Array.from(state) });
    },
  });
}

function stateAt(index: number): State {
  const state = State.empty(10);
  for (const head of LOG.slice(0, index)) state.append(head);
  state.commit(index as LogIndex, () => undefined);
  return state;
}

function pointAt(index: number) {
  const head = LOG[index - 1];
  return head === undefined ? LOG_START : pointAfter(head);
}

/** From behind `from` to `to`, asked for after the third record was acknowledged. */
function backup(from: number, to: number, more: Partial<BackupFacts> = {}): Call {
  const cut = pointAt(to);
  const base = from === 0 ? null : { at: pointAt(from), state: stateAt(from).encodeCommitted() };
  const { endOffset } = cut;
  const place = { startOffset: 0 as Offset, endOffset, cut, base, damage: null };
  const heads: readonly EntryHead[] = LOG.slice(from, to);
  const facts = { kind: "backup" as const, node: NODE, life: 1, heads, ...place, ...more };
  return asked({ question: { kind: "backup", node: NODE }, span: [50, 60], facts });
}

const rest = { producerId: 0, epoch: 0, sequence: 0, expectedEndOffset: null };
const ACKED = asked({
  question: { kind: "append", records: [3], ...rest },
  span: [10, 20],
  facts: appendedAt(2, 2),
});

describe("the checker of backups", () => {
  test("says nothing of copies of what is committed, and has them say what they mean", () => {
    expect(check(ACKED, backup(0, 2), backup(0, 4), backup(1, 3), backup(3, 4))).toBeNull();
    const means = (index: number) => Array.from(stateAt(index).encodeCommitted());
    expect(applied.map(({ index, bytes }) => [index, bytes])).toEqual(
      [2, 4, 3, 4].map((index) => [index, means(index)]),
    );
  });

  const wrong: Readonly<Record<string, [Call, string]>> = {
    "with an entry left out": [
      backup(0, 3, { heads: [LOG[0], LOG[2]] as EntryHead[] }),
      "it ends at index 2, and was to be cut at 3",
    ],
    "with an entry too many": [
      backup(0, 2, { heads: LOG.slice(0, 3) }),
      "it ends at index 3, and was to be cut at 2",
    ],
    "with other bytes in an entry": [
      backup(0, 2, { heads: [LOG[0], { ...LOG[1], bodyCrc: 5 }] as EntryHead[] }),
      "the committed log",
    ],
    "with an entry of another term": [
      backup(0, 2, { heads: [LOG[0], { ...LOG[1], term: 2 }] as EntryHead[] }),
      "the committed log",
    ],
    "beyond what is committed": [
      backup(0, 4, {
        heads: [...LOG, { ...LOG[3], index: 5 } as EntryHead],
        cut: { ...pointAt(4), index: 5 as LogIndex },
      }),
      "nothing is committed at index 5",
    ],
    "whose base is from elsewhere": [
      backup(1, 3, { base: { at: pointAt(2), state: stateAt(2).encodeCommitted() } }),
      "it ends at index 4, and was to be cut at 3",
    ],
    "whose base is of another term": [
      backup(1, 3, {
        base: { at: { ...pointAt(1), term: 4 as never }, state: stateAt(1).encodeCommitted() },
      }),
      "its base is at 1@4",
    ],
    "whose files cannot be read": [backup(0, 2, { damage: "rot" }), "cannot be read back: rot"],
    "that ends before what was acknowledged": [
      backup(0, 1),
      "it ends at offset 2; before it began",
    ],
  };

  test.each(Object.entries(wrong))("finds a copy %s", (_, [call, why]) => {
    const finding = check(ACKED, call);
    expect(finding).toMatchObject({ property: "backup-whole", node: NODE });
    expect(finding?.facts.join("\n")).toContain(why);
  });

  test("finds one that was given up for no reason, and lets those with a reason be", () => {
    const refused = (code: FaultCode) =>
      asked({
        question: { kind: "backup", node: NODE },
        span: [50, 60],
        outcome: "fail",
        facts: { kind: "fault", code },
      });
    expect(check(refused("overloaded"), refused("backup-ended"), refused("disk-full"))).toBeNull();
    const finding = check(refused("offset-out-of-range"));
    expect(finding?.facts[1]).toContain("that is no reason to give a backup up");
  });
});

test("a backup is a read of the end to the checker of linearizability", () => {
  const log = { records: [1, 2, 3, 4], batchEnds: [2, 3, 4] };
  expect(checkLinearizable([ACKED, backup(0, 2)], log)).toBeNull();
  expect(checkLinearizable([ACKED, backup(0, 1)], log)?.property).toBe("linearizability");
});
