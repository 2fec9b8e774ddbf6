// Where the time of a run goes, by the part of the sources it is spent in: the engine's own
// sampling profiler, in this process. Owns which file is of which part; what is run is the
// caller's.

import { type Profiler, Session } from "node:inspector";

/** The first that a file's path contains. */
const PARTS: readonly (readonly [string, string])[] = [
  ["/dist/sim/checks/", "checkers (sim/checks)"],
  ["/dist/sim/", "world, ports, clients (sim)"],
  ["/dist/src/node/", "turns, links, wire (src/node)"],
  ["/dist/src/raft/", "consensus (src/raft)"],
  ["/dist/src/log/", "log (src/log)"],
  ["/dist/src/state/", "state (src/state)"],
  ["/dist/src/base/", "bytes, chance (src/base)"],
  ["/node_modules/", "libraries"],
];
const COLLECTION = "garbage collection";
const REST = "the engine itself";

const INTERVAL_MICROS = 500;

/** Runs `body` and returns the share of each part in percent, the largest first. */
export function sharesOf(body: () => void): [string, number][] {
  const session = new Session();
  session.connect();
  session.post("Profiler.enable");
  session.post("Profiler.setSamplingInterval", { interval: INTERVAL_MICROS });
  session.post("Profiler.start");
  body();
  let profile: Profiler.Profile | null = null;
  session.post("Profiler.stop", (error, stopped) => {
    if (error === null) ({ profile } = stopped);
  });
  session.disconnect();
  if (profile === null) throw new Error("the engine gave no profile");
  return summed(profile);
}

function summed({ nodes, samples = [], timeDeltas = [] }: Profiler.Profile): [string, number][] {
  const partOf = new Map(nodes.map(({ id, callFrame }) => [id, partFor(callFrame)]));
  const spent = new Map<string, number>();
  let total = 0;
  for (const [at, id] of samples.entries()) {
    const part = partOf.get(id) ?? REST;
    const micros = timeDeltas[at] ?? 0;
    spent.set(part, (spent.get(part) ?? 0) + micros);
    total += micros;
  }
  const shares = [...spent].map(([part, micros]): [string, number] => {
    return [part, (100 * micros) / total];
  });
  return shares.sort((a, b) => b[1] - a[1]);
}

function partFor({ functionName, url }: { functionName: string; url: string }): string {
  if (functionName === "(garbage collector)") return COLLECTION;
  return PARTS.find(([path]) => url.includes(path))?.[1] ?? REST;
}
