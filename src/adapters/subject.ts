// Whose call it is: the subject that the access rules speak of, from the certificate of a verified
// connection. Owns the one rule; who may do what is Casbin's.

import type { PeerCertificate } from "node:tls";

/** Of an authority's own choosing, as SPIFFE does: `URI:spiffe://example.org/orders`. */
const ONLY_URI = /^URI:([^\s,"]+)$/;

/** One certificate object a connection: the names are looked at once. */
const known = new WeakMap<object, string | null>();

/**
 * The common name, when there is exactly one. Without any, the URI of a subjectAltName that holds
 * this URI and nothing else. Else null: who has two names is nobody in particular.
 */
export function subjectOf(certificate: PeerCertificate | undefined): string | null {
  if (certificate === undefined) return null;
  const before = known.get(certificate);
  if (before !== undefined) return before;
  const subject = readSubject(certificate);
  known.set(certificate, subject);
  return subject;
}

function readSubject({ subject, subjectaltname }: PeerCertificate): string | null {
  // Several common names come as a list, whatever the types say.
  const name: unknown = subject?.CN;
  if (typeof name === "string" && name !== "") return name;
  if (name !== undefined) return null;
  return ONLY_URI.exec(subjectaltname ?? "")?.[1] ?? null;
}
