// Gossip's messages, events and outputs as one short line each: for people, transcripts and failure
// reports. Says what is there in the order it stands; decides nothing.

import { type Address, describeAddress } from "../base/address.ts";
import { unreachable } from "../base/assert.ts";
import type { FrozenBytes } from "../base/bytes.ts";
import type { Notice } from "../base/notice.ts";
import type { NodeRecord, PacketMessage, SerfMessage, StreamMessage } from "./messages.ts";
import { readPacket } from "./packet-codec.ts";
import type {
  GossipAnswer,
  GossipEvent,
  GossipMember,
  GossipOutput,
  Happening,
  Heard,
} from "./protocol.ts";
import { StreamReader } from "./stream-codec.ts";
import { decodeTags } from "./tags.ts";

/** Members are written name@incarnation, numbers of pings #n. */
export function describeMessage(message: PacketMessage): string {
  switch (message.kind) {
    case "ping":
      return `ping #${message.sequence} of ${message.node ?? "anybody"}${sourceOf(message)}`;
    case "indirect-ping": {
      const { sequence, node, target, nack } = message;
      const asked = `ask to ping #${sequence} ${node ?? "anybody"} at ${describeAddress(target)}`;
      return `${asked}${nack ? ", nack if silent" : ""}${sourceOf(message)}`;
    }
    case "ack": {
      const { length } = message.payload;
      return `ack #${message.sequence}${length === 0 ? "" : " with its coordinate"}`;
    }
    case "nack":
      return `nack #${message.sequence}`;
    case "suspect":
      return `suspect ${message.node}@${message.incarnation} by ${message.from}`;
    case "alive": {
      const { node, incarnation, address, meta } = message;
      return `alive ${node}@${incarnation} at ${describeAddress(address)}${tagsOf(meta)}`;
    }
    case "dead": {
      const { node, incarnation, from } = message;
      return from === node
        ? `left ${node}@${incarnation}`
        : `dead ${node}@${incarnation} by ${from}`;
    }
    case "user":
      return describeSerf(message.message);
    default:
      return unreachable(message);
  }
}

/** Lamport times are written t5. */
function describeSerf(message: SerfMessage): string {
  switch (message.kind) {
    case "join-intent":
      return `join-intent ${message.node} t${message.time}`;
    case "leave-intent":
      return `leave-intent ${message.node} t${message.time}${message.prune ? " prune" : ""}`;
    case "state": {
      const { time, statusTimes, left } = message;
      const times = [...statusTimes].map(([node, at]) => `${node} t${at}`).join(", ");
      return `state t${time} [${times}]${left.length === 0 ? "" : ` left ${left.join(", ")}`}`;
    }
    case "user-event":
      return `user-event ${message.name} t${message.time}, ${message.payload.length} bytes`;
    case "query":
      return `query ${message.name} t${message.time} id ${message.id}`;
    case "query-response":
      return `query-response of ${message.from} t${message.time} id ${message.id}`;
    case "relay": {
      const { node, to, message: inner } = message;
      return `relay to ${node ?? describeAddress(to)}: ${describeSerf(inner)}`;
    }
    default:
      return unreachable(message);
  }
}

function describeStreamMessage(message: StreamMessage): string {
  switch (message.kind) {
    case "error":
      return `error: ${message.text}`;
    case "push-pull": {
      const { join, nodes, serf } = message;
      const members = nodes.map(describeRecord).join(", ");
      const state = serf === null ? "" : ` ${describeSerf(serf)}`;
      return `push-pull${join ? " to join" : ""} [${members}]${state}`;
    }
    default:
      return describeMessage(message);
  }
}

export function describeEvent(event: GossipEvent): string {
  switch (event.kind) {
    case "deadline":
      return "deadline";
    case "packet":
      return `packet from ${describeAddress(event.from)}: ${describePacket(event.bytes)}`;
    case "stream-opened": {
      const { streamId, peer, dialed } = event;
      return `stream ${streamId} ${dialed ? "to" : "from"} ${describeAddress(peer)} opened`;
    }
    case "stream-bytes":
      return `stream ${event.streamId} brought ${describeBytes(event.bytes)}`;
    case "stream-closed":
      return `stream ${event.streamId} closed: ${event.why}`;
    case "join": {
      const addresses = event.addresses.map(describeAddress).join(", ");
      return `asked #${event.requestId} to join ${addresses}`;
    }
    case "leave":
      return `asked #${event.requestId} to leave`;
    case "force-leave":
      return `asked #${event.requestId} to force out ${event.node}${event.prune ? " and prune" : ""}`;
    case "set-tags":
      return `asked #${event.requestId} to set tags${pairsOf(event.tags)}`;
    case "user-event": {
      const { requestId, name, payload } = event;
      return `asked #${requestId} to tell of ${name}, ${payload.length} bytes`;
    }
    case "query": {
      const { name, payload } = event.question;
      return `asked #${event.requestId} to ask ${name}, ${payload.length} bytes`;
    }
    case "answer-query":
      return `asked #${event.requestId} to answer query ${event.queryId}`;
    default:
      return unreachable(event);
  }
}

/** One line for each decision, in the order of the output. */
export function describeOutput(output: GossipOutput): string[] {
  const { packets, dials, streamWrites, streamCloses, happenings, answers, heard, notices } =
    output;
  return [
    ...packets.map(({ to, bytes }) => `to ${describeAddress(to)}: ${describePacket(bytes)}`),
    ...dials.map(({ streamId, to }) => `dial stream ${streamId} to ${describeAddress(to)}`),
    ...streamWrites.map(({ streamId, bytes }) => `stream ${streamId}: ${describeBytes(bytes)}`),
    ...streamCloses.map(({ streamId, why }) => `close stream ${streamId}: ${why}`),
    ...happenings.map(describeHappening),
    ...answers.map(describeAnswer),
    ...heard.map(describeHeard),
    ...notices.map(describeNotice),
  ];
}

/** The messages of a datagram, and why others in it were none. */
function describePacket(bytes: FrozenBytes): string {
  const { parts, drops } = readPacket(bytes);
  const said = parts.map(({ message }) => describeMessage(message));
  return [...said, ...drops.map((reason) => `(${reason})`)].join(" + ");
}

function describeMember(member: GossipMember): string {
  const { node, incarnation, status, address, tags } = member;
  return `${node}@${incarnation} ${status} at ${describeAddress(address)}${pairsOf(tags)}`;
}

function describeHappening({ kind, member }: Happening): string {
  return `${kind} ${describeMember(member)}`;
}

function describeAnswer(answer: GossipAnswer): string {
  const { requestId, kind } = answer;
  switch (kind) {
    case "done":
      return `answer #${requestId}: done`;
    case "asked":
      return `answer #${requestId}: asked, for ${answer.timeout} microseconds`;
    case "refused":
      return `answer #${requestId}: refused, ${answer.why}`;
    case "joined": {
      const failures = answer.failures.map(
        ({ address, why }) => `, ${describeAddress(address)} failed: ${why}`,
      );
      return `answer #${requestId}: reached ${answer.reached}${failures.join("")}`;
    }
    default:
      return unreachable(answer);
  }
}

function describeHeard(heard: Heard): string {
  switch (heard.kind) {
    case "user-event":
      return `event ${heard.name} t${heard.time}, ${heard.payload.length} bytes`;
    case "query": {
      const { queryId, name, time, from, payload } = heard;
      return `query ${queryId} of ${from ?? "?"}: ${name} t${time}, ${payload.length} bytes`;
    }
    case "query-ack":
      return `query #${heard.requestId} has come to ${heard.from}`;
    case "query-answer":
      return `query #${heard.requestId}: ${heard.from} answers ${heard.payload.length} bytes`;
    case "query-ended": {
      const { acks, answers, duplicates } = heard.tally;
      const counts = `${acks} acks, ${answers} answers, ${duplicates} duplicates`;
      return `query #${heard.requestId} has ended: ${counts}`;
    }
    default:
      return unreachable(heard);
  }
}

function describeNotice({ level, what, facts }: Notice): string {
  const said = Object.entries(facts).map(([name, value]) => `${name} ${value}`);
  return `${level} ${what}: ${said.join(", ")}`;
}

/** One whole message, or what of one is there. */
function describeBytes(bytes: FrozenBytes): string {
  const reading = new StreamReader().take(bytes);
  if (reading.kind === "message") return describeStreamMessage(reading.message);
  return `${bytes.length} bytes`;
}

function describeRecord({ node, incarnation, state }: NodeRecord): string {
  return `${node}@${incarnation} ${state}`;
}

function sourceOf(asked: {
  readonly source: Address | null;
  readonly sourceNode: string | null;
}): string {
  return asked.sourceNode === null ? "" : ` from ${asked.sourceNode}`;
}

function tagsOf(meta: FrozenBytes): string {
  return pairsOf(decodeTags(meta));
}

function pairsOf(tags: ReadonlyMap<string, string>): string {
  const pairs = [...tags].map(([key, value]) => ` ${key}=${value}`);
  return pairs.join("");
}
