// The presets of memberlist and Serf: how patient members are on one machine, in one network, and
// over long distances. Owns the numbers, which peers need not share; what they mean is said in
// protocol.ts. Two are our own: stock agents never give the name of a dead member away, and always
// tell suspects.

import { millis } from "../base/ids.ts";
import type { GossipProfile } from "./protocol.ts";

/** One network: the default of stock agents. */
export const LAN_PROFILE: GossipProfile = {
  streamTimeout: millis(10_000),
  probeInterval: millis(1000),
  probeTimeout: millis(500),
  indirectChecks: 3,
  suspicionMult: 4,
  suspicionMaxTimeoutMult: 6,
  awarenessMax: 8,
  tellsSuspects: true,
  retransmitMult: 4,
  gossipInterval: millis(200),
  gossipNodes: 3,
  gossipToTheDead: millis(30_000),
  deadNodeReclaim: millis(30_000),
  pushPullInterval: millis(30_000),
  broadcastTimeout: millis(5000),
  leavePropagateDelay: millis(1000),
  reconnectInterval: millis(30_000),
  reconnectTimeout: millis(86_400_000),
  tombstoneTimeout: millis(86_400_000),
  recentIntentTimeout: millis(300_000),
  userCoalescePeriod: millis(3000),
  userQuiescentPeriod: millis(1000),
  queryTimeoutMult: 16,
};

/** Long distances. */
export const WAN_PROFILE: GossipProfile = {
  ...LAN_PROFILE,
  streamTimeout: millis(30_000),
  probeInterval: millis(5000),
  probeTimeout: millis(3000),
  suspicionMult: 6,
  gossipInterval: millis(500),
  gossipNodes: 4,
  gossipToTheDead: millis(60_000),
  pushPullInterval: millis(60_000),
};

/** One machine: loopback. */
export const LOCAL_PROFILE: GossipProfile = {
  ...LAN_PROFILE,
  streamTimeout: millis(1000),
  probeTimeout: millis(200),
  indirectChecks: 1,
  suspicionMult: 3,
  retransmitMult: 2,
  gossipInterval: millis(100),
  gossipToTheDead: millis(15_000),
  pushPullInterval: millis(15_000),
};

/** By the names that operators use. */
export const PROFILES = { lan: LAN_PROFILE, wan: WAN_PROFILE, local: LOCAL_PROFILE } as const;
export type ProfileName = keyof typeof PROFILES;
