// What members say, as lines for people and as JSON: anybody may have said it, so nothing of it
// reaches a terminal that could command it. Owns the forms; decides nothing.

const CONTROL_END = 0x20;
const DELETE = 0x7f;
const CONTROLS_END = 0xa0;

/** UTF-8 as text, all else in base64; control characters as \xNN. */
export function shownPayload(payload: Uint8Array): string {
  const text = textOf(payload);
  return text === null ? `base64 ${Buffer.from(payload).toString("base64")}` : shownText(text);
}

export function shownText(text: string): string {
  let shown = "";
  for (const character of text) {
    const code = character.codePointAt(0) ?? 0;
    const isControl = code < CONTROL_END || (code >= DELETE && code < CONTROLS_END);
    shown += isControl ? `\\x${code.toString(16).padStart(2, "0")}` : character;
  }
  return shown;
}

/** For JSON, which escapes what it must. */
export function payloadFields(
  payload: Uint8Array,
): { payload: string } | { payloadBase64: string } {
  const text = textOf(payload);
  if (text !== null) return { payload: text };
  return { payloadBase64: Buffer.from(payload).toString("base64") };
}

export function plural(count: number, one: string): string {
  return `${count} ${one}${count === 1 ? "" : "s"}`;
}

function textOf(payload: Uint8Array): string | null {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(payload);
  } catch {
    return null;
  }
}
