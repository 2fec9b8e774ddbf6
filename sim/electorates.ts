// Who decides in a run, as somebody who sees all nodes knows it: the memberships in force and
// committed anywhere, and those that operators have asked for. Owns the question whether a set of
// nodes can do without the others; what is done about it is the mishaps', the operators' and the
// world's.

import type { NodeId } from "../src/base/ids.ts";
import { type Membership, nameOf } from "../src/base/membership.ts";
import type { RaftStatus } from "../src/raft/protocol.ts";
import type { SimComputer } from "./computer.ts";

/** Says whether a computer counts. */
export type Which = (computer: SimComputer) => boolean;

export class Electorates {
  readonly #computers: readonly SimComputer[];
  /** Names of the voters of the first membership: before anybody knows of it, they decide. */
  readonly #founders: readonly NodeId[];
  /** Names of voters that are being asked for. */
  readonly #wanted = new Set<readonly NodeId[]>();

  constructor(computers: readonly SimComputer[], founders: readonly NodeId[]) {
    this.#computers = computers;
    this.#founders = founders;
  }

  /** Whether these are a majority of every electorate that there is, or may come to be. */
  bears(isLeft: Which): boolean {
    for (const { members, isWanted } of this.#all())
      if (!this.#isMajority(members, isLeft, isWanted)) return false;
    return true;
  }

  /** Whether these could be the majority of a membership with these voters. */
  couldBear(voters: readonly NodeId[], isLeft: Which): boolean {
    return this.#isMajority(voters, isLeft, true);
  }

  /** From here on it counts as an electorate; until the returned function is called. */
  want(voters: readonly NodeId[]): () => void {
    this.#wanted.add(voters);
    return () => void this.#wanted.delete(voters);
  }

  /** The membership in force at whoever leads in the highest term; null while nobody does. */
  get led(): Membership | null {
    let leader: RaftStatus | null = null;
    for (const { raft } of this.#computers)
      if (raft?.role === "leader" && raft.term > (leader?.term ?? 0)) leader = raft;
    return leader?.membership ?? null;
  }

  /** The same; while nobody leads, that of the log that is the most up to date. */
  get latest(): Membership | null {
    let best: RaftStatus | null = null;
    for (const { known } of this.#computers)
      if (known !== null && (best === null || isAhead(known, best))) best = known;
    return this.led ?? best?.membership ?? null;
  }

  #all(): { readonly members: readonly string[]; readonly isWanted: boolean }[] {
    const found = new Set<readonly string[]>();
    for (const { known } of this.#computers)
      for (const membership of [known?.membership, known?.committedMembership])
        if (membership !== undefined)
          for (const half of [membership.voters, membership.outgoing])
            if (half.length > 0) found.add(half);
    const electorates = [...found].map((members) => ({ members, isWanted: false }));
    const wanted = [...this.#wanted].map((members) => ({ members, isWanted: true }));
    const all = [...electorates, ...wanted];
    return all.length > 0 ? all : [{ members: this.#founders, isWanted: true }];
  }

  /** By names where nobody knows yet which instance is meant. */
  #isMajority(members: readonly string[], isLeft: Which, byName: boolean): boolean {
    const left = this.#computers.filter((computer) => {
      const id = byName ? computer.name : computer.known?.self;
      return id !== undefined && members.includes(id) && isLeft(computer);
    });
    return left.length * 2 > members.length;
  }
}

function isAhead(one: RaftStatus, other: RaftStatus): boolean {
  if (one.lastTerm !== other.lastTerm) return one.lastTerm > other.lastTerm;
  return one.lastIndex > other.lastIndex;
}

/** Whether the node is a member: perhaps as the one whose place it is about to take, once wiped. */
export function takesPart({ name }: SimComputer, { members }: Membership): boolean {
  return members.some(({ id }) => nameOf(id) === name);
}

/** The names of those who vote when a membership is complete. */
export function voterNames({ voters }: Membership): NodeId[] {
  return voters.map(nameOf);
}
