// What gossip has decided and its host has not taken yet: packets, streams, happenings, answers and
// notices, each in the order it was decided. Seals packets; decides nothing.

import { type Address, describeAddress } from "../base/address.ts";
import type { FrozenBytes } from "../base/bytes.ts";
import type { Instant, StreamId } from "../base/ids.ts";
import type { Notice } from "../base/notice.ts";
import { DropLedger } from "./drops.ts";

import { sealPacket } from "./packet-codec.ts";
import type {
  Dial,
  DropReason,
  GossipAnswer,
  GossipOutput,
  Happening,
  Heard,
  OutgoingPacket,
  StreamClose,
  StreamWrite,
} from "./protocol.ts";

export class Outbox {
  readonly #compress: boolean;
  readonly #drops = new DropLedger();
  #packets: OutgoingPacket[] = [];
  #dials: Dial[] = [];
  #streamWrites: StreamWrite[] = [];
  #streamCloses: StreamClose[] = [];
  #happenings: Happening[] = [];
  #heard: Heard[] = [];
  #answers: GossipAnswer[] = [];
  #notices: Notice[] = [];

  constructor(compress: boolean) {
    this.#compress = compress;
  }

  /** What had no effect, by reason. */
  get dropped(): Readonly<Partial<Record<DropReason, number>>> {
    return this.#drops.counts;
  }

  /** One packet of encoded messages; returns its bytes on the wire. */
  packet(to: Address, parts: readonly FrozenBytes[], crc: boolean): number {
    const bytes = sealPacket(parts, { crc, compress: this.#compress });
    this.#packets.push({ to, bytes });
    return bytes.length;
  }

  dial(streamId: StreamId, to: Address): void {
    this.#dials.push({ streamId, to });
  }

  write(streamId: StreamId, bytes: FrozenBytes): void {
    this.#streamWrites.push({ streamId, bytes });
  }

  close(streamId: StreamId, why: string): void {
    this.#streamCloses.push({ streamId, why });
  }

  happened(happening: Happening): void {
    this.#happenings.push(happening);
  }

  heard(heard: Heard): void {
    this.#heard.push(heard);
  }

  answer(answer: GossipAnswer): void {
    this.#answers.push(answer);
  }

  notice(notice: Notice): void {
    this.#notices.push(notice);
  }

  /** Counts something that had no effect, and tells operators if their patience allows. */
  drop(now: Instant, from: Address, reason: DropReason): void {
    const notice = this.#drops.note(now, describeAddress(from), reason);
    if (notice !== null) this.notice(notice);
  }

  /** Everything since the last call; null when that is nothing. */
  take(): GossipOutput | null {
    const output: GossipOutput = {
      packets: this.#packets,
      dials: this.#dials,
      streamWrites: this.#streamWrites,
      streamCloses: this.#streamCloses,
      happenings: this.#happenings,
      answers: this.#answers,
      heard: this.#heard,
      notices: this.#notices,
    };
    if (Object.values(output).every((decided) => decided.length === 0)) return null;
    this.#packets = [];
    this.#dials = [];
    this.#streamWrites = [];
    this.#streamCloses = [];
    this.#happenings = [];
    this.#heard = [];
    this.#answers = [];
    this.#notices = [];
    return output;
  }
}
