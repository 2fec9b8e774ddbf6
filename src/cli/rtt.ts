// `cairn rtt`: the estimated round trip between two members. Owns the words; the estimate is that
// of the member that is asked.

import { type ClusterFlags, findTarget, withClient } from "./connect.ts";
import { Output } from "./terminal.ts";

export interface RttFlags extends ClusterFlags {
  readonly json?: boolean;
}

/** Between `one` and `other`; `other` absent: between `one` and the member that is asked. */
export async function runRtt(one: string, other: string | undefined, flags: RttFlags) {
  const [from, to] = other === undefined ? ["", one] : [one, other];
  const told = await withClient(findTarget(flags), {}, (client) => client.roundTrip(from, to));
  const ms = told.micros / 1000;
  const output = new Output();
  if (flags.json === true) await output.line(JSON.stringify({ from: told.from, to: told.to, ms }));
  else await output.line(`${told.from} <-> ${told.to}: ${ms.toFixed(3)} ms, estimated`);
  await output.flush();
}
