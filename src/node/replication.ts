// Appends on their way to peers: Raft says which entries, the log lends their frames, the bulk lane
// takes both. Owns what waits for the log; a message whose moment has passed is dropped, as a
// network might.

import type { LogIndex } from "../base/ids.ts";
import type { LogEvent, LogRead } from "../log/protocol.ts";
import type { RaftMessage, Send } from "../raft/protocol.ts";
import type { Raft } from "../raft/raft.ts";
import type { Links } from "./links.ts";
import type { OutputDraft } from "./output.ts";
import { encodeRaft } from "./raft-wire.ts";

/** An append-request whose entries are being read from the log. */
type EntriesSend = Extract<Send, { kind: "entries" }>;

export class Replication {
  readonly #links: Links;
  readonly #output: OutputDraft;
  readonly #reading = new Map<number, EntriesSend>();
  /** Negative, so that a read for a peer is told from a fetch, which has its request's id. */
  #nextReadId = -1;

  constructor(links: Links, output: OutputDraft) {
    this.#links = links;
    this.#output = output;
  }

  /** Sends at once what needs no entries; else says what to read first. */
  send(send: Exclude<Send, { kind: "snapshot" }>): LogEvent | null {
    if (send.kind === "message") {
      const route = this.#links.routeTo(send.to, "control");
      if (route !== null) this.#links.send(route.link, encodeRaft(route.route, send.message));
      return null;
    }
    if (this.#links.routeTo(send.to, "bulk") === null) return null;
    const readId = this.#nextReadId--;
    this.#reading.set(readId, send);
    return {
      kind: "read",
      readId,
      from: { kind: "index", index: (send.prevIndex + 1) as LogIndex },
      lastIndex: send.lastIndex,
      bytesMax: send.bytesMax,
    };
  }

  /**
   * The entries of an append are here. It leaves only while its term is still led: after that the
   * log may hold another leader's entries at the same indexes.
   */
  entriesRead(read: LogRead, raft: Raft): void {
    const send = this.#reading.get(read.readId);
    this.#reading.delete(read.readId);
    if (send === undefined || raft.role !== "leader" || raft.term !== send.term) return;
    if (read.kind === "failed") {
      const facts = { peer: send.to, index: send.prevIndex + 1, fault: read.fault.code };
      this.#output.notice("error", "replication-read-failed", facts);
      return;
    }
    const first = read.entries[0];
    const route = this.#links.routeTo(send.to, "bulk");
    if (first === undefined || first.prevTerm !== send.prevTerm || route === null) return;
    const { term, prevIndex, prevTerm, commitIndex, round } = send;
    const { entries } = read;
    const message: RaftMessage = {
      kind: "append-request",
      term,
      prevIndex,
      prevTerm,
      commitIndex,
      round,
      entries,
    };
    this.#links.send(route.link, encodeRaft(route.route, message));
  }
}
