// Figures that are looked up when somebody asks for them: what the node, its log, its peers and its
// gossip are like now. Owns their names; the sources say what they are, as they say it for `cairn
// status` and `cairn members`.

import { Counter, Gauge, type Registry } from "prom-client";

import { nameOf } from "../base/membership.ts";
import type { NodeHost } from "../node/ports.ts";

/** What gossip says of itself. */
export interface GossipFigures {
  readonly members: readonly { readonly status: string }[];
  readonly healthScore: number;
  readonly rumors: number;
  readonly rumorsEvicted: number;
  readonly dropped: Readonly<Record<string, number>>;
}

export interface NodeSources {
  readonly host: Pick<NodeHost, "status" | "raft" | "log" | "mail">;
  /** Requests of clients without an answer, connections, and answers that nobody has read yet. */
  readonly clients: () => {
    readonly inFlight: number;
    readonly connections: number;
    readonly unreadBytes: number;
  };
  /** Null without gossip. */
  readonly gossip: () => GossipFigures | null;
  /** When this node's certificates end, in milliseconds since 1970, by whom they are shown to. */
  readonly certificates: () => readonly { readonly to: string; readonly notAfterMs: number }[];
}

const STATES = ["opening", "serving", "poisoned", "stopping", "stopped", "refused"] as const;
const ROLES = ["follower", "pre-candidate", "candidate", "leader"] as const;
const ROOMS = ["plenty", "congested", "full"] as const;
const GOSSIP_STATUSES = ["alive", "leaving", "left", "failed"] as const;

export class NodeMetrics {
  readonly #sources: NodeSources;
  readonly #gauges = new Map<string, Gauge>();
  readonly #counters = new Map<string, Counter>();

  constructor(registry: Registry, sources: NodeSources) {
    this.#sources = sources;
    for (const [name, [help, labelNames = []]] of Object.entries(GAUGES)) {
      this.#gauges.set(name, new Gauge({ name, help, labelNames, registers: [registry] }));
    }
    for (const [name, [help, labelNames = []]] of Object.entries(COUNTERS)) {
      this.#counters.set(name, new Counter({ name, help, labelNames, registers: [registry] }));
    }
  }

  /** Brings every figure up to date. */
  collect(): void {
    this.#collectNode();
    this.#collectRaft();
    this.#collectLog();
    this.#collectClients();
    this.#collectGossip();
  }

  #collectNode(): void {
    const { state, leader, startOffset, endOffset, members } = this.#sources.host.status();
    for (const each of STATES)
      this.#set("cairn_node_state", each === state ? 1 : 0, { state: each });
    this.#set("cairn_node_knows_leader", leader === null ? 0 : 1);
    this.#set("cairn_log_start_offset", startOffset);
    this.#set("cairn_log_end_offset", endOffset);
    this.#set("cairn_members", members.length);
    for (const [mail, count] of Object.entries(this.#sources.host.mail())) {
      this.#set("cairn_mailbox_events", count, { mail });
    }
    for (const { to, notAfterMs } of this.#sources.certificates()) {
      this.#set("cairn_certificate_end_seconds", notAfterMs / 1000, { to });
    }
  }

  #collectRaft(): void {
    const raft = this.#sources.host.raft();
    if (raft === null) return;
    for (const role of ROLES) this.#set("cairn_raft_role", role === raft.role ? 1 : 0, { role });
    this.#set("cairn_raft_term", raft.term);
    this.#set("cairn_raft_commit_index", raft.commitIndex);
    this.#set("cairn_raft_last_index", raft.lastIndex);
    this.#set("cairn_raft_durable_index", raft.durableIndex);
    this.#set("cairn_raft_mending", raft.isMending ? 1 : 0);
    this.#total("cairn_raft_messages_dropped_total", raft.dropped);
    // Whoever is no member any more shall not be shown for ever.
    const lag = this.#gauges.get("cairn_raft_peer_lag_entries");
    lag?.reset();
    for (const { peer, matchIndex } of raft.peers) {
      lag?.set({ peer: nameOf(peer) }, Math.max(0, raft.lastIndex - matchIndex));
    }
  }

  #collectLog(): void {
    const log = this.#sources.host.log();
    this.#set("cairn_log_segments", log.segments);
    this.#set("cairn_log_store_bytes", log.storeBytes);
    this.#set("cairn_log_cached_bytes", log.cachedBytes);
    this.#set("cairn_log_backlog_bytes", log.backlogBytes);
    for (const room of ROOMS) this.#set("cairn_log_room", room === log.room ? 1 : 0, { room });
    this.#total("cairn_log_scrub_passes_total", log.scrub.passes);
    this.#total("cairn_log_scrub_bytes_total", log.scrub.bytes);
  }

  #collectClients(): void {
    const { inFlight, connections, unreadBytes } = this.#sources.clients();
    this.#set("cairn_client_requests_in_flight", inFlight);
    this.#set("cairn_client_connections", connections);
    this.#set("cairn_client_unread_bytes", unreadBytes);
  }

  #collectGossip(): void {
    const gossip = this.#sources.gossip();
    if (gossip === null) return;
    for (const status of GOSSIP_STATUSES) {
      const count = gossip.members.filter((member) => member.status === status).length;
      this.#set("cairn_gossip_members", count, { status });
    }
    this.#set("cairn_gossip_health_score", gossip.healthScore);
    this.#set("cairn_gossip_rumors", gossip.rumors);
    this.#total("cairn_gossip_rumors_evicted_total", gossip.rumorsEvicted);
    const dropped = this.#counters.get("cairn_gossip_dropped_total");
    dropped?.reset();
    for (const [reason, count] of Object.entries(gossip.dropped)) dropped?.inc({ reason }, count);
  }

  #set(name: keyof typeof GAUGES, value: number, labels: Record<string, string> = {}): void {
    this.#gauges.get(name)?.set(labels, value);
  }

  /** Counted elsewhere, from the process's start on. */
  #total(name: keyof typeof COUNTERS, value: number): void {
    const counter = this.#counters.get(name);
    counter?.reset();
    counter?.inc(value);
  }
}

type Described = readonly [help: string, labelNames?: string[]];

const GAUGES = {
  cairn_node_state: ["1 for the state that the node is in.", ["state"]],
  cairn_node_knows_leader: ["1 while the node knows who leads."],
  cairn_members: ["Members of the cluster, as this node knows them."],
  cairn_mailbox_events: ["Mail that waits for the node's next turn, by class.", ["mail"]],
  cairn_certificate_end_seconds: ["When a certificate ends, in seconds since 1970.", ["to"]],
  cairn_raft_role: ["1 for the role that the node has.", ["role"]],
  cairn_raft_term: ["The current term."],
  cairn_raft_commit_index: ["The last committed entry, as this node knows."],
  cairn_raft_last_index: ["The last entry of this node's log."],
  cairn_raft_durable_index: ["The last entry that this node has synced."],
  cairn_raft_mending: [
    "1 while it gets back entries that its disk had lost, and counts for nothing.",
  ],
  cairn_raft_peer_lag_entries: ["Entries that a peer lacks; of a leader only.", ["peer"]],
  cairn_log_start_offset: ["The first record that is left."],
  cairn_log_end_offset: ["The end of the committed records, exclusive."],
  cairn_log_segments: ["Segments of the log."],
  cairn_log_store_bytes: ["Bytes of the log's frames."],
  cairn_log_cached_bytes: ["Bytes of frames that are kept in memory."],
  cairn_log_backlog_bytes: ["Bytes of frames that wait for the disk."],
  cairn_log_room: ["1 for how much room the disk has.", ["room"]],
  cairn_client_requests_in_flight: ["Requests of clients without an answer."],
  cairn_client_connections: ["Connections of clients."],
  cairn_client_unread_bytes: ["Bytes of answers that clients have not read."],
  cairn_gossip_members: ["Members that gossip knows, by status.", ["status"]],
  cairn_gossip_health_score: ["Lifeguard's local health: 0 is well."],
  cairn_gossip_rumors: ["Rumors that are being told."],
} satisfies Record<string, Described>;

const COUNTERS = {
  cairn_raft_messages_dropped_total: ["Messages that no correct peer sends."],
  cairn_log_scrub_passes_total: ["Times that all sealed segments have been read."],
  cairn_log_scrub_bytes_total: ["Bytes that scrubbing has read."],
  cairn_gossip_rumors_evicted_total: ["Rumors that made room before they had been told enough."],
  cairn_gossip_dropped_total: ["Packets and streams without effect, by reason.", ["reason"]],
} satisfies Record<string, Described>;
