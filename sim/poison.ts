// While a run executes, everything that could tell two runs apart is out of reach: the time of day,
// chance, timers. Whoever touches it throws, and the run's verdict says who. Owns the swap and the
// way back.

import { webcrypto } from "node:crypto";

/** Owner and name of each source of difference between runs. */
const POISONED: readonly (readonly [object, string])[] = [
  [globalThis, "setTimeout"],
  [globalThis, "setInterval"],
  [globalThis, "setImmediate"],
  [globalThis, "queueMicrotask"],
  [globalThis, "fetch"],
  [globalThis, "Date"],
  [Math, "random"],
  [performance, "now"],
  [process, "hrtime"],
  [process, "nextTick"],
  [process, "cwd"],
  [process, "memoryUsage"],
  [process, "cpuUsage"],
  [process, "uptime"],
  [webcrypto, "getRandomValues"],
  [webcrypto, "randomUUID"],
];

/** Runs `body` with the sources poisoned, and puts them back however it ends. */
export function withPoison<T>(body: () => T): T {
  const restores = POISONED.map(([owner, name]) => poison(owner, name));
  try {
    return body();
  } finally {
    for (const restore of restores) restore();
  }
}

function poison(owner: object, name: string): () => void {
  const own = Object.getOwnPropertyDescriptor(owner, name);
  const value = function poisoned(): never {
    throw new Error(`${name} is out of reach inside a simulation: it would differ from run to run`);
  };
  if (name === "Date") Object.assign(value, { now: value, parse: value, UTC: value });
  Object.defineProperty(owner, name, { value, configurable: true, writable: true });
  return () => {
    if (own === undefined) Reflect.deleteProperty(owner, name);
    else Object.defineProperty(owner, name, own);
  };
}
