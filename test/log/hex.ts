// Bytes as hex, for golden images.

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export function fromHex(hex: string): Uint8Array {
  const bytes = new Uint8Array(hex.length / 2);
  for (let at = 0; at < bytes.length; at++)
    bytes[at] = Number.parseInt(hex.slice(2 * at, 2 * at + 2), 16);
  return bytes;
}

/** Rows of 16 bytes with their positions; rows of zeros are left out, but the length is told. */
export function hexDump(bytes: Uint8Array): string {
  const rows: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const row = bytes.subarray(at, at + 16);
    if (row.every((byte) => byte === 0)) continue;
    const text = Array.from(row, (byte) =>
      byte >= 32 && byte < 127 ? String.fromCharCode(byte) : ".",
    );
    const groups = toHex(row).replace(/(.{8})(?=.)/g, "$1 ");
    rows.push(`${at.toString().padStart(6)}  ${groups.padEnd(35)}  ${text.join("")}`);
  }
  return `${rows.join("\n")}\n${bytes.length} bytes\n`;
}
