// Nodes that have lost durable entries and know it: what each of them had is owed until its hard
// state says that it is whole again. Until then it has no say, so that its lost copies may still be
// counted: they can vote for nobody who lacks them. Owns what is owed, and judges that a log is cut
// only where its disk has lost something, that who mends says so, and that who is whole has
// everything.

import type { LogIndex, NodeId, Term } from "../../src/base/ids.ts";
import type { RaftMessage } from "../../src/raft/protocol.ts";
import type { Computer } from "../observer.ts";
import type { CommittedLog } from "./committed-log.ts";
import type { DiskWatch } from "./disk-watch.ts";
import type { Property, Report } from "./violation.ts";

interface Owed {
  /** As the hard state numbers it; 0: nothing is owed. */
  loss: number;
  readonly terms: Map<LogIndex, Term>;
}

export class Losses {
  readonly #committed: CommittedLog;
  readonly #report: Report;
  readonly #owed = new Map<NodeId, Owed>();
  /** The latest loss of each that was judged: a crash can bring back the note of one. */
  readonly #judged = new Map<NodeId, number>();

  constructor(committed: CommittedLog, report: Report) {
    this.#committed = committed;
    this.#report = report;
  }

  /** The term of an entry that the node had before it lost it; null: it has lost none there. */
  owedTermAt(node: NodeId, index: LogIndex): Term | null {
    return this.#owed.get(node)?.terms.get(index) ?? null;
  }

  /** There is another disk in the node: what it had is gone with the old one. */
  replaced(node: NodeId): void {
    this.#owed.delete(node);
    this.#judged.delete(node);
  }

  /** Something of the hard state reached the disk of `node`, which holds the rest as it was. */
  noted(node: Computer, disk: DiskWatch): void {
    const loss = disk.noted?.hardState.loss ?? 0;
    const owed = this.#owed.get(node.name) ?? { loss: 0, terms: new Map() };
    if (loss > owed.loss) this.#begins(node, disk, owed, loss);
    else if (loss === 0 && owed.loss > 0) this.#ends(node.name, disk, owed);
  }

  #begins(node: Computer, disk: DiskWatch, owed: Owed, loss: number): void {
    const isNew = loss > (this.#judged.get(node.name) ?? 0);
    this.#judged.set(node.name, loss);
    if (isNew && !node.disk.isDamaged) {
      const first = `${node.name} notes that it has lost entries from ${disk.noted?.truncateFrom} on`;
      this.#found("loss-real", node.name, first, "its disk reads everything as it was written");
    }
    for (const { index, term } of isNew ? disk.certainHeads() : []) owed.terms.set(index, term);
    this.#owed.set(node.name, { loss, terms: owed.terms });
  }

  #ends(node: NodeId, disk: DiskWatch, { terms }: Owed): void {
    this.#owed.delete(node);
    for (const [index, term] of terms) {
      if (this.#committed.at(index)?.term !== term || (disk.base?.index ?? 0) >= index) continue;
      const has = disk.certainTermAt(index);
      if (has === term) continue;
      const first = `${node} notes that it has everything again that it had lost`;
      const second = `its disk has ${has ?? "nothing"} for certain of ${this.#committed.describe(index)}`;
      this.#found("mended-whole", node, first, second);
      return;
    }
  }

  /** A message leaves a node. */
  sent(node: NodeId, to: NodeId, message: RaftMessage): void {
    const loss = this.#owed.get(node)?.loss ?? 0;
    if (loss === 0) return;
    const first = `${node} has lost entries, and has not noted that it has them again`;
    const isVote = message.kind === "vote-reply" && message.granted;
    if (isVote || message.kind === "vote-request")
      this.#found("mender-silent", node, first, `it sends ${to} a ${message.kind}`);
    else if (message.kind === "append-reply" && message.loss !== loss)
      this.#found("mender-silent", node, first, `it answers ${to} without a word of it`);
  }

  #found(property: Property, node: NodeId, first: string, second: string): void {
    this.#report({ property, facts: [first, second], node });
  }
}
