// A key-value store as a StateMachine: what it is follows from the records of the log, so that it
// is the same on every node. Each record is one command, as JSON. Knows nothing of nodes.

import { decodeBatch, type EntryHead, type FrozenBytes, type StateMachine } from "cairnlog/node";

/** `id` is nobody's but the writer's: it tells equal commands apart. */
export type Command =
  | { readonly set: string; readonly to: string; readonly id?: number }
  | { readonly delete: string; readonly id?: number };

export function encodeCommand(command: Command): Uint8Array {
  return new TextEncoder().encode(JSON.stringify(command));
}

/** Null for bytes that are no command: a log takes records from anybody. */
export function decodeCommand(value: Uint8Array): Command | null {
  try {
    const said = JSON.parse(new TextDecoder().decode(value)) as Record<string, unknown> | null;
    const isSet = typeof said?.["set"] === "string" && typeof said["to"] === "string";
    return isSet || typeof said?.["delete"] === "string" ? (said as Command) : null;
  } catch {
    return null;
  }
}

export class KeyValueMachine implements StateMachine {
  readonly #values = new Map<string, string>();
  /** After the last record applied. */
  endOffset = 0;

  get(key: string): string | null {
    return this.#values.get(key) ?? null;
  }

  /** All of it, in one order whatever happened; equal machines say the same. */
  describe(): string {
    return JSON.stringify([...this.#values].sort(([a], [b]) => (a < b ? -1 : 1)));
  }

  apply(head: EntryHead, body: FrozenBytes): void {
    for (const { value } of decodeBatch(body) ?? []) {
      const command = decodeCommand(value);
      if (command === null) continue;
      if ("set" in command) this.#values.set(command.set, command.to);
      else this.#values.delete(command.delete);
    }
    this.endOffset = head.offset + head.count;
  }

  snapshot(): Uint8Array {
    return new TextEncoder().encode(JSON.stringify([this.endOffset, ...this.#values]));
  }

  restore(snapshot: FrozenBytes): void {
    const [endOffset, ...values] = JSON.parse(new TextDecoder().decode(snapshot)) as [
      number,
      ...[string, string][],
    ];
    this.endOffset = endOffset;
    this.#values.clear();
    for (const [key, value] of values) this.#values.set(key, value);
  }
}
