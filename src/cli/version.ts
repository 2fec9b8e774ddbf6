// `cairn version`.

import { Output } from "./terminal.ts";

export async function runVersion(version: string): Promise<void> {
  const output = new Output();
  await output.line(`cairn ${version}, node ${process.version}`);
  await output.flush();
}
