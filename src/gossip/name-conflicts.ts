// Two members of one name, as Serf settles it: whoever hears of himself at another address asks all
// the others, by the query `_serf_conflict`, where they know that name, and gives it up when most
// name the other place. But first he asks there: others may only not have noticed yet that he has
// moved, and then nobody is there. Owns who asks and who has lost; what a loser does is gossip.ts.

import { type Address, describeAddress, sameAddress } from "../base/address.ts";
import { type FrozenBytes, freeze } from "../base/bytes.ts";
import { after, type Instant, millis, NEVER, type NodeId } from "../base/ids.ts";
import { encodeUtf8 } from "../base/utf8.ts";
import { asName } from "./fields.ts";
import type { LocalMember } from "./local-member.ts";
import { encodeMessage } from "./message-codec.ts";
import type { Outbox } from "./outbox.ts";
import type { GossipProfile, MemberStatus } from "./protocol.ts";
import { decodeConflictResponse, encodeConflictResponse } from "./query-payloads.ts";
import type { Roster } from "./roster.ts";
import type { Sequence } from "./sequence.ts";
import { decodeTags } from "./tags.ts";
import type { Talk } from "./talk.ts";

const CONFLICT_QUERY = "_serf_conflict";
/** A name is settled at most this often, however often it is claimed. */
const QUIET_SPAN = millis(30_000);
/** Packets may be lost. */
const PINGS = 3;

/** As Serf numbers them. */
const STATUSES: Readonly<Record<MemberStatus, number>> = {
  alive: 1,
  leaving: 2,
  left: 3,
  failed: 4,
};

interface Vote {
  /** Where the other one is. */
  readonly theirs: Address;
  answers: number;
  /** Answers that name our address. */
  forUs: number;
  hasEnded: boolean;
}

/** Most name the other place: is anybody there? */
interface Knock {
  readonly vote: Vote;
  readonly sequences: Set<number>;
  nextAt: Instant;
  pingsLeft: number;
}

export class NameConflicts {
  readonly #profile: GossipProfile;
  readonly #self: LocalMember;
  readonly #roster: Roster;
  readonly #talk: Talk;
  readonly #outbox: Outbox;
  readonly #sequence: Sequence;
  #vote: Vote | null = null;
  #knock: Knock | null = null;
  #quietUntil = 0 as Instant;
  #hasLost = false;

  constructor(parts: {
    readonly profile: GossipProfile;
    readonly self: LocalMember;
    readonly roster: Roster;
    readonly talk: Talk;
    readonly outbox: Outbox;
    readonly sequence: Sequence;
  }) {
    this.#profile = parts.profile;
    this.#self = parts.self;
    this.#roster = parts.roster;
    this.#talk = parts.talk;
    this.#outbox = parts.outbox;
    this.#sequence = parts.sequence;
    this.#talk.answerInternal(CONFLICT_QUERY, (payload) => this.#answer(payload));
  }

  /** Our name is somebody else's. */
  get hasLost(): boolean {
    return this.#hasLost;
  }

  get deadline(): Instant {
    return this.#knock?.nextAt ?? NEVER;
  }

  /** Somebody says that we are at `theirs`. */
  heard(now: Instant, theirs: Address): void {
    if (this.#vote !== null || this.#knock !== null || now < this.#quietUntil) return;
    const vote: Vote = { theirs, answers: 0, forUs: 0, hasEnded: false };
    const question = {
      name: CONFLICT_QUERY,
      payload: freeze(encodeUtf8(this.#self.node)),
      filters: [],
      timeout: null,
      requestAck: false,
      relayFactor: 0,
    };
    const asked = this.#talk.ask(now, question, {
      acked: () => undefined,
      answered: (_from, payload) => this.#count(vote, payload),
      ended: () => {
        vote.hasEnded = true;
      },
    });
    if (typeof asked === "string") return;
    this.#quietUntil = after(now, QUIET_SPAN);
    this.#vote = vote;
    this.#tell("warn", "gossip-name-contested", vote);
  }

  /** After what the answers to our question have been counted. */
  timePassed(now: Instant): void {
    if (this.#vote?.hasEnded === true) this.#decide(now, this.#vote);
    const knock = this.#knock;
    if (knock === null || now < knock.nextAt) return;
    if (knock.pingsLeft === 0) {
      this.#knock = null;
      this.#tell("info", "gossip-name-kept", knock.vote);
      return;
    }
    knock.pingsLeft -= 1;
    knock.nextAt = after(now, this.#profile.probeInterval);
    this.#ping(knock);
  }

  /** True when it answers our knock: there is another of our name. */
  maybeAcked(sequence: number): boolean {
    const knock = this.#knock;
    if (knock === null || !knock.sequences.has(sequence)) return false;
    this.#knock = null;
    this.#hasLost = true;
    this.#tell("error", "gossip-name-lost", knock.vote);
    return true;
  }

  stop(): void {
    this.#vote = null;
    this.#knock = null;
  }

  /** Where nobody answers there is nobody whom it could confuse, yet. */
  #decide(now: Instant, vote: Vote): void {
    this.#vote = null;
    const majority = Math.floor(vote.answers / 2) + 1;
    if (vote.answers === 0 || vote.forUs >= majority) {
      this.#tell("info", "gossip-name-kept", vote);
      return;
    }
    this.#knock = { vote, sequences: new Set(), nextAt: now, pingsLeft: PINGS };
  }

  #count(vote: Vote, payload: FrozenBytes): void {
    const known = decodeConflictResponse(payload);
    if (known === null || known.node !== this.#self.node) return;
    vote.answers += 1;
    if (sameAddress(known.address, this.#self.address)) vote.forUs += 1;
  }

  #ping({ vote, sequences }: Knock): void {
    const { node, address: source } = this.#self;
    const sequence = this.#sequence.take();
    sequences.add(sequence);
    const ping = { kind: "ping", sequence, node, source, sourceNode: node } as const;
    this.#outbox.packet(vote.theirs, [encodeMessage(ping)], false);
  }

  /** What we know of the member that is asked about; nothing of our own name, or of a stranger. */
  #answer(payload: FrozenBytes): FrozenBytes | null {
    const node: NodeId | null = asName(payload);
    const member = node === null || node === this.#self.node ? null : this.#roster.get(node);
    if (member === null) return null;
    const { address, versions, meta } = member.announcement;
    const tags = decodeTags(meta);
    const status = STATUSES[member.status];
    return encodeConflictResponse({ node: member.node, address, tags, status, ...versions });
  }

  #tell(level: "info" | "warn" | "error", what: string, { theirs, answers, forUs }: Vote): void {
    const facts = {
      name: this.#self.node,
      ours: describeAddress(this.#self.address),
      theirs: describeAddress(theirs),
      votes: `${forUs} of ${answers}`,
    };
    const remedy = { remedy: "give one of the two another name, and start it again" };
    this.#outbox.notice({
      level,
      what,
      facts: level === "error" ? { ...facts, ...remedy } : facts,
    });
  }
}
