// Whether two members speak a protocol that both understand. Stock agents refuse a whole exchange
// for one record that does not fit; we leave out that record, and so never pass it on either.

import type { Versions } from "./messages.ts";

/** True when each speaks what the other understands, at both layers. */
export function speakWithEachOther(a: Versions, b: Versions): boolean {
  return understands(a, b) && understands(b, a);
}

function understands(listener: Versions, speaker: Versions): boolean {
  const { protocolCurrent, delegateCurrent } = speaker;
  return (
    protocolCurrent >= listener.protocolMin &&
    protocolCurrent <= listener.protocolMax &&
    delegateCurrent >= listener.delegateMin &&
    delegateCurrent <= listener.delegateMax
  );
}
