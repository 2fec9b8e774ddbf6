// Free TCP ports on loopback for clusters that live on one machine. Owns nothing after it answered:
// a port may be taken by somebody else a moment later, and whoever listens on it says so.

import { randomInt } from "node:crypto";
import { createServer } from "node:net";

import { CommandError } from "./exit.ts";

/**
 * Below the range from which systems draw the ports of outgoing connections (Linux: 32768, RFC
 * 6335: 49152), so that no connection of ours takes a port between this look and the listening.
 */
const LOWEST = 20_000;
const HIGHEST = 32_000;
const TRIES = 200;

/** `count` different ports that nobody listens on at `host`. */
export async function findFreePorts(count: number, host = "127.0.0.1"): Promise<number[]> {
  const found = new Set<number>();
  for (let tries = 0; found.size < count && tries < TRIES; tries++) {
    const port = randomInt(LOWEST, HIGHEST);
    if (!found.has(port) && (await isFree(port, host))) found.add(port);
  }
  if (found.size < count) {
    throw new CommandError(`no free ports on ${host} between ${LOWEST} and ${HIGHEST}`);
  }
  return [...found];
}

function isFree(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer();
    probe.on("error", () => resolve(false));
    probe.listen({ port, host, exclusive: true }, () => probe.close(() => resolve(true)));
  });
}
