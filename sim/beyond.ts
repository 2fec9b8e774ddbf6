// Runs that go beyond what a cluster can bear: disks of more than a minority forget what they said
// was durable. Such a run still must not serve a wrong record, make one up, or have two leaders
// without a vote forgotten; that acknowledged records are gone, and what follows from it, is noted
// and explained rather than failed. Owns which property which loss explains.

import type { NodeId } from "../src/base/ids.ts";
import type { Computer, Observer, Stage, Violation } from "./observer.ts";

/** Nothing that a disk forgets makes these untrue. */
const NEVER_EXPLAINED: ReadonlySet<string> = new Set([
  "records-unaltered",
  "phantom",
  "torn-batch",
  "commit-monotonic",
  "promise-vote",
  "promise-candidacy",
  "poison-silent",
  "mail-before-time",
]);

/** These rest on votes: only a node that has forgotten one explains them. */
const RESTING_ON_VOTES: ReadonlySet<string> = new Set([
  "election-safety",
  "elected-by-quorum",
  "one-vote-a-term",
  "hard-state-monotonic",
  "log-matching",
]);

/** Further violations of a property are consequences; its first facts are kept. */
interface Explained {
  readonly first: string;
  times: number;
}

export class Beyond implements Observer {
  #stage: Stage | null = null;
  readonly #losses: string[] = [];
  #votesForgotten = false;
  readonly #emptied = new Set<NodeId>();
  readonly #explained = new Map<string, Explained>();

  attach(stage: Stage): void {
    this.#stage = stage;
  }

  diskForgot(node: Computer, what: string): void {
    // Whoever forgets its log may have forgotten its hard state with it.
    if (what.includes("hard state") || what.includes("file")) this.#votesForgotten = true;
    this.#note(`${node.name} has forgotten ${what}`);
  }

  diskReplaced(node: Computer, ageMs: number | null): void {
    // An empty disk is another instance's, and that one is no voter; unless all are empty, and
    // found their cluster again.
    if (ageMs === null) this.#emptied.add(node.name);
    if (ageMs !== null || this.#emptied.size === this.#stage?.nodes.length)
      this.#votesForgotten = true;
    const disk = ageMs === null ? "an empty disk" : `its disk as it was ${ageMs} ms before`;
    this.#note(`${node.name} has ${disk}`);
  }

  diskLost(node: Computer): void {
    this.#note(`${node.name} is down for good: its disk is damaged`);
  }

  /** True when a loss explains it; it is noted then, and the run goes on. */
  maybeExplain({ property, facts }: Pick<Violation, "property" | "facts">): boolean {
    if (this.#losses.length === 0 || NEVER_EXPLAINED.has(property)) return false;
    if (RESTING_ON_VOTES.has(property) && !this.#votesForgotten) return false;
    const known = this.#explained.get(property);
    if (known === undefined) this.#explained.set(property, { first: facts.join("; "), times: 1 });
    else known.times++;
    return true;
  }

  /** What was lost, and then what it explains; one line each. */
  describe(): string[] {
    const consequences = [...this.#explained].map(([property, { first, times }]) => {
      return `explains ${property}${times > 1 ? ` (${times} times)` : ""}: ${first}`;
    });
    return [...this.#losses, ...consequences];
  }

  #note(what: string): void {
    this.#losses.push(`${((this.#stage?.now ?? 0) / 1_000_000).toFixed(3)} s: ${what}`);
  }
}
