// A network coordinate (Vivaldi) as the payload of a direct ack. Owns the bytes only: numbers from
// outside are refused when no correct member has them, and nothing here computes with them
// (vivaldi.ts).

import type { FrozenBytes } from "../base/bytes.ts";
import { readOnlyFields } from "./fields.ts";
import { MsgpackWriter } from "./msgpack.ts";

const PING_VERSION = 1;
export const DIMENSIONS = 8;
/** The error of a member that has measured nothing; it never grows beyond. */
export const ERROR_MAX = 1.5;
/** Seconds: nobody who measured round trips of ten at most can be so far out. */
const PLACE_MAX = 1000;

/** Seconds, as floating point, except for `error`, a share; of 8 dimensions. */
export interface Coordinate {
  readonly adjustment: number;
  readonly error: number;
  readonly height: number;
  readonly vector: readonly number[];
}

export function encodeCoordinate(coordinate: Coordinate): FrozenBytes {
  const to = new MsgpackWriter().byte(PING_VERSION).map(4);
  to.text("Adjustment").float64(coordinate.adjustment).text("Error").float64(coordinate.error);
  to.text("Height").float64(coordinate.height).text("Vec").array(coordinate.vector.length);
  for (const value of coordinate.vector) to.float64(value);
  return to.take();
}

/**
 * Null when the payload is empty, of another version, of other dimensions, not finite, or a place
 * that no measurements lead to.
 */
export function decodeCoordinate(payload: FrozenBytes): Coordinate | null {
  if (payload[0] !== PING_VERSION) return null;
  const fields = readOnlyFields(payload, 1);
  if (fields === null) return null;
  const vector: number[] = [];
  for (const value of fields.list("Vec")) if (typeof value === "number") vector.push(value);
  const coordinate = fields.finish({
    adjustment: fields.number("Adjustment"),
    error: fields.number("Error"),
    height: fields.number("Height"),
    vector,
  });
  if (typeof coordinate === "string" || vector.length !== DIMENSIONS) return null;
  const { adjustment, error, height } = coordinate;
  const isPlace = [adjustment, height, ...vector].every((part) => Math.abs(part) <= PLACE_MAX);
  return isPlace && height >= 0 && error >= 0 && error <= ERROR_MAX ? coordinate : null;
}
