// One trial of the thesis's election experiment (section 9.3) in virtual time: a leader of five
// servers crashes right after it has spoken to all, in the worst case that its author could make:
// the timers of the others begin together, and some of their logs are too short to win. Owns the
// little world it happens in; which trials are run and what is made of them is elections.ts's.

import {
  type Draft,
  type Entry,
  FRAME_HEADER_BYTES,
  headOf,
  LOG_START,
  type LogPoint,
  pointAfter,
} from "../src/base/entry.ts";
import {
  after,
  type Instant,
  type LogIndex,
  type MemberId,
  type Micros,
  type Term,
  type WallMs,
} from "../src/base/ids.ts";
import { membershipOf } from "../src/base/membership.ts";
import type { Prng } from "../src/base/prng.ts";
import { sealFrame } from "../src/log/frame.ts";
import type { RaftMessage } from "../src/raft/protocol.ts";
import { Raft } from "../src/raft/raft.ts";

export interface Timing {
  readonly electionTimeoutMin: Micros;
  /** Exclusive, and above the minimum: a microsecond is no randomness worth the name. */
  readonly electionTimeoutMax: Micros;
}

/** A message is on its way for so long, drawn for each: two ways are 15 ms on average. */
const ONE_WAY_MIN = 7000;
const ONE_WAY_MAX = 8000;

/** Trials that have no leader by then are given up. */
export const GIVEN_UP_AFTER = 100_000_000 as Micros;

const DEAD = "n1" as MemberId;
const LIVING = ["n2", "n3", "n4", "n5"] as MemberId[];
const TERM = 1 as Term;

interface Letter {
  readonly at: Instant;
  readonly from: MemberId;
  readonly to: MemberId;
  readonly message: RaftMessage;
}

/**
 * From the crash to the first heartbeat of the next leader that anybody hears; GIVEN_UP_AFTER when
 * there is none by then.
 */
export function withoutLeader(timing: Timing, prng: Prng): Micros {
  const trial = new Trial(timing, prng);
  // Uniformly within the heartbeat interval, which begins with the last heartbeats.
  const crashedAt = prng.between(0, heartbeatOf(timing) - 1);
  const heardAt = trial.run(crashedAt + GIVEN_UP_AFTER);
  return (heardAt - crashedAt) as Micros;
}

/** From the first request to the last answer, when four are asked at once and nobody thinks. */
export function broadcastTime(prng: Prng): Micros {
  return Math.max(...LIVING.map(() => oneWay(prng) + oneWay(prng))) as Micros;
}

const oneWay = (prng: Prng): Micros => prng.between(ONE_WAY_MIN, ONE_WAY_MAX) as Micros;

const heartbeatOf = ({ electionTimeoutMin }: Timing): Micros =>
  Math.floor(electionTimeoutMin / 2) as Micros;

class Trial {
  readonly #prng: Prng;
  readonly #servers: ReadonlyMap<MemberId, Raft>;
  #letters: Letter[] = [];

  constructor(timing: Timing, prng: Prng) {
    this.#prng = prng;
    const lengths = prng.shuffled([2, 3, 4, 5]);
    this.#servers = new Map(
      LIVING.map((name, place) => {
        return [name, serverOf(name, lengths[place] ?? 0, timing, prng.fork(name))];
      }),
    );
    for (const to of LIVING) this.#send(0 as Instant, DEAD, to, LAST_HEARTBEAT);
  }

  /** Until the heartbeat of a leader has come somewhere, or `until`. */
  run(until: number): Instant {
    for (;;) {
      const letter = this.#letters.reduce<Letter | null>(
        (first, each) => (first !== null && first.at <= each.at ? first : each),
        null,
      );
      const [name, server] = this.#firstToRing();
      const now = Math.min(server.deadline, letter?.at ?? until, until) as Instant;
      if (now >= until) return until as Instant;
      if (letter === null || letter.at > now) {
        server.step(now, { kind: "deadline" });
        this.#take(now, name, server);
        continue;
      }
      this.#letters = this.#letters.filter((each) => each !== letter);
      const { from, to, message } = letter;
      if (message.kind === "append-request" && from !== DEAD) return now;
      const addressee = this.#servers.get(to);
      if (addressee === undefined) continue;
      addressee.step(now, { kind: "received", from, message });
      this.#take(now, to, addressee);
    }
  }

  #firstToRing(): [MemberId, Raft] {
    const all = [...this.#servers];
    return all.reduce((a, b) => (a[1].deadline <= b[1].deadline ? a : b));
  }

  /** Disks are quick: what they take is part of the broadcast time. */
  #take(now: Instant, name: MemberId, server: Raft): void {
    for (let output = server.takeOutput(); output !== null; output = server.takeOutput()) {
      for (const send of output.sends) {
        if (send.kind === "message") this.#send(now, name, send.to, send.message);
      }
      const { write } = output;
      if (write !== null) server.step(now, { kind: "persisted", writeId: write.writeId });
    }
  }

  #send(now: Instant, from: MemberId, to: MemberId, message: RaftMessage): void {
    this.#letters.push({ at: after(now, oneWay(this.#prng)), from, to, message });
  }
}

/** Of the term of all, after nothing: every log agrees. */
const LAST_HEARTBEAT: RaftMessage = {
  kind: "append-request",
  term: TERM,
  prevIndex: 0 as LogIndex,
  prevTerm: 0 as Term,
  commitIndex: 0 as LogIndex,
  round: 1,
  entries: [],
};

function serverOf(self: MemberId, length: number, timing: Timing, prng: Prng): Raft {
  const members = [DEAD, ...LIVING].map((id) => ({ id, address: "" }));
  const options = {
    self,
    ...timing,
    heartbeatInterval: heartbeatOf(timing),
    appendBytesMax: 1024 * 1024,
    appendsInFlightMax: 8,
    uncommittedBytesMax: 1024 * 1024,
    readsWaitingMax: 8,
    prng,
    seal: sealFrame,
  };
  const restored = {
    hardState: { term: TERM, votedFor: DEAD },
    membership: membershipOf(members),
    base: LOG_START,
    termRuns: [],
    tail: logOf(length),
  };
  return new Raft(options, restored, 0 as Instant);
}

const DRAFT: Draft = {
  kind: "records",
  codec: 0,
  critical: true,
  count: 1,
  timestamp: 1 as WallMs,
  bodyCrc: 0,
  rawLength: 0,
  producerId: 0,
  epoch: 0,
  sequence: 0,
  bytes: new Uint8Array(FRAME_HEADER_BYTES),
};

function logOf(length: number): Entry[] {
  const log: Entry[] = [];
  let end: LogPoint = LOG_START;
  while (log.length < length) {
    const head = headOf(DRAFT, (end.index + 1) as LogIndex, TERM, end);
    log.push({ ...head, frame: sealFrame(head, new Uint8Array(FRAME_HEADER_BYTES)) });
    end = pointAfter(head);
  }
  return log;
}
