// What a node does for the safety of its log besides writing it: digests compared, sealed segments
// scrubbed, leadership handed over by a full disk. Joins the three to the node's events; each keeps
// its own rules (digests.ts, scrubbing.ts, handover.ts).

import type { EntryHead } from "../base/entry.ts";
import type { Fault } from "../base/faults.ts";
import { earlier, type Instant } from "../base/ids.ts";
import type { LogOutput, LogRead } from "../log/protocol.ts";
import { type DigestCounts, Digests } from "./digests.ts";
import { Handover } from "./handover.ts";
import type { OutputDraft } from "./output.ts";
import type { NodeOptions } from "./protocol.ts";
import type { Replica } from "./replica.ts";
import { Scrubbing } from "./scrubbing.ts";

export class Safekeeping {
  readonly #replica: Replica;
  readonly #output: OutputDraft;
  readonly #digests: Digests;
  readonly #scrubbing: Scrubbing;
  readonly #handover: Handover;

  constructor(options: NodeOptions, replica: Replica, output: OutputDraft) {
    this.#replica = replica;
    this.#output = output;
    this.#digests = new Digests(replica);
    this.#scrubbing = new Scrubbing(options, replica);
    this.#handover = new Handover(replica);
  }

  get deadline(): Instant {
    return earlier(this.#scrubbing.deadline, this.#handover.deadline);
  }

  get digestCounts(): DigestCounts {
    return this.#digests.counts;
  }

  begin(now: Instant): void {
    this.#scrubbing.begin(now);
  }

  stop(): void {
    this.#scrubbing.stop();
  }

  ring(now: Instant): void {
    this.#scrubbing.ring(now);
  }

  /** What the log said, once Raft has heard of it. */
  logSpoke(now: Instant, { rolled, room, persisted, bases }: LogOutput): void {
    for (const base of bases) this.#handover.baseRead(base);
    if (rolled !== null) this.#digests.sealed(now, rolled.index);
    if (room !== null) {
      this.#handover.room(room);
      this.#replica.consult(now, { kind: "disk-full", isFull: room === "full" });
      this.#output.notice(room === "plenty" ? "info" : "warn", "disk-room", { room });
    }
    if (this.#replica.maySpendReserve) this.#replica.stepLog(now, { kind: "spend-reserve" });
    if (persisted !== null) this.#digests.advance(now);
    this.#sayDifference(now);
  }

  /** True when the read was for a digest. */
  maybeRead(now: Instant, read: LogRead): boolean {
    if (!this.#digests.maybeRead(now, read)) return false;
    this.#sayDifference(now);
    return true;
  }

  committed(head: EntryHead): void {
    this.#digests.committed(head);
  }

  /** The log was replaced: its entries are others' now. */
  replaced(): void {
    this.#digests.reset();
  }

  /** Why nothing but a trim is proposed while the log has no room; null while it has. */
  refusal(now: Instant): Fault | null {
    const { room } = this.#replica;
    const isLate = room === "congested" || (room === "full" && this.#handover.isPending(now));
    if (isLate) return { code: "overloaded", what: "the disk", retryAfterMs: 50 };
    return room === "full" ? { code: "disk-full" } : null;
  }

  maybeHandOver(now: Instant): void {
    if (this.#handover.maybeHandOver(now)) this.#output.notice("warn", "hands-over", {});
  }

  /** What differs is damage, which the log marks and then refuses to go on with. */
  #sayDifference(now: Instant): void {
    const found = this.#digests.takeDifference();
    if (found === null) return;
    const { firstIndex: first, lastIndex: last } = found;
    this.#replica.stepLog(now, { kind: "differs", first, last });
  }
}
