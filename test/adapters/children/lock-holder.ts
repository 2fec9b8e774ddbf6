// Locks the data directory given as its argument, says so, and holds it until it is killed or its
// standard input ends. Refused, it prints why and ends with code 1.

import { lockDataDirectory } from "../../../src/adapters/data-lock.ts";

try {
  const lock = await lockDataDirectory(process.argv[2] ?? "");
  console.log(`locked ${process.pid}`);
  process.stdin.resume();
  process.stdin.on("end", () => void lock.release().then(() => console.log("released")));
} catch (error) {
  console.log(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
