// CRC-32C (Castagnoli), slice-by-8: the checksum of every format here. Pure arithmetic, no tables
// from outside; about as fast as memory in V8.

const POLYNOMIAL = 0x82f63b78;

function makeTables(): Int32Array[] {
  const tables: Int32Array[] = [];
  for (let slice = 0; slice < 8; slice++) tables.push(new Int32Array(256));
  const first = tables[0] as Int32Array;
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ POLYNOMIAL : crc >>> 1;
    first[byte] = crc;
  }
  for (let slice = 1; slice < 8; slice++) {
    const before = tables[slice - 1] as Int32Array;
    const table = tables[slice] as Int32Array;
    for (let byte = 0; byte < 256; byte++) {
      const crc = before[byte] as number;
      table[byte] = (crc >>> 8) ^ (first[crc & 0xff] as number);
    }
  }
  return tables;
}

const [T0, T1, T2, T3, T4, T5, T6, T7] = makeTables() as [
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
  Int32Array,
];

/**
 * The checksum of two stretches one behind the other, from theirs alone: crc32c(a then b) is
 * crc32cJoined(crc32c(a), crc32c(b), b.length). Costs the logarithm of the length.
 */
export function crc32cJoined(first: number, second: number, secondLength: number): number {
  // Zeros behind the first part multiply what it stands for by x^8 each (zlib's crc32_combine).
  let shift = 0x8000_0000;
  let power = 0x0080_0000;
  for (let left = secondLength; left > 0; left = Math.floor(left / 2)) {
    if (left % 2 === 1) shift = product(power, shift);
    power = product(power, power);
  }
  return (product(shift, first) ^ second) >>> 0;
}

/** Product of two polynomials over GF(2) modulo the checksum's, lowest power in the top bit. */
function product(factor: number, other: number): number {
  let sum = 0;
  let shifted = other;
  for (let mask = 0x8000_0000; mask !== 0; mask >>>= 1) {
    if ((factor & mask) !== 0) sum ^= shifted;
    shifted = shifted & 1 ? (shifted >>> 1) ^ POLYNOMIAL : shifted >>> 1;
  }
  return sum >>> 0;
}

/**
 * CRC-32C of bytes[start, end), 0 .. 2^32-1. Pass the result of an earlier part as `before` to go
 * on: crc32c(b, crc32c(a)) == crc32c(a then b).
 */
export function crc32c(bytes: Uint8Array, before = 0, start = 0, end = bytes.length): number {
  let crc = ~before;
  let at = start;
  const last8 = end - 8;
  while (at <= last8) {
    // Indexes stay inside [start, end), so the reads are never undefined.
    const low =
      crc ^
      ((bytes[at] as number) |
        ((bytes[at + 1] as number) << 8) |
        ((bytes[at + 2] as number) << 16) |
        ((bytes[at + 3] as number) << 24));
    crc =
      (T7[low & 0xff] as number) ^
      (T6[(low >>> 8) & 0xff] as number) ^
      (T5[(low >>> 16) & 0xff] as number) ^
      (T4[low >>> 24] as number) ^
      (T3[bytes[at + 4] as number] as number) ^
      (T2[bytes[at + 5] as number] as number) ^
      (T1[bytes[at + 6] as number] as number) ^
      (T0[bytes[at + 7] as number] as number);
    at += 8;
  }
  while (at < end) {
    crc = (crc >>> 8) ^ (T0[(crc ^ (bytes[at] as number)) & 0xff] as number);
    at++;
  }
  return ~crc >>> 0;
}
