// What the watcher of losses accepts and what it finds: logs cut for nothing, members that have a
// say while they mend, and members that are whole too soon.
import { expect, test } from "vitest";
import type { CommittedLog } from "../../sim/checks/committed-log.ts";
import type { DiskWatch } from "../../sim/checks/disk-watch.ts";
import { Losses } from "../../sim/checks/losses.ts";
import type { Computer } from "../../sim/observer.ts";
import type { LogIndex, NodeId, Term } from "../../src/base/ids.ts";
import type { RaftMessage } from "../../src/raft/protocol.ts";

const N1 = "n1" as NodeId;
const N2 = "n2" as NodeId;

/** A node with entries 1 to 3 of term 1, all committed, that loses those from 2 on. */
class Stage {
  readonly found: string[] = [];
  isDamaged = true;
  loss: number | undefined = 5;
  terms: number[] = [1, 1, 1];
  readonly losses: Losses;

  constructor() {
    const committed = {
      at: (index: number) => (index <= 3 ? { term: 1 } : null),
      describe: (index: number) => `entry ${index}`,
    };
    const report = ({ property }: { property: string }) => void this.found.push(property);
    this.losses = new Losses(committed as unknown as CommittedLog, report);
  }

  noted(): this {
    const { loss, terms, isDamaged } = this;
    const disk = {
      noted: { hardState: { loss }, truncateFrom: 2 },
      base: null,
      certainHeads: () => terms.map((term, n) => ({ index: n + 1, term })),
      certainTermAt: (index: number) => terms[index - 1] ?? null,
    };
    const node = { name: N1, disk: { isDamaged } };
    this.losses.noted(node as unknown as Computer, disk as unknown as DiskWatch);
    return this;
  }

  sent(message: Partial<RaftMessage>): this {
    this.losses.sent(N1, N2, message as RaftMessage);
    return this;
  }
}

test("a log that is cut where its disk has lost something owes what it had", () => {
  const { losses, found } = new Stage().noted();
  expect(found).toEqual([]);
  expect(losses.owedTermAt(N1, 3 as LogIndex)).toBe(1 as Term);
  expect(losses.owedTermAt(N2, 3 as LogIndex)).toBeNull();
});

test("a log that is cut although its disk reads well is found", () => {
  const stage = new Stage();
  stage.isDamaged = false;
  expect(stage.noted().found).toEqual(["loss-real"]);
});

test.each<[string, Partial<RaftMessage>]>([
  ["asks for votes", { kind: "vote-request" }],
  ["asks for pre-votes", { kind: "vote-request", preVote: true }],
  ["gives its vote", { kind: "vote-reply", granted: true }],
  ["does not name its loss", { kind: "append-reply" }],
  ["names another loss", { kind: "append-reply", loss: 4 }],
])("a node that mends and %s is found", (_, message) => {
  expect(new Stage().noted().sent(message).found).toEqual(["mender-silent"]);
});

test("a node that mends may refuse votes and name its loss, and say anything once it is whole", () => {
  const stage = new Stage().noted();
  stage.sent({ kind: "vote-reply", granted: false }).sent({ kind: "append-reply", loss: 5 });
  stage.loss = undefined;
  stage.noted().sent({ kind: "vote-reply", granted: true }).sent({ kind: "append-reply" });
  expect(stage.found).toEqual([]);
});

test("a node that is whole without a committed entry that it had is found", () => {
  const stage = new Stage().noted();
  stage.loss = undefined;
  stage.terms = [1, 1];
  expect(stage.noted().found).toEqual(["mended-whole"]);
});

test("a note of a loss that a crash brings back is no other loss", () => {
  const stage = new Stage().noted();
  stage.loss = undefined;
  stage.noted();
  stage.loss = 5;
  stage.isDamaged = false;
  expect(stage.noted().found).toEqual([]);
});
