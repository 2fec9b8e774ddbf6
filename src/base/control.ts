// What control entries say, decoded once at the edge (where a frame enters a node, from a peer, a
// disk or a proposer), so that machines see typed values and never bytes. Owns which kinds have a
// decoded body here, and their bytes but for the membership's.
//
//   trim body:  u8 version = 1, u64 startOffset

import { type FrozenBytes, freeze, getU64, putU64, viewOf } from "./bytes.ts";
import { crc32c } from "./crc32c.ts";
import { type Draft, type EntryKind, FRAME_HEADER_BYTES } from "./entry.ts";
import { isCount, type Offset, type WallMs } from "./ids.ts";
import { decodeMembership, encodeMembership, type Membership } from "./membership.ts";

export type Control =
  | { readonly kind: "membership"; readonly membership: Membership }
  /** Records before `startOffset` are gone for every reader, on every node. */
  | { readonly kind: "trim"; readonly startOffset: Offset };

/** What a body says: null for kinds without a decoded body, "malformed" when it is broken. */
export function decodeControl(kind: EntryKind, body: Uint8Array): Control | null | "malformed" {
  switch (kind) {
    case "membership": {
      const membership = decodeMembership(body);
      return membership === null ? "malformed" : { kind, membership };
    }
    case "trim": {
      if (body.length !== 9 || body[0] !== 1) return "malformed";
      const startOffset = getU64(viewOf(body), 1);
      return isCount(startOffset) ? { kind, startOffset: startOffset as Offset } : "malformed";
    }
    default:
      return null;
  }
}

export function encodeControl(control: Control): FrozenBytes {
  switch (control.kind) {
    case "membership":
      return encodeMembership(control.membership);
    case "trim": {
      const body = new Uint8Array(9);
      body[0] = 1;
      putU64(viewOf(body), 1, control.startOffset);
      return freeze(body);
    }
  }
}

/** A control entry before it has a place. `wall` is the proposer's clock. */
export function controlDraft(control: Control, wall: WallMs): Draft {
  const body = encodeControl(control);
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + body.length);
  bytes.set(body, FRAME_HEADER_BYTES);
  return {
    kind: control.kind,
    codec: 0,
    critical: true,
    count: 0,
    timestamp: wall,
    bodyCrc: crc32c(body),
    rawLength: body.length,
    producerId: 0,
    epoch: 0,
    sequence: 0,
    control,
    bytes,
  };
}
