// The names a verified certificate speaks for, as plain strings. Owns the reading of Node's text
// form of them; whether a name is enough for what its bearer wants is the node's decision.

import type { TLSSocket } from "node:tls";

/**
 * Common names first, as `CN=...`, so that a subject of any name can never pass for a DNS name;
 * then the DNS names of the subjectAltName; each once. Of a verified socket only.
 */
export function identityOf(socket: TLSSocket): readonly string[] {
  const { subject, subjectaltname } = socket.getPeerCertificate();
  // Several common names come as a list, whatever the types say.
  const commonNames = [subject?.CN as string | string[] | undefined].flat();
  const names = new Set<string>();
  for (const name of commonNames) {
    if (name !== undefined && name !== "") names.add(`CN=${name}`);
  }
  for (const name of dnsNames(subjectaltname)) names.add(name);
  return [...names];
}

/**
 * The DNS names of a text such as `DNS:a, IP Address:10.0.0.1, DNS:b`. A name with a comma or a
 * quote in it is given as a JSON string (CVE-2021-44532: cut at the commas, one odd name passes for
 * many); no real host has one, so it is left out. A text that does not parse to its end gives no
 * names.
 */
export function dnsNames(text: string | undefined): readonly string[] {
  if (text === undefined || text === "") return [];
  const names: string[] = [];
  const item = /([A-Za-z][A-Za-z0-9 ]*):("(?:[^"\\]|\\.)*"|[^",]*)(?:, |$)/y;
  while (item.lastIndex < text.length) {
    const match = item.exec(text);
    if (match === null) return [];
    const [, kind, value = ""] = match;
    if (kind === "DNS" && value !== "" && !value.startsWith('"')) names.push(value);
  }
  return names;
}
