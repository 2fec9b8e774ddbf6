// Two ways in which members get back together without a rumor: now and then all knowledge is
// exchanged with one other member, and now and then one that failed is tried again, which is what
// heals a partition. Owns when and with whom.

import { earlier, type Instant, NEVER } from "../base/ids.ts";
import type { Prng } from "../base/prng.ts";
import type { Exchanges } from "./exchanges.ts";
import { pushPullInterval } from "./formulas.ts";
import type { GossipProfile } from "./protocol.ts";
import { Recurring } from "./recurring.ts";
import type { Member, Roster } from "./roster.ts";

export class AntiEntropy {
  readonly #profile: GossipProfile;
  readonly #roster: Roster;
  readonly #exchanges: Exchanges;
  readonly #chance: Prng;
  readonly #sync: Recurring;
  readonly #reconnect: Recurring;

  constructor(
    profile: GossipProfile,
    roster: Roster,
    exchanges: Exchanges,
    prng: Prng,
    now: Instant,
  ) {
    this.#profile = profile;
    this.#roster = roster;
    this.#exchanges = exchanges;
    this.#chance = prng.fork("gossip.reconnect");
    const { pushPullInterval: base, reconnectInterval } = profile;
    this.#sync = new Recurring(now, base, prng.fork("gossip.stagger.push-pull"));
    this.#reconnect = new Recurring(now, reconnectInterval, prng.fork("gossip.stagger.reconnect"));
  }

  get deadline(): Instant {
    return earlier(
      this.#roster.presentCount > 0 ? this.#sync.at : NEVER,
      this.#failed().length > 0 ? this.#reconnect.at : NEVER,
    );
  }

  /** While there is nobody for it, rounds pass unused. */
  waited(now: Instant): void {
    if (this.#roster.presentCount === 0) this.#sync.moveBeyond(now, this.#profile.pushPullInterval);
    if (this.#failed().length === 0) {
      this.#reconnect.moveBeyond(now, this.#profile.reconnectInterval);
    }
  }

  timePassed(now: Instant): void {
    if (this.#roster.presentCount > 0 && this.#sync.isDue(now)) {
      const members = this.#roster.countedAt(now);
      this.#sync.moveBeyond(now, pushPullInterval(this.#profile.pushPullInterval, members));
      const [peer] = this.#roster.pick(1, ({ state }) => state === "alive");
      if (peer !== undefined) this.#exchanges.sync(now, peer);
    }
    const failed = this.#failed();
    if (failed.length > 0 && this.#reconnect.isDue(now)) {
      this.#reconnect.moveBeyond(now, this.#profile.reconnectInterval);
      this.#maybeReconnect(now, failed);
    }
  }

  /** The more of us miss it, the less need each of us try. */
  #maybeReconnect(now: Instant, failed: readonly Member[]): void {
    const here = 1 + this.#roster.presentCount;
    if (!this.#chance.chance(Math.min(failed.length, here), here)) return;
    this.#exchanges.rejoin(now, this.#chance.pick(failed));
  }

  #failed(): Member[] {
    const failed: Member[] = [];
    for (const member of this.#roster.departed) if (member.status === "failed") failed.push(member);
    return failed;
  }
}
