// Making the marker that begins each gathered write: a frame without body that restates the durable
// point before it, for recovery to know what must be there. Reading it back is recovery.ts.
//
// Its fields: index, term, offset and timestamp of the durable point; count = entries that follow
// in this write; producerId = its own position in the file; epoch = markerSalt; sequence = the hard
// state's sequence number.

import type { FrozenBytes } from "../base/bytes.ts";
import type { LogPoint } from "../base/entry.ts";
import type { Position } from "../base/ids.ts";
import { sealFrame } from "./frame.ts";

export interface MarkerPlace {
  readonly position: Position;
  readonly salt: number;
  readonly hardSequence: number;
}

/** `entries` follow it in the same write. */
export function sealMarker(durable: LogPoint, entries: number, place: MarkerPlace): FrozenBytes {
  const head = {
    kind: "marker",
    codec: 0,
    critical: true,
    index: durable.index,
    term: durable.term,
    prevTerm: durable.term,
    offset: durable.endOffset,
    count: entries,
    timestamp: durable.timestamp,
    bodyLength: 0,
    bodyCrc: 0,
    rawLength: 0,
    producerId: place.position,
    epoch: place.salt,
    sequence: place.hardSequence,
  } as const;
  return sealFrame(head, new Uint8Array(0));
}
