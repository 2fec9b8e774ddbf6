// Discovery between a node and its gossip, in production: shows it both, tells each what it says,
// and reports how a change ended. Decides nothing (src/node/discovery.ts); when to look is said in
// the composition root.

import type { MembershipChange } from "../base/client.ts";
import type { Fault } from "../base/faults.ts";
import type { NodeId } from "../base/ids.ts";
import { Discovery, type DiscoveryOptions, ownTags } from "../node/discovery.ts";
import type { NodeHost } from "../node/ports.ts";
import type { Clock } from "../ports/clock.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import type { Member, Membership } from "./membership.ts";

export interface DiscoveryPorts {
  readonly host: Pick<NodeHost, "status" | "raft" | "hear">;
  readonly membership: Pick<Membership, "members" | "setTags">;
  readonly clock: Pick<Clock, "now">;
  readonly telemetry: Telemetry;
  /** Null once the whole change is committed. */
  readonly change: (change: MembershipChange) => Promise<Fault | null>;
}

/** The tags that a node's gossip begins with. */
export function firstTags(
  options: DiscoveryOptions,
  host: Pick<NodeHost, "status" | "raft">,
): Record<string, string> {
  return ownTags(options, { status: host.status(), raft: host.raft() });
}

export class DiscoveryLoop {
  readonly #ports: DiscoveryPorts;
  readonly #discovery: Discovery;

  constructor(options: DiscoveryOptions, ports: DiscoveryPorts) {
    this.#ports = ports;
    this.#discovery = new Discovery(options, firstTags(options, ports.host));
  }

  /** Gossip takes a member for failed. */
  failed({ name }: Member): void {
    this.#ports.host.hear({ kind: "peer-failed", name: name as NodeId });
  }

  /** Looks once, and does what is due. */
  look(): void {
    const { host, membership, clock, telemetry } = this.#ports;
    const view = {
      status: host.status(),
      raft: host.raft(),
      gossip: membership.members(),
    };
    const { tags, news, change, notices } = this.#discovery.look(clock.now(), view);
    for (const notice of notices) telemetry.notice(notice);
    for (const one of news) host.hear(one);
    // Refused, it is stopping, or they are told at the next look.
    if (tags !== null) membership.setTags(tags).catch(() => this.#discovery.untold());
    if (change !== null) void this.#make(change);
  }

  async #make(change: MembershipChange): Promise<void> {
    const fault = await this.#ports.change(change);
    const notice = this.#discovery.changed(this.#ports.clock.now(), fault);
    if (notice !== null) this.#ports.telemetry.notice(notice);
  }
}
