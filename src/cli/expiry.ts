// When certificates end, and who should hear of it in time. Owns reading the certificates of a PEM
// text and judging their ends; reads no files, says nothing itself.

import { X509Certificate } from "node:crypto";

const DAY_MS = 24 * 60 * 60 * 1000;
/** "Soon" is this long before the end, but no more than a third of a certificate's life. */
const SOON_DAYS = 30;

export interface Expiry {
  /** Its common name, or its whole subject when it has none. */
  readonly name: string;
  readonly notAfter: string;
  /** Whole days until the end; negative after it. */
  readonly daysLeft: number;
  readonly state: "valid" | "expires-soon" | "expired";
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g;

/** All certificates of a PEM text, in order; null when one of them cannot be read, or none is. */
export function certificatesOf(pem: string): readonly X509Certificate[] | null {
  try {
    const found = (pem.match(CERTIFICATE) ?? []).map((text) => new X509Certificate(text));
    return found.length === 0 ? null : found;
  } catch {
    return null;
  }
}

/** `now` in milliseconds since 1970; `soonDays` where somebody said how soon is soon. */
export function expiryOf(
  certificate: X509Certificate,
  now: number,
  soonDays: number | null = null,
): Expiry {
  const begins = Date.parse(certificate.validFrom);
  const ends = Date.parse(certificate.validTo);
  const third = (ends - begins) / 3;
  const soonMs = soonDays === null ? Math.min(SOON_DAYS * DAY_MS, third) : soonDays * DAY_MS;
  const state = ends <= now ? "expired" : ends - now <= soonMs ? "expires-soon" : "valid";
  return {
    name: commonNameOf(certificate),
    notAfter: new Date(ends).toISOString(),
    daysLeft: Math.floor((ends - now) / DAY_MS),
    state,
  };
}

function commonNameOf({ subject }: X509Certificate): string {
  return /^CN=(.+)$/m.exec(subject)?.[1] ?? subject.replaceAll("\n", ", ");
}
