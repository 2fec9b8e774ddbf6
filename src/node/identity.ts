// By what a peer proves to be the member it says: the certificate bound to its name, and a protocol
// that both ends speak. Owns no link; links.ts asks.

import type { NodeId } from "../base/ids.ts";
import { type Hello, PROTOCOL_MAX, PROTOCOL_MIN } from "./wire.ts";

/**
 * The name a member's certificate carries as a DNS SAN, so that a client's certificate, or another
 * member's, can never open a peer link in its name.
 */
export function peerIdentity(name: NodeId): string {
  return `${name}.peer.cairn`;
}

/** True when the certificate was issued for this member, or the transport knows no certificates. */
export function isBound(identity: readonly string[] | null, name: NodeId): boolean {
  return identity === null || identity.includes(peerIdentity(name));
}

export function notBound(identity: readonly string[] | null, name: NodeId): string {
  return `the certificate of ${(identity ?? []).join(", ")} does not speak for ${peerIdentity(name)}`;
}

/** What is wrong with a hello, or null when its protocol is spoken here. */
export function greetingFault(hello: Hello): string | null {
  if (hello.protocolMin <= PROTOCOL_MAX && hello.protocolMax >= PROTOCOL_MIN) return null;
  const theirs = `${hello.protocolMin} to ${hello.protocolMax}`;
  return `peer protocol ${theirs} is not spoken here (${PROTOCOL_MIN} to ${PROTOCOL_MAX})`;
}
