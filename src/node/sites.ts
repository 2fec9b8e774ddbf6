// Which fault sites a node's turn comes to, told from what Raft and the log put out. Owns their
// recognition; what happens there is the port's (src/ports/fault-sites.ts).

import type { LogIndex, Term } from "../base/ids.ts";
import type { FaultSite, FaultSites } from "../ports/fault-sites.ts";
import type { RaftOutput, Send } from "../raft/protocol.ts";
import type { Raft } from "../raft/raft.ts";

export class Sites {
  readonly #port: FaultSites;
  #ledTerm: Term | null = null;
  #hasCommitted = false;

  constructor(port: FaultSites) {
    this.#port = port;
  }

  reached(site: FaultSite): void {
    this.#port.reached(site);
  }

  /** Raft's output is about to be performed; so far everything up to `committed` was. */
  performing(raft: Raft, output: RaftOutput, committed: LogIndex): void {
    const ledTerm = raft.role === "leader" ? raft.term : null;
    if (ledTerm !== this.#ledTerm) {
      this.#ledTerm = ledTerm;
      this.#hasCommitted = false;
      if (ledTerm !== null) this.#port.reached("election-won");
    }
    if (ledTerm !== null && !this.#hasCommitted && output.commitIndex > committed) {
      this.#hasCommitted = true;
      this.#port.reached("first-commit");
    }
    if (output.write !== null && output.write.truncateFrom !== null) {
      this.#port.reached("truncation");
    }
    if (output.write?.install !== undefined) this.#port.reached("install");
    if (output.sends.some(isVote)) this.#port.reached("vote-durable");
  }
}

function isVote(send: Send): boolean {
  if (send.kind !== "message" || send.message.kind !== "vote-reply") return false;
  return send.message.granted && !send.message.preVote;
}
