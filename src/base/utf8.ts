// UTF-8 by the language alone: TextEncoder belongs to hosts, and floors 0-2 have none.

/** UTF-8 bytes of a string; lone surrogates become U+FFFD. Language only: no TextEncoder here. */
export function encodeUtf8(text: string): Uint8Array {
  return maybeAscii(text) ?? encodeAny(text);
}

/** What nearly every name and key is; null for anything else. */
function maybeAscii(text: string): Uint8Array | null {
  const bytes = new Uint8Array(text.length);
  for (let at = 0; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= 0x80) return null;
    bytes[at] = code;
  }
  return bytes;
}

function encodeAny(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text) {
    let code = character.codePointAt(0) as number;
    if (code >= 0xd800 && code <= 0xdfff) code = 0xfffd;
    if (code < 0x80) bytes.push(code);
    else if (code < 0x800) bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
    else if (code < 0x10000) {
      bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    } else {
      bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63));
      bytes.push(0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
    }
  }
  return Uint8Array.from(bytes);
}

/** The string that exactly these UTF-8 bytes encode, or null when they are not UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  let text = "";
  let at = 0;
  while (at < bytes.length) {
    const lead = bytes[at] as number;
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (length > 1 && (lead < 0xc2 || lead > 0xf4)) return null;
    if (at + length > bytes.length) return null;
    let code = length === 1 ? lead : lead & (0x7f >> length);
    for (let next = 1; next < length; next++) {
      const byte = bytes[at + next] as number;
      if ((byte & 0xc0) !== 0x80) return null;
      code = (code << 6) | (byte & 63);
    }
    if (!isScalar(code, length)) return null;
    text += String.fromCodePoint(code);
    at += length;
  }
  return text;
}

function isScalar(code: number, length: number): boolean {
  const least = length === 1 ? 0 : length === 2 ? 0x80 : length === 3 ? 0x800 : 0x10000;
  return code >= least && code <= 0x10ffff && !(code >= 0xd800 && code <= 0xdfff);
}
