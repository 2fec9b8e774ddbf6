// What operators ask: the member's state, and changes to the cluster as a whole. Each act is behind
// the action `admin`, and the access table's audit line. Owns no request ids and no encoding:
// log-service.ts gives it the questions it asks of the node.

import type { Answer, ClientRequest, MembershipChange, NodeStatus } from "../base/client.ts";
import { controlDraft } from "../base/control.ts";
import type { Draft } from "../base/entry.ts";
import type { Fault } from "../base/faults.ts";
import type { NodeId, Offset, RequestId, WallMs } from "../base/ids.ts";
import { ADMIN, DESCRIBE, type Need } from "./access.ts";
import type { Caller } from "./caller.ts";
import type { ControlConditions } from "./cursor-requests.ts";
import type { Member } from "./membership.ts";
import type { QueryOptions } from "./membership-talk.ts";
import {
  type NewsSink,
  type QueryNews,
  type TalkControls,
  type TalkNews,
  tellHeard,
  tellQuery,
} from "./talk-requests.ts";

export interface StatusAnswer {
  readonly kind: "status";
  readonly status: NodeStatus;
  /** Everybody that gossip knows; nobody where this node does not gossip. */
  readonly gossip: readonly Member[];
}
export type Trimmed = { readonly kind: "trimmed"; readonly startOffset: number };
/** The keys of gossip after what was asked, the one in use first. */
export type KeysAnswer = { readonly kind: "keys"; readonly keys: readonly string[] };
/** What two coordinates foretell. */
export interface RoundTripAnswer {
  readonly kind: "round-trip";
  readonly from: string;
  readonly to: string;
  readonly micros: number;
}
export type Done = { readonly kind: "done" };
type Faulted = { readonly kind: "fault"; readonly fault: Fault };

/** What this asks of the rest of the service. */
export interface AdminQuestions {
  refusal(caller: Caller, need: Need): Fault | null;
  wall(): WallMs;
  append(caller: Caller, draft: Draft, conditions: ControlConditions): Promise<Answer>;
  status(): NodeStatus | null;
  /** A request that may take as long as a member needs to catch up. */
  ask(caller: Caller, make: (requestId: RequestId) => ClientRequest): Promise<Answer>;
}

/** This node's gossip, for operators; what is refused rejects with an Error in plain words. */
export interface GossipControls extends TalkControls {
  members(): readonly Member[];
  /** Says good-bye to the others, and then lets the node stop. */
  leave(): Promise<void>;
  forceLeave(name: string, prune: boolean): Promise<void>;
  /** Estimated, in milliseconds; null where the coordinate of one of the two is not known. */
  rtt(from: string, to: string): number | null;
  /** The keys after what was asked; throws an Error in plain words. */
  keys(act: "list" | "install" | "use" | "remove", key: string): readonly string[];
}

export class AdminRequests {
  readonly #ask: AdminQuestions;
  #gossip: GossipControls | null = null;

  constructor(questions: AdminQuestions) {
    this.#ask = questions;
  }

  status(caller: Caller): StatusAnswer | Faulted {
    const refused = this.#ask.refusal(caller, DESCRIBE);
    if (refused !== null) return { kind: "fault", fault: refused };
    const status = this.#ask.status();
    if (status !== null) {
      return { kind: "status", status, gossip: this.#gossip?.members() ?? [] };
    }
    return { kind: "fault", fault: { code: "not-serving", state: "opening" } };
  }

  /** Answered once the whole change is committed. */
  change(caller: Caller, change: MembershipChange): Promise<Done | Faulted> {
    return this.#done(caller, (requestId) => ({ kind: "change-membership", requestId, change }));
  }

  /** `to` empty: whoever is the most caught up. */
  transfer(caller: Caller, to: string): Promise<Done | Faulted> {
    const name = to === "" ? null : (to as NodeId);
    return this.#done(caller, (requestId) => {
      return { kind: "transfer-leadership", requestId, to: name };
    });
  }

  /** Gossip begins after the service, where it does. */
  attachGossip(gossip: GossipControls): void {
    this.#gossip = gossip;
  }

  /** `name` is this node's, or nothing is done. */
  leave(caller: Caller, name: string): Promise<Done | Faulted> {
    return this.#depart(caller, async (gossip) => {
      const own = this.#ask.status()?.name;
      if (name !== own) throw new Error(`this is ${own}: ask ${name} itself`);
      await gossip.leave();
    });
  }

  forceLeave(caller: Caller, name: string, prune: boolean): Promise<Done | Faulted> {
    return this.#depart(caller, (gossip) => gossip.forceLeave(name, prune));
  }

  /** Of this node alone: every other is asked for itself. */
  async keys(
    caller: Caller,
    act: Parameters<GossipControls["keys"]>[0],
    key: string,
  ): Promise<KeysAnswer | Faulted> {
    let keys: readonly string[] = [];
    const answer = await this.#depart(caller, async (gossip) => {
      keys = gossip.keys(act, key);
    });
    return answer.kind === "done" ? { kind: "keys", keys } : answer;
  }

  /** `from` empty: from this node. */
  async roundTrip(caller: Caller, from: string, to: string): Promise<RoundTripAnswer | Faulted> {
    const own = this.#ask.status()?.name ?? "";
    const between = [from === "" ? own : from, to] as const;
    let micros = 0;
    const ask = async (gossip: GossipControls) => {
      const ms = gossip.rtt(...between);
      if (ms === null) throw new Error(whyUnknown(gossip, between, own));
      micros = Math.round(ms * 1000);
    };
    const answer = await this.#depart(caller, ask, DESCRIBE);
    if (answer.kind === "fault") return answer;
    return { kind: "round-trip", from: between[0], to, micros };
  }

  /** Answered when it is under way. */
  sendEvent(
    caller: Caller,
    event: { readonly name: string; readonly payload: Uint8Array; readonly coalesce: boolean },
  ): Promise<Done | Faulted> {
    const { name, payload, coalesce } = event;
    return this.#depart(caller, (gossip) => gossip.sendEvent(name, payload, coalesce));
  }

  /** Replies as they come; ends with null when time is up. */
  query(
    caller: Caller,
    query: { readonly name: string; readonly payload: Uint8Array; readonly options: QueryOptions },
    sink: NewsSink<QueryNews>,
  ): Promise<Fault | null> {
    const { name, payload, options } = query;
    return this.#stream(caller, ADMIN, async (gossip) => {
      const running = await gossip.query(name, payload, options);
      return async () => {
        await tellQuery(caller, running, sink);
        return null;
      };
    });
  }

  /** What this node hears by gossip, until the caller leaves or the node stops. */
  watchEvents(caller: Caller, sink: NewsSink<TalkNews>): Promise<Fault | null> {
    return this.#stream(caller, DESCRIBE, async (gossip) => {
      const own = this.#ask.status()?.name ?? "";
      return () => tellHeard(caller, own, gossip.watch(), sink);
    });
  }

  /** Only what `begin` throws is a refusal. */
  async #stream(
    caller: Caller,
    need: Need,
    begin: (gossip: GossipControls) => Promise<() => Promise<Fault | null>>,
  ): Promise<Fault | null> {
    let tell: () => Promise<Fault | null> = async () => null;
    const begun = await this.#depart(
      caller,
      async (gossip) => {
        tell = await begin(gossip);
      },
      need,
    );
    return begun.kind === "fault" ? begun.fault : tell();
  }

  async #depart(
    caller: Caller,
    depart: (gossip: GossipControls) => Promise<void>,
    need: Need = ADMIN,
  ): Promise<Done | Faulted> {
    const refused = this.#ask.refusal(caller, need);
    if (refused !== null) return { kind: "fault", fault: refused };
    try {
      if (this.#gossip === null) throw new Error("this member does not gossip");
      await depart(this.#gossip);
      return { kind: "done" };
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      return { kind: "fault", fault: { code: "change-refused", what } };
    }
  }

  async #done(
    caller: Caller,
    make: (requestId: RequestId) => ClientRequest,
  ): Promise<Done | Faulted> {
    const refused = this.#ask.refusal(caller, ADMIN);
    if (refused !== null) return { kind: "fault", fault: refused };
    const answer = await this.#ask.ask(caller, make);
    if (answer.kind === "done") return answer;
    if (answer.kind === "fault") return answer;
    return { kind: "fault", fault: { code: "not-serving", state: "stopping" } };
  }

  /** Records before `before` are gone for every reader once this is answered. */
  async trim(caller: Caller, before: number): Promise<Trimmed | Faulted> {
    const refused = this.#ask.refusal(caller, ADMIN);
    if (refused !== null) return { kind: "fault", fault: refused };
    const draft = controlDraft({ kind: "trim", startOffset: before as Offset }, this.#ask.wall());
    const answer = await this.#ask.append(caller, draft, {});
    if (answer.kind === "fault") return answer;
    return { kind: "trimmed", startOffset: this.#ask.status()?.startOffset ?? before };
  }
}

function whyUnknown(gossip: GossipControls, names: readonly string[], own: string): string {
  const known = gossip.members().map(({ name }) => name);
  const stranger = names.find((name) => !known.includes(name));
  if (stranger !== undefined) return `no member is named ${stranger}`;
  const lost = names.find((name) => gossip.rtt(name, name) === null) ?? own;
  return `${own} does not know yet where ${lost} is: it learns so by pings, one a second`;
}
