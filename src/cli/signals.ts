// Ctrl-C and SIGTERM: the first asks to stop, a later one means at once. Owns telling the second
// from the echo of the first.

import { say } from "./terminal.ts";

/**
 * (1) Ctrl-C interrupts the terminal's whole group, npx and this process; (2) npx passes its own
 * interrupt on to this process, a moment later. That second one is the same wish.
 */
const ECHO_MS = 200;

/** Calls `asked` with the signal's name once; exits at the next one. */
export function onAskedToStop(asked: (why: string) => void): void {
  let askedAt: number | null = null;
  const hear = (signal: string) => {
    if (askedAt === null) {
      askedAt = performance.now();
      asked(signal);
    } else if (performance.now() - askedAt > ECHO_MS) {
      say("cairn: asked to stop again: stopping at once");
      process.exit(1);
    }
  };
  process.on("SIGTERM", () => hear("SIGTERM"));
  process.on("SIGINT", () => hear("SIGINT"));
}
