// Copies of the committed log for whoever keeps them elsewhere: one at a time, from this member's
// own disk, up to an index that a quorum has confirmed when it began (thesis 6.4). Owns the cut,
// the pin that keeps trimmed files until they were read, and how long a caller may take; what the
// copy's files look like is src/service/backup-files.ts, and where they go nobody's business here.
//
//   1. the index is confirmed (reads.ts); what is committed here by then is the cut
//   2. the log is pinned from its first entry on, so that base and entries belong together
//   3. each asking is answered with what comes next; the pin moves up behind it
//
// A trim that is committed meanwhile holds for every reader at once. Only its files stay, and only
// here, where a start that lags behind the others' means nothing to them.

import type { Answer, BackupBase, BackupPart, ClientRequest } from "../base/client.ts";
import { crc32c } from "../base/crc32c.ts";
import type { LogPoint } from "../base/entry.ts";
import type { Fault } from "../base/faults.ts";
import {
  after,
  earlier,
  type Instant,
  type LogIndex,
  millis,
  NEVER,
  type Offset,
  type RequestId,
  type Term,
} from "../base/ids.ts";
import { instanceOf } from "../base/membership.ts";
import { takeAll } from "../base/taking.ts";
import { checkpointFile } from "../log/file-names.ts";
import type { LogBase, LogEvent, LogRead } from "../log/protocol.ts";
import type { OutputDraft } from "./output.ts";
import type { Replica } from "./replica.ts";

/** A caller that asks for nothing in so long holds no files back any more. */
export const BACKUP_PATIENCE = millis(60_000);
/** Nor does one that is never done. */
export const BACKUP_TIME_MAX = millis(24 * 3_600_000);
const BUSY_RETRY_MS = 1000;

export const DISK_FULL = "the member's disk is full, and what it held back had to go";
export const LOG_REPLACED = "the member fell behind, and its log was replaced by a snapshot";

type ReadBackup = Extract<ClientRequest, { kind: "read-backup" }>;

/** What is asked of the node that is copied. */
export type BackupSource = Pick<
  Replica,
  "state" | "startsAfter" | "room" | "self" | "raft" | "hasMachine" | "logStatus"
>;

interface Session {
  readonly id: RequestId;
  readonly cut: LogPoint;
  readonly startOffset: Offset;
  readonly endsAt: Instant;
  /** Null until the log has named it, and when it begins with its first entry. */
  base: BackupBase | null;
  /** Bytes of the base's state that were read, and their checksum. */
  position: number;
  crc: number;
  /** The entry to be read next. */
  next: LogIndex;
  /** What is to be answered; null while it is the caller's turn. */
  asked: RequestId | null;
  deadline: Instant;
}

const NO_EVENTS: readonly LogEvent[] = [];

export class Backups {
  readonly #replica: BackupSource;
  readonly #output: OutputDraft;
  #session: Session | null = null;
  #events: LogEvent[] = [];
  readonly #answers: Answer[] = [];

  constructor(replica: BackupSource, output: OutputDraft) {
    this.#replica = replica;
    this.#output = output;
  }

  /** When whoever asks no more is given up. */
  get deadline(): Instant {
    return this.#session?.deadline ?? NEVER;
  }

  /** Why none may begin now; null when one may. */
  get refusal(): Fault | null {
    // What it would hold back is what a full disk needs to let go of.
    if (this.#replica.room === "full") return { code: "disk-full" };
    if (this.#session === null) return null;
    return { code: "overloaded", what: "one backup at a time", retryAfterMs: BUSY_RETRY_MS };
  }

  /** All that was committed when the request came is committed here: this is where it is cut. */
  begin(now: Instant, id: RequestId): void {
    const fault = this.refusal;
    if (fault !== null) {
      this.#refuse(id, fault);
      return;
    }
    const { committed: cut, startOffset } = this.#replica.state;
    const next = (this.#replica.startsAfter + 1) as LogIndex;
    const endsAt = after(now, BACKUP_TIME_MAX);
    const place = { base: null, position: 0, crc: 0, next, asked: id };
    this.#session = { id, cut, startOffset, endsAt, ...place, deadline: NEVER };
    this.#touch(now, this.#session);
    this.#pin(next);
    this.#events.push({ kind: "read-base", readId: -id });
    this.#output.notice("info", "backup-began", { lastIndex: cut.index, lastTerm: cut.term });
  }

  /** True when it was asked for here. */
  maybeBase(now: Instant, read: LogBase): boolean {
    const session = this.#session;
    if (session?.asked == null || read.readId !== -session.asked) return read.readId < 0;
    if (read.kind === "failed") this.#end(read.fault, "its base cannot be read");
    else if (read.kind === "part") this.#answerState(now, session, read.bytes);
    else this.#answerBegun(now, session, read.kind === "base" ? read.base : null);
    return true;
  }

  read(now: Instant, { requestId, backupId, bytesMax }: ReadBackup): void {
    const session = this.#session;
    if (session === null || session.id !== backupId || session.asked !== null) {
      this.#refuse(requestId, { code: "backup-ended", what: "it is not under way any more" });
      return;
    }
    session.asked = requestId;
    this.#touch(now, session);
    const { base, position, next, cut } = session;
    if (base !== null && position < base.stateBytes) {
      const length = Math.min(bytesMax, base.stateBytes - position);
      const place = { index: base.at.index, position, length };
      this.#events.push({ kind: "read-base-part", readId: -requestId, ...place });
    } else if (next <= cut.index) {
      const from = { kind: "index", index: next } as const;
      this.#events.push({ kind: "read", readId: requestId, from, lastIndex: cut.index, bytesMax });
    } else {
      this.#answer(now, session, { kind: "end" });
      this.#release("read to its end");
    }
  }

  /** True when it was asked for here. */
  maybeRead(now: Instant, read: LogRead): boolean {
    const session = this.#session;
    if (session === null || session.asked !== read.readId) return false;
    if (read.kind === "failed") {
      this.#end(read.fault, "its entries cannot be read");
      return true;
    }
    const last = read.entries.at(-1);
    if (last === undefined || last.index > session.cut.index) {
      this.#end({ code: "backup-ended", what: LOG_REPLACED }, LOG_REPLACED);
      return true;
    }
    session.next = (last.index + 1) as LogIndex;
    this.#pin(session.next);
    this.#answer(now, session, { kind: "entries", entries: read.entries });
    return true;
  }

  /** By the id of its beginning, or of what was asked last: nobody wants it any more. */
  cancel(requestId: RequestId): void {
    const session = this.#session;
    if (session === null || (session.id !== requestId && session.asked !== requestId)) return;
    this.#end({ code: "cancelled" }, "taken back");
  }

  ring(now: Instant): void {
    const session = this.#session;
    if (session === null || session.deadline > now) return;
    const isLate = session.endsAt <= now;
    this.giveUp(isLate ? "it took longer than a day" : "nothing was asked of it for a minute");
  }

  /** It cannot go on, and another may. */
  giveUp(what: string): void {
    this.#end({ code: "backup-ended", what }, what);
  }

  /** This node reads nothing more for anybody. */
  refuseAll(fault: Fault): void {
    this.#end(fault, "the node stops");
  }

  takeAnswers(): readonly Answer[] {
    return takeAll(this.#answers);
  }

  takeEvents(): readonly LogEvent[] {
    return this.#events.length === 0 ? NO_EVENTS : this.#events.splice(0);
  }

  // ---- the one that is under way ----

  #answerBegun(now: Instant, session: Session, base: BackupBase | null): void {
    const { id, cut, startOffset } = session;
    const { self, raft, hasMachine } = this.#replica;
    session.base = base;
    session.asked = null;
    this.#touch(now, session);
    const term = Math.max(raft?.term ?? 0, cut.term) as Term;
    const instanceId = self === null ? "" : instanceOf(self);
    const bytes = this.#replica.logStatus().storeBytes + (base?.stateBytes ?? 0);
    const backup = { base, cut, startOffset, term, instanceId, hasMachine, bytes };
    this.#answers.push({ kind: "backup-begun", requestId: id, backup });
  }

  #answerState(now: Instant, session: Session, bytes: BackupBytes): void {
    const { base } = session;
    session.position += bytes.length;
    session.crc = crc32c(bytes, session.crc);
    const isDone = base !== null && session.position >= base.stateBytes;
    if (bytes.length === 0 || (isDone && session.crc !== base.stateCrc)) {
      const file = checkpointFile(base?.at.index ?? session.cut.index);
      const what = "the base checkpoint is not what it was";
      this.#end({ code: "damaged", file, position: session.position, what }, what);
    } else this.#answer(now, session, { kind: "state", bytes });
  }

  #answer(now: Instant, session: Session, part: BackupPart): void {
    if (session.asked !== null) {
      this.#answers.push({ kind: "backup-part", requestId: session.asked, part });
    }
    session.asked = null;
    this.#touch(now, session);
  }

  #touch(now: Instant, session: Session): void {
    session.deadline = earlier(after(now, BACKUP_PATIENCE), session.endsAt);
  }

  #end(fault: Fault, why: string): void {
    const session = this.#session;
    if (session === null) return;
    if (session.asked !== null) this.#refuse(session.asked, fault);
    this.#release(why);
  }

  #release(why: string): void {
    const { next = 0, cut } = this.#session ?? {};
    this.#session = null;
    this.#pin(null);
    const facts = { why, nextIndex: next, lastIndex: cut?.index ?? 0 };
    this.#output.notice("info", "backup-ended", facts);
  }

  #pin(from: LogIndex | null): void {
    this.#events.push({ kind: "pin", from });
  }

  #refuse(requestId: RequestId, fault: Fault): void {
    this.#answers.push({ kind: "fault", requestId, fault });
  }
}

type BackupBytes = Extract<BackupPart, { kind: "state" }>["bytes"];
