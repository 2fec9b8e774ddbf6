// From an agent's settings to what its machines are built with: every bound of a production node,
// in one place. Owns the numbers that are no settings.

import type { GrpcServerOptions } from "../adapters/grpc-server.ts";
import type { RestServerOptions } from "../adapters/rest-server.ts";
import { type Micros, millis, type NodeId } from "../base/ids.ts";
import type { NodeOptions } from "../node/protocol.ts";
import { DEFAULT_LOG_SERVICE_OPTIONS, type LogServiceOptions } from "../service/log-service.ts";
import type { AgentConfig } from "./config.ts";

const KIB = 1024;
const MIB = 1024 * 1024;
/**
 * Of the election timeout; a heartbeat's interval is at most half of it, and a fifth as it comes.
 */
const LOST_LEADER_DIVISOR = 4;
/** Longer than a caller needs to send its next append: that one brings the followers the news. */
const COMMIT_NOTICE_DELAY = millis(2);

/** A batch must have room for one record of the largest size, its key and its headers. */
export function batchBytesMax({ recordBytesMax }: AgentConfig): number {
  return Math.max(4 * MIB, recordBytesMax + MIB);
}

/** What one peer frame may hold: a full append, or the one larger entry that goes alone. */
export function peerFrameBytesMax(config: AgentConfig): number {
  return batchBytesMax(config) + 64 * KIB;
}

export function nodeOptionsOf(config: AgentConfig): NodeOptions {
  return {
    name: config.nodeName as NodeId,
    clusterId: config.clusterId,
    address: config.address,
    // Without a word on how the cluster begins, this node founds nothing and waits to be admitted.
    members: config.mayCreate
      ? config.members.map(({ id, address }) => ({ id: id as NodeId, address }))
      : [],
    electionTimeoutMin: millis(config.electionTimeoutMs),
    electionTimeoutMax: millis(2 * config.electionTimeoutMs),
    heartbeatInterval: millis(config.heartbeatMs),
    commitNoticeDelay: COMMIT_NOTICE_DELAY,
    lostLeaderDivisor: LOST_LEADER_DIVISOR,
    appendBytesMax: MIB,
    appendsInFlightMax: 16,
    uncommittedBytesMax: 64 * MIB,
    readsWaitingMax: 4096,
    segmentBytesMax: config.segmentBytes,
    // A segment of small entries rolls when its index is full: 12 bytes for each KiB of records.
    indexEntriesMax: Math.max(1024, Math.floor(config.segmentBytes / KIB)),
    preallocateBytes: Math.min(MIB, config.segmentBytes),
    cacheBytesMax: 32 * MIB,
    recordBytesMax: config.recordBytesMax,
    batchBytesMax: batchBytesMax(config),
    mailboxEventsMax: 1024,
    turnEventsMax: 128,
    requestsWaitingMax: config.limits.requests,
    producersMax: 10_000,
    snapshotBytesMax: 1024 * MIB,
    redialMin: millis(50),
    redialMax: 1_000_000 as Micros,
    retentionBytes: config.retentionBytes,
    retentionMs: config.retentionMs,
    scrubBytesPerSecond: 4 * MIB,
    scrubEvery: millis(24 * 60 * 60 * 1000),
    autoReplaceWiped: config.autoReplaceWiped,
  };
}

export function serviceOptionsOf(config: AgentConfig): LogServiceOptions {
  const { limits, recordBytesMax } = config;
  return {
    ...DEFAULT_LOG_SERVICE_OPTIONS,
    recordBytesMax,
    // The node's bound holds for what is in the log already, so a smaller one is the service's.
    batchBytesMax: Math.min(batchBytesMax(config), limits["batch-bytes"] || Number.MAX_VALUE),
    requestsMax: limits.requests,
    appendBytesMax: limits["append-bytes"],
    requestTimeout: millis(limits["request-ms"]),
    fetchBytesMax: limits["read-ahead-bytes"],
    readBytesMax: limits["read-bytes"],
    maxWaitMsMax: limits["wait-ms"],
    produceWindowMax: limits["stream-window"],
  };
}

type GrpcBounds = Omit<GrpcServerOptions, "tls" | "telemetry">;

export function grpcBoundsOf(config: AgentConfig): GrpcBounds {
  const { limits } = config;
  return {
    messageBytesMax: batchBytesMax(config) + MIB,
    connectionsMax: limits.connections,
    callsMax: limits.calls,
    handshakeMsMax: limits["handshake-ms"],
    idleMsMax: limits["idle-ms"],
    ageMsMax: limits["age-ms"],
    unreadBytesMax: limits["unread-bytes"],
  };
}

type RestBounds = Omit<RestServerOptions, "host" | "port" | "tls" | "telemetry">;

export function restBoundsOf({ limits, recordBytesMax }: AgentConfig): RestBounds {
  return {
    // A record as base64, and what stands around it.
    bodyBytesMax: Math.ceil(recordBytesMax / 3) * 4 + 4 * KIB,
    bodiesBytesMax: limits["rest-body-bytes"],
    connectionsMax: limits["rest-connections"],
    handshakeMsMax: limits["handshake-ms"],
    requestMsMax: limits["rest-request-ms"],
    ageMsMax: limits["age-ms"],
  };
}
