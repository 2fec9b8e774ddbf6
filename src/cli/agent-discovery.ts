// An agent's gossip: the member on real sockets, and the node's discovery fed by it. Owns when to
// look, and their common end; decides nothing (src/node/discovery.ts).

import path from "node:path";

import { GossipKeyring } from "../adapters/gossip-keyring.ts";
import type { MembershipChange } from "../base/client.ts";
import type { Fault } from "../base/faults.ts";
import { millis } from "../base/ids.ts";
import { createMembership } from "../membership.ts";
import type { DiscoveryOptions } from "../node/discovery.ts";
import type { NodeHost } from "../node/ports.ts";
import type { Clock } from "../ports/clock.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import { DiscoveryLoop, firstTags } from "../service/discovery-loop.ts";
import { HeardTalk } from "../service/heard-talk.ts";
import type { Membership } from "../service/membership.ts";
import type { AgentConfig, GossipConfig } from "./config.ts";
import { CommandError, describeError, EXIT } from "./exit.ts";

/** In the data directory; names that begin with a dot are not the log's. */
const MEMORY_FILE = ".gossip";
const LOOK_MS = 250;
/** While no contact answers. */
const RETRY_JOIN_MS = 1000;

export interface AgentDiscoveryPorts {
  readonly host: NodeHost;
  readonly clock: Pick<Clock, "now">;
  readonly telemetry: Telemetry;
  readonly change: (change: MembershipChange) => Promise<Fault | null>;
  /** Of this build, for members that ask. */
  readonly version: string;
}

export class AgentDiscovery {
  readonly membership: Membership;
  readonly talk: HeardTalk;
  readonly #keyring: GossipKeyring | null;
  readonly #timer: NodeJS.Timeout;

  private constructor(
    membership: Membership,
    discovery: DiscoveryLoop,
    keyring: GossipKeyring | null,
    talk: HeardTalk,
  ) {
    this.membership = membership;
    this.talk = talk;
    this.#keyring = keyring;
    this.#timer = setInterval(() => discovery.look(), LOOK_MS);
  }

  /** The node serves already. Throws CommandError when gossip cannot be spoken. */
  static async open(
    config: AgentConfig,
    gossip: GossipConfig,
    ports: AgentDiscoveryPorts,
  ): Promise<AgentDiscovery> {
    const options = optionsOf(config, gossip);
    let discovery: DiscoveryLoop | null = null;
    const keyring = openKeyring(gossip.keyringFile);
    const talk = new HeardTalk({ ...ports, answers: answersOf(ports) });
    try {
      const membership = await createMembership({
        nodeName: config.nodeName,
        bindAddr: gossip.bindAddr,
        // A host alone that is everywhere (with peers): the member finds an address itself.
        ...(gossip.advertiseAddr === gossip.bindAddr
          ? {}
          : { advertiseAddr: gossip.advertiseAddr }),
        memoryFile: path.join(config.dataDir, MEMORY_FILE),
        tags: firstTags(options, ports.host),
        startJoinAddrs: gossip.startJoinAddrs,
        ...(keyring === null ? {} : { keyring, encryption: gossip.encryption }),
        retryJoinMs: RETRY_JOIN_MS,
        handler: {
          fail: (member) => discovery?.failed(member),
          event: (event) => talk.event(event),
          query: (query) => talk.query(query),
        },
        onNotice: (notice) => ports.telemetry.notice(notice),
      });
      discovery = new DiscoveryLoop(options, { ...ports, membership });
      const facts = { address: membership.localAddr };
      ports.telemetry.notice({ level: "info", what: "gossiping", facts });
      return new AgentDiscovery(membership, discovery, keyring, talk);
    } catch (error) {
      throw new CommandError(`bind-addr: ${describeError(error)}`);
    }
  }

  /** Whoever is there is not declared gone: it would only object. */
  async forceLeave(name: string, prune: boolean): Promise<void> {
    const member = this.membership.members().find((each) => each.name === name);
    if (member?.status === "alive") {
      throw new Error(`${name} is there, as far as gossip knows: use cairn leave ${name}`);
    }
    await this.membership.forceLeave(name, { prune });
  }

  keys(act: "list" | "install" | "use" | "remove", key: string): readonly string[] {
    if (this.#keyring === null) {
      throw new Error("gossip is not encrypted here: start the agent with gossip-keyring-file");
    }
    if (act !== "list") this.#keyring[act](key);
    return this.#keyring.list();
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.talk.close();
    await this.membership.stop();
  }
}

/** Whoever reaches the port of gossip may ask: what its tags do not tell is not told here. */
function answersOf({ host, version }: AgentDiscoveryPorts): Record<string, () => string> {
  return {
    "cairn:version": () => version,
    "cairn:status": () => {
      const { name, state, role, leader } = host.status();
      return JSON.stringify({ name, state, role, leader });
    },
  };
}

function openKeyring(file: string | null): GossipKeyring | null {
  if (file === null) return null;
  try {
    return GossipKeyring.open(file);
  } catch (error) {
    const remedy = "make one with `cairn keys generate`";
    throw new CommandError(`gossip-keyring-file: ${describeError(error)}; ${remedy}`, EXIT.usage);
  }
}

function optionsOf(config: AgentConfig, gossip: GossipConfig): DiscoveryOptions {
  const { bindAddr, advertiseAddr, startJoinAddrs, tags, ...rest } = gossip;
  return {
    address: config.address,
    bootstrap: rest.bootstrap,
    expect: rest.expect,
    tags,
    hasContacts: startJoinAddrs.some((contact) => ![bindAddr, advertiseAddr].includes(contact)),
    replacesWiped: config.autoReplaceWiped,
    cleanupGrace: rest.cleanupSeconds === null ? null : millis(rest.cleanupSeconds * 1000),
  };
}
