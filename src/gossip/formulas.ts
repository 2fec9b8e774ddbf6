// Every formula of the protocol as a pure function: how long, how often, how many, given how many
// members there are. Exact: whole microseconds and whole logarithms. Sources: memberlist v0.2.2,
// SWIM (Das, Gupta, Motivala 2002), Lifeguard (arXiv 1707.00788). Decides nothing about members.

import type { Micros } from "../base/ids.ts";
import { ceilLog2, ceilLog10, ceilShareOfLog, thousandLog10 } from "./logarithm.ts";
import type { GossipProfile } from "./protocol.ts";

const MILLISECOND = 1000n;

/**
 * The shortest a suspicion may last: mult x max(1, log10 members) x the probe interval, with the
 * logarithm cut to thousandths and the whole to milliseconds' thousandths. members >= 0.
 */
export function suspicionTimeoutMin(mult: number, members: number, probeInterval: Micros): Micros {
  const scale = Math.max(1000, thousandLog10(Math.max(1, members)));
  return Math.floor((mult * scale * probeInterval) / 1000) as Micros;
}

/** The longest a suspicion may last: what it has when nobody confirms it. */
export function suspicionTimeoutMax(timeoutMin: Micros, maxTimeoutMult: number): Micros {
  return (timeoutMin * maxTimeoutMult) as Micros;
}

/**
 * How many confirmations bring a suspicion down to its minimum: mult - 2, or none when so many
 * others (neither we nor the suspect) are not there to ask. Never below 0.
 */
export function confirmationsWanted(mult: number, members: number): number {
  const wanted = Math.max(0, mult - 2);
  return members - 2 < wanted ? 0 : wanted;
}

/**
 * How long a suspicion lasts from its start, once `confirmations` of `wanted` have come: from the
 * maximum it falls with the logarithm of their number to the minimum, cut to milliseconds
 * (Lifeguard, section IV-B). The minimum at once when none are wanted.
 */
export function suspicionTimeout(
  confirmations: number,
  wanted: number,
  timeoutMin: Micros,
  timeoutMax: Micros,
): Micros {
  if (wanted === 0) return timeoutMin;
  const counted = Math.min(confirmations, wanted);
  const span = BigInt(timeoutMax) - BigInt(timeoutMin);
  const fall = ceilShareOfLog(span, counted + 1, wanted + 1);
  const milliseconds = (BigInt(timeoutMax) - fall) / MILLISECOND;
  return Math.max(timeoutMin, Number(milliseconds * MILLISECOND)) as Micros;
}

/** How often one rumor is sent: mult x log10(members + 1), the logarithm rounded up. */
export function retransmitLimit(mult: number, members: number): number {
  return mult * ceilLog10(members + 1);
}

/** The time between full exchanges: longer by one base for each doubling beyond 32 members. */
export function pushPullInterval(base: Micros, members: number): Micros {
  const steps = members <= 32 ? 1 : ceilLog2(members) - 5 + 1;
  return (base * steps) as Micros;
}

/** How long a query waits for answers. */
export function queryTimeout(gossipInterval: Micros, mult: number, members: number): Micros {
  return (gossipInterval * mult * ceilLog10(members + 1)) as Micros;
}

/** A span lengthened by poor local health: by once its length for each point of the score. */
export function scaledByHealth(span: Micros, score: number): Micros {
  return (span * (score + 1)) as Micros;
}

/**
 * The longest time between two probes of one member by one other: the list is walked once a lap
 * and shuffled between laps, so first in one and last in the next (SWIM, section 4.3).
 */
export function probeGapMax(members: number, probeInterval: Micros): Micros {
  return (Math.max(1, 2 * members - 1) * probeInterval) as Micros;
}

/**
 * The latest that all members know of one that crashed: each has probed it once, as slowly as poor
 * local health makes it (`score`), suspects it for as long as nobody confirms that, and tells.
 */
export function detectionTimeMax(profile: GossipProfile, members: number, score: number): Micros {
  const { probeInterval, suspicionMult, suspicionMaxTimeoutMult } = profile;
  const probed = (probeGapMax(members, probeInterval) + probeInterval) as Micros;
  const suspectedMin = suspicionTimeoutMin(suspicionMult, members, probeInterval);
  const suspected = suspicionTimeoutMax(suspectedMin, suspicionMaxTimeoutMult);
  const rounds = 2 * retransmitLimit(profile.retransmitMult, members);
  return (scaledByHealth(probed, score) + suspected + rounds * profile.gossipInterval) as Micros;
}

/**
 * How long a helper waits before it says that it has no answer: four fifths of the timeout, so that
 * this still comes in time (Lifeguard, section IV-A; stock agents wait for all of it).
 */
export function nackTimeout(probeTimeout: Micros): Micros {
  return Math.floor((probeTimeout * 4) / 5) as Micros;
}
