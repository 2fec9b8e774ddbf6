// `cairn version`.

import { Output } from "./terminal.ts";

export async function runVersion(version: string, asJson: boolean): Promise<void> {
  const output = new Output();
  const { version: node } = process;
  await output.line(
    asJson ? JSON.stringify({ cairn: version, node }) : `cairn ${version}, node ${node}`,
  );
  await output.flush();
}
