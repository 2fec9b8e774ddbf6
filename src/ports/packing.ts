// How packed bodies are opened: codec 1 of an entry is gzip. Done where bytes enter (admission) and
// where single records leave; in between a packed body is opaque.

export interface Packing {
  /** The plain bytes of a gzip stream; null when it is none, or holds more than `bytesMax`. */
  unpack(packed: Uint8Array, bytesMax: number): Uint8Array | null;
}
