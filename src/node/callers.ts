// The links that others dialed to this node, from the accepted connection to its end: who greeted
// on which. Owns their bound, and that the newest link counts; whether a greeting is to be believed
// is decided in links.ts.

import { assert } from "../base/assert.ts";
import { earlier, type Instant, type LinkId, type MemberId, NEVER } from "../base/ids.ts";
import { nameOf } from "../base/membership.ts";
import type { Lane } from "../ports/network.ts";
import type { LinkClose, MemberAddress } from "./protocol.ts";
import type { RouteBytes } from "./wire-head.ts";

/** Who greeted on an accepted link. */
export interface Caller {
  readonly member: MemberId;
  readonly lane: Lane;
  /** Where it says it listens; empty when nobody shall dial it. */
  readonly address: string;
  /** From it to this node, as in its hello. */
  readonly route: RouteBytes;
}

interface Accepted {
  readonly link: LinkId;
  readonly identity: readonly string[] | null;
  readonly greetBy: Instant;
  /** Null until its hello was accepted. */
  caller?: Caller;
}

export class Callers {
  readonly #acceptedMax: number;
  readonly #links = new Map<LinkId, Accepted>();

  constructor(acceptedMax: number) {
    this.#acceptedMax = acceptedMax;
  }

  /** When a link that has not greeted is to be given up. */
  get deadline(): Instant {
    let due = NEVER;
    for (const { caller, greetBy } of this.#links.values()) {
      if (caller === undefined) due = earlier(due, greetBy);
    }
    return due;
  }

  /** Where the callers say they listen, in order of arrival. */
  get addresses(): MemberAddress[] {
    const addresses: MemberAddress[] = [];
    for (const { caller } of this.#links.values()) {
      // The other lane's link says the same.
      if (caller === undefined || caller.lane !== "control") continue;
      addresses.push({ id: nameOf(caller.member), address: caller.address });
    }
    return addresses;
  }

  /** False: no room. */
  maybeAccept(accepted: Omit<Accepted, "caller">): boolean {
    if (this.#links.size >= this.#acceptedMax) return false;
    this.#links.set(accepted.link, { ...accepted });
    return true;
  }

  has(link: LinkId): boolean {
    return this.#links.has(link);
  }

  identityOf(link: LinkId): readonly string[] | null {
    return this.#links.get(link)?.identity ?? null;
  }

  /** How its messages begin; null until its hello was accepted. */
  routeOf(link: LinkId): RouteBytes | null {
    return this.#links.get(link)?.caller?.route ?? null;
  }

  /** Null until its hello was accepted. */
  peerOf(link: LinkId): MemberId | null {
    return this.#links.get(link)?.caller?.member ?? null;
  }

  /** Links whose hello is overdue. */
  silent(now: Instant): LinkId[] {
    const all = [...this.#links.values()];
    const silent = all.filter(({ caller, greetBy }) => caller === undefined && greetBy <= now);
    return silent.map(({ link }) => link);
  }

  /**
   * A hello was accepted. Says which links it ends: the older one of the same member and lane, and
   * all of another instance under the same name, which from here on is heard no more. Founding
   * rests on the latter: who told a node that nothing is here yet hears nothing of an instance that
   * this node was before.
   */
  greeted(link: LinkId, caller: Caller): LinkClose[] {
    const accepted = this.#links.get(link);
    assert(accepted !== undefined, "who greets has a link");
    const closes: LinkClose[] = [];
    for (const { link: other, caller: before } of this.#links.values()) {
      if (before === undefined || other === link) continue;
      const isOlder = before.member === caller.member && before.lane === caller.lane;
      const isFormer =
        before.member !== caller.member && nameOf(before.member) === nameOf(caller.member);
      if (!isOlder && !isFormer) continue;
      this.#links.delete(other);
      const why = isOlder ? "replaced by a newer link" : `replaced by ${caller.member}`;
      closes.push({ link: other, why });
    }
    accepted.caller = caller;
    return closes;
  }

  /** True when a caller is gone by it. */
  maybeForget(link: LinkId): boolean {
    const accepted = this.#links.get(link);
    return this.#links.delete(link) && accepted?.caller !== undefined;
  }

  forgetAll(): LinkId[] {
    const links = [...this.#links.keys()];
    this.#links.clear();
    return links;
  }
}
