// The names of certificates: which file holds whose, and the name that binds one to a member. Makes
// and reads nothing (certs.ts, tls-files.ts).

import path from "node:path";

export const PEER_SUFFIX = ".peer.cairn";

/** The DNS name by which a certificate may speak for a member on peer links (src/node/links.ts). */
export function peerNameOf(nodeName: string): string {
  return `${nodeName}${PEER_SUFFIX}`;
}

/** The PEM files of one holder: `<base>.pem` and `<base>-key.pem`. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

export function certificateFiles(directory: string, base: string): CertificateFiles {
  return {
    cert: path.join(directory, `${base}.pem`),
    key: path.join(directory, `${base}-key.pem`),
  };
}

export const AUTHORITY_BASE = "ca";

/** A subject's client files: "root" gives root-client.pem, as the seeds name them. */
export function clientBase(subject: string): string {
  return `${subject}-client`;
}

/** A node's certificate for clients only, and for peers only, where it has one for each. */
export function serverBase(nodeName: string): string {
  return `${nodeName}-server`;
}

export function peerBase(nodeName: string): string {
  return `${nodeName}-peer`;
}
