// `cairn event`: tells all that gossip that something happened, or shows what one member hears.
// Owns the lines.

import { CairnError, type HeardTalk } from "../client/client.ts";
import {
  type ClusterFlags,
  connectTo,
  describeCairnError,
  findTarget,
  withClient,
} from "./connect.ts";
import { CommandError, EXIT } from "./exit.ts";
import { payloadFields, shownPayload, shownText } from "./talk-text.ts";
import { Output, say } from "./terminal.ts";

export interface EventFlags extends ClusterFlags {
  readonly json?: boolean;
  readonly watch?: boolean;
  readonly coalesce?: boolean;
}

export async function runEvent(
  name: string | undefined,
  payload: string | undefined,
  flags: EventFlags,
): Promise<void> {
  if (flags.watch === true) {
    if (name === undefined) return watch(flags);
    throw new CommandError("--watch shows what is heard: it takes no NAME", EXIT.usage);
  }
  if (name === undefined) throw new CommandError("NAME: what happened?", EXIT.usage);
  const { coalesce = true } = flags;
  const bytes = Buffer.from(payload ?? "");
  await withClient(findTarget(flags), {}, (client) =>
    client.sendEvent({ name, payload: bytes, coalesce }),
  );
  const output = new Output();
  const facts = { event: name, bytes: bytes.length, coalesce };
  await output.line(flags.json === true ? JSON.stringify(facts) : `${name} is under way`);
  await output.flush();
}

/** Until Ctrl-C, or until the member stops. */
async function watch(flags: EventFlags): Promise<void> {
  const target = findTarget(flags);
  const interrupted = new AbortController();
  process.once("SIGINT", () => interrupted.abort());
  process.once("SIGTERM", () => interrupted.abort());
  const output = new Output();
  const signal = AbortSignal.any([interrupted.signal, output.closed]);
  const client = connectTo(target, {});
  try {
    for await (const heard of client.watchEvents({ signal })) {
      if (heard.kind === "begun") say(`what ${heard.name} hears by gossip:`);
      const line = flags.json === true ? jsonOf(heard) : lineOf(heard);
      if (line !== null) await output.line(line);
    }
  } catch (error) {
    if (!signal.aborted) {
      throw error instanceof CairnError ? describeCairnError(error, target) : error;
    }
  } finally {
    client.close();
  }
  output.closed.throwIfAborted();
}

/** Null for what is not known here. */
export function lineOf(heard: HeardTalk): string | null {
  const { kind, name, payload, from, time, coalesced, missed } = heard;
  const said = `${shownText(name)}${payload.length === 0 ? "" : `: ${shownPayload(payload)}`}`;
  if (kind === "event") return `event t${time}${coalesced ? ", coalesced" : ""}: ${said}`;
  if (kind === "query") return `query of ${from === "" ? "nobody" : shownText(from)}: ${said}`;
  if (kind === "missed") return `${missed} more came too fast to be shown`;
  return null;
}

export function jsonOf(heard: HeardTalk): string | null {
  const { kind, name, payload, from, time, coalesced, missed } = heard;
  const at = new Date().toISOString();
  if (kind === "event") {
    return JSON.stringify({ at, kind, name, ...payloadFields(payload), time, coalesced });
  }
  if (kind === "query") return JSON.stringify({ at, kind, name, ...payloadFields(payload), from });
  return kind === "missed" ? JSON.stringify({ at, kind, missed }) : null;
}
