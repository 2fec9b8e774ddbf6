// Snapshots on their way: the base checkpoint brought to a peer that is too far behind, in parts on
// the bulk lane, and the receiving of one. Owns the windows of a sender, the checks of who sends
// what, and who is answered. Neither end holds the whole: a sender has its log read each part as it
// is due, and holds no more than a window; a receiver hands each part to its log, which writes it
// to the disk (src/log/incoming.ts), and answers with what is written. When a snapshot is needed
// and what becomes of it is Raft's; the layout is snapshot-wire.ts.
//
//   sender                              receiver
//     | -- part 0, empty: how far? ------> |
//     | <------------- reply: position --- |   0, or where a lost link or a crash left its file
//     | -- parts within the window ------> |   each with its checksum
//     | <------------- reply: position --- |   once they are written
//     |              ...                   |   whole, synced, with its checksum: to Raft
//
// Nothing is asked of the network but what it asks of Raft: parts and replies may be lost, doubled
// and late. A silent receiver is asked again, and given up after a while; Raft then probes anew.

import { EMPTY_BYTES, type FrozenBytes } from "../base/bytes.ts";
import type { Snapshot } from "../base/entry.ts";
import {
  after,
  earlier,
  type Instant,
  type LogIndex,
  type MemberId,
  type Micros,
  NEVER,
  type Term,
} from "../base/ids.ts";
import type { Membership } from "../base/membership.ts";
import type { CheckpointHeader } from "../log/checkpoint.ts";
import type { LogBase, LogEvent, LogReceived } from "../log/protocol.ts";
import type { RaftEvent, Send } from "../raft/protocol.ts";
import type { Links } from "./links.ts";
import type { OutputDraft } from "./output.ts";
import {
  encodeSnapshot,
  PART_BYTES_MAX,
  type SnapshotMessage,
  type SnapshotName,
} from "./snapshot-wire.ts";

export interface SnapshotsOptions {
  /** A snapshot's bytes on the disk; a larger one is not taken, and not sent. */
  readonly snapshotBytesMax: number;
  /** Bytes in a part that is sent, PART_BYTES_MAX at most. */
  readonly partBytes: number;
  /** A receiver that says nothing is asked again after so long. */
  readonly askAgainAfter: Micros;
}

/** Parts on their way to one receiver. */
const WINDOW_PARTS = 8;
/**
 * Parts that wait for a receiver's disk, and as many that wait for its sync: two senders' windows,
 * because leaders change.
 */
const INCOMING_PARTS = 2 * WINDOW_PARTS;
/** A receiver that was asked so often in vain is given up. */
const ASKED_MAX = 8;

type Part = Extract<SnapshotMessage, { kind: "snapshot-part" }>;
type Reply = Extract<SnapshotMessage, { kind: "snapshot-reply" }>;
type SnapshotSend = Extract<Send, { kind: "snapshot" }>;

interface Sending {
  readonly send: SnapshotSend;
  readonly readId: number;
  /** Null until the log has given it. */
  name: SnapshotName | null;
  /** All before it has arrived, says the receiver; null until it has said anything. */
  position: number | null;
  /** What is read next, for it. */
  next: number;
  askAt: Instant;
  asked: number;
}

/** Whose parts are being received. */
interface Receiving {
  readonly from: MemberId;
  readonly term: Term;
  readonly round: number;
  readonly name: SnapshotName;
}

const NOTHING: readonly LogEvent[] = [];

/** What a receiver's log may have in memory of a snapshot, and write before it syncs. */
export function incomingBytesMax(partBytes = PART_BYTES_MAX): number {
  return INCOMING_PARTS * partBytes;
}

/** The ways to the other ends. */
export type SnapshotLinks = Pick<Links, "routeTo" | "send" | "dropped">;

/** What is committed at the receiver, and whom it follows. */
export interface Here {
  readonly commitIndex: LogIndex;
  readonly membership: Membership;
  readonly term: Term;
  readonly leader: MemberId | null;
}

/** What the bytes of a state say of its members; null when they are no state. */
export type MembershipIn = (snapshot: Omit<Snapshot, "membership">) => Membership | null;

export class Snapshots {
  readonly #options: SnapshotsOptions;
  readonly #links: SnapshotLinks;
  readonly #output: OutputDraft;
  readonly #membershipIn: MembershipIn;
  readonly #sendings = new Map<MemberId, Sending>();
  /** One at a time: whoever leads sends it, and another leader's goes on where it stopped. */
  #receiving: Receiving | null = null;
  #nextReadId = 1;
  /** What the log is to do: read parts for those that are sent to, take those that have come. */
  #tasks: LogEvent[] = [];

  constructor(
    options: SnapshotsOptions,
    links: SnapshotLinks,
    output: OutputDraft,
    membershipIn: MembershipIn,
  ) {
    this.#options = options;
    this.#links = links;
    this.#output = output;
    this.#membershipIn = membershipIn;
  }

  /** When a receiver is to be asked again. */
  get deadline(): Instant {
    let due = NEVER;
    for (const { askAt } of this.#sendings.values()) due = earlier(due, askAt);
    return due;
  }

  /** What the log is to do for it. */
  takeTasks(): readonly LogEvent[] {
    return this.#tasks.length === 0 ? NOTHING : this.#tasks.splice(0);
  }

  // ---- sending ----

  /** Raft wants this peer to have the base checkpoint: asks the log for it. */
  begin(now: Instant, send: SnapshotSend): LogEvent {
    const readId = this.#nextReadId++;
    const askAt = after(now, this.#options.askAgainAfter);
    this.#sendings.set(send.to, {
      send,
      readId,
      name: null,
      position: null,
      next: 0,
      askAt,
      asked: 0,
    });
    return { kind: "read-base", readId };
  }

  /** The log has named the base checkpoint, has none, or has read a part of it. */
  baseRead(now: Instant, read: LogBase): RaftEvent | null {
    const sending = [...this.#sendings.values()].find(({ readId }) => readId === read.readId);
    if (sending === undefined) return null;
    const { name } = sending;
    const isLarge = read.kind === "base" && read.base.stateBytes > this.#options.snapshotBytesMax;
    if (read.kind === "part" && name !== null) {
      const length = Math.min(this.#options.partBytes, name.length - read.position);
      if (read.bytes.length === length) {
        this.#sendPart(sending, name, read.position, read.bytes);
        return null;
      }
    } else if (read.kind === "base" && !isLarge) {
      const { at, stateBytes, stateCrc } = read.base;
      sending.name = { at, length: stateBytes, crc: stateCrc };
      this.#ask(now, sending);
      return null;
    }
    const { to: peer } = sending.send;
    // Trimmed away under it, for instance: Raft asks again, and another base is there.
    const why = isLarge ? "it is too large to send" : read.kind;
    this.#output.notice(name === null ? "error" : "warn", "snapshot-not-sent", { peer, why });
    return this.#end(peer, false);
  }

  /** Where the receiver is: sends what fits behind that, or is done. */
  replied(now: Instant, from: MemberId, { index, crc, position }: Reply): RaftEvent | null {
    const sending = this.#sendings.get(from);
    const name = sending?.name ?? null;
    if (sending === undefined || name === null) return null;
    if (name.at.index !== index || name.crc !== crc || position > name.length) return null;
    if (position === name.length) {
      const facts = { peer: from, index, bytes: name.length };
      this.#output.notice("info", "snapshot-sent", facts);
      return this.#end(from, true);
    }
    // It had more: it has begun anew, or what it had was not what was meant. So do we, and look
    // into the checkpoint again.
    if (sending.asked > 0 && position < (sending.position ?? 0)) return this.#end(from, false);
    const isNews = sending.position === null || position > sending.position;
    // A reply to a question: what was on its way then is lost, or it would be further.
    if (sending.asked > 0 || sending.position === null) sending.next = position;
    if (isNews || sending.asked > 0) {
      sending.position = Math.max(position, isNews ? position : (sending.position ?? 0));
      sending.asked = 0;
      sending.askAt = after(now, this.#options.askAgainAfter);
    }
    sending.next = Math.max(sending.next, sending.position ?? 0);
    this.#sendWindow(sending, name);
    return null;
  }

  /** Asks receivers that were silent too long; those that stay so are given up. */
  ring(now: Instant): RaftEvent[] {
    const events: RaftEvent[] = [];
    for (const sending of [...this.#sendings.values()]) {
      if (sending.askAt > now) continue;
      if (sending.asked >= ASKED_MAX) {
        const { to } = sending.send;
        this.#output.notice("warn", "snapshot-given-up", { peer: to, position: sending.position });
        events.push(this.#end(to, false));
      } else this.#ask(now, sending);
    }
    return events;
  }

  /** Nothing more is sent in the name of another term than this one; null: in nobody's. */
  onlyOf(term: Term | null): void {
    for (const [peer, { send }] of this.#sendings) {
      if (send.term !== term) this.#sendings.delete(peer);
    }
  }

  #end(peer: MemberId, ok: boolean): RaftEvent {
    this.#sendings.delete(peer);
    return { kind: "snapshot-ended", peer, ok };
  }

  /** An empty part: how far are you? */
  #ask(now: Instant, sending: Sending): void {
    sending.asked++;
    sending.askAt = after(now, this.#options.askAgainAfter);
    if (sending.name !== null) this.#sendPart(sending, sending.name, 0, EMPTY_BYTES);
  }

  /** Has the log read what may be on its way now; nothing while there is no link. */
  #sendWindow(sending: Sending, name: SnapshotName): void {
    if (this.#links.routeTo(sending.send.to, "bulk") === null) return;
    const { partBytes } = this.#options;
    const end = Math.min(name.length, (sending.position ?? 0) + WINDOW_PARTS * partBytes);
    const { readId } = sending;
    const { index } = name.at;
    while (sending.next < end) {
      const position = sending.next;
      const length = Math.min(partBytes, name.length - position);
      this.#tasks.push({ kind: "read-base-part", readId, index, position, length });
      sending.next += length;
    }
  }

  /** Without a link it is as lost as on the way. */
  #sendPart({ send }: Sending, name: SnapshotName, position: number, bytes: FrozenBytes): void {
    const route = this.#links.routeTo(send.to, "bulk");
    if (route === null) return;
    const { term, round } = send;
    const part: Part = { kind: "snapshot-part", term, round, name, position, bytes };
    this.#links.send(route.link, encodeSnapshot(route.route, part));
  }

  // ---- receiving ----

  /**
   * A part has come, from whoever leads: it goes to the log. What is committed here already is
   * answered as if it were all there, and Raft is told, so that the leader hears how far this log
   * is:
   *
   *   1. a snapshot was installed, and a crash came before it was acknowledged
   *   2. the leader knows of an older match only, and offers the same snapshot again
   */
  partReceived(now: Instant, from: MemberId, part: Part, here: Here): RaftEvent | null {
    const { term, round, name, position, bytes } = part;
    const refusal = this.#refusalOf(from, part, here);
    if (refusal !== null) {
      this.#links.dropped(now, from, refusal);
      return null;
    }
    if (name.at.index <= here.commitIndex) {
      this.#reply(from, name, name.length);
      const snapshot = { at: name.at, membership: here.membership, state: EMPTY_BYTES };
      return { kind: "snapshot-received", from, term, round, snapshot };
    }
    this.#receiving = { from, term, round, name };
    this.#tasks.push({ kind: "receive-base", base: baseOf(name), position, bytes });
    return null;
  }

  #refusalOf(from: MemberId, { term, name }: Part, here: Here): string | null {
    if (term < here.term)
      return `a snapshot from the leader of term ${term}, it is ${here.term} now`;
    const isLedByAnother = term === here.term && here.leader !== null && here.leader !== from;
    if (isLedByAnother) return "a snapshot from another than this term's leader";
    const { snapshotBytesMax } = this.#options;
    if (name.length <= snapshotBytesMax) return null;
    return `a snapshot of ${name.length} bytes, the largest kept here has ${snapshotBytesMax}`;
  }

  /**
   * What the log says of it: where to go on, or that it has all, which is given to Raft. Raft may
   * have found another leader meanwhile; that one asks, and then hears the same.
   */
  baseReceived(received: LogReceived): RaftEvent | null {
    const receiving = this.#receiving;
    if (receiving === null || !isNamed(receiving.name, received.base)) return null;
    const { from, term, round, name } = receiving;
    const { at } = name;
    if (received.kind === "part") {
      if (received.position < name.length) this.#reply(from, name, received.position);
      return null;
    }
    this.#receiving = null;
    const state = received.kind === "whole" ? received.state : null;
    const membership = state === null ? null : this.#membershipIn({ at, state });
    if (state === null || membership === null) {
      this.#output.notice("warn", "snapshot-broken", { from, index: at.index });
      this.#tasks.push({ kind: "forget-received" });
      this.#reply(from, name, 0);
      return null;
    }
    this.#output.notice("info", "snapshot-received", {
      from,
      index: at.index,
      bytes: state.length,
    });
    this.#reply(from, name, name.length);
    return { kind: "snapshot-received", from, term, round, snapshot: { at, membership, state } };
  }

  #reply(to: MemberId, { at, crc }: SnapshotName, position: number): void {
    const route = this.#links.routeTo(to, "control");
    if (route === null) return;
    const reply: Reply = { kind: "snapshot-reply", index: at.index, crc, position };
    this.#links.send(route.link, encodeSnapshot(route.route, reply));
  }
}

function baseOf({ at, length, crc }: SnapshotName): CheckpointHeader {
  return { at, stateBytes: length, stateCrc: crc };
}

function isNamed({ at, length, crc }: SnapshotName, base: CheckpointHeader): boolean {
  return at.index === base.at.index && crc === base.stateCrc && length === base.stateBytes;
}
