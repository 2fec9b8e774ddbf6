// What a node holds is bounded by its options: mail of each class, appends on their way to a peer,
// frames kept in memory. Looked at after every few turns. Owns which bound is whose; a queue
// without a bound of its own is told of in docs/simulation.md.

import { FRAME_HEADER_BYTES } from "../../src/base/entry.ts";
import type { NodeId } from "../../src/base/ids.ts";
import { isBoundedMail, type MailClass } from "../../src/node/mailbox.ts";
import type { Computer } from "../observer.ts";
import type { Plan } from "../plan.ts";
import type { Report } from "./violation.ts";

/** Of all nodes together; not a number that any bound is a multiple of. */
const TURNS_A_LOOK = 7;

export class Bounds {
  readonly #options: Plan["options"];
  readonly #report: Report;
  #turns = 0;

  constructor({ options }: Plan, report: Report) {
    this.#options = options;
    this.#report = report;
  }

  afterTurn({ name, host }: Computer): void {
    // PERF: what is beyond its bound stays there for a while.
    if (host === null || ++this.#turns % TURNS_A_LOOK > 0) return;
    const [raft, log] = [host.raft(), host.log()];
    const mail = host.mail();
    const { mailboxEventsMax, appendsInFlightMax, appendBytesMax } = this.#options;
    const { cacheBytesMax, batchBytesMax } = this.#options;
    for (const mailClass of Object.keys(mail) as MailClass[])
      if (isBoundedMail(mailClass))
        this.#check(name, `mail of class ${mailClass}`, mail[mailClass], mailboxEventsMax);
    // The last append to leave may be one entry, of any size.
    const bytesMax = appendsInFlightMax * appendBytesMax + batchBytesMax + FRAME_HEADER_BYTES;
    for (const { peer, inFlight, bytesInFlight } of raft?.peers ?? []) {
      this.#check(name, `appends on their way to ${peer}`, inFlight, appendsInFlightMax);
      this.#check(name, `bytes of appends on their way to ${peer}`, bytesInFlight, bytesMax);
    }
    // What is not durable must be kept, whatever it is.
    if (log.state === "open" && log.end.index === log.durableIndex)
      this.#check(name, "bytes of durable frames in memory", log.cachedBytes, cacheBytesMax);
  }

  #check(node: NodeId, what: string, count: number, countMax: number): void {
    if (count <= countMax) return;
    const facts = [`${node} may hold ${countMax} ${what}`, `it holds ${count}`] as const;
    this.#report({ property: "bounded", facts, node });
  }
}
