// A subject's certificate files of a local cluster, read for the client library.

import { readFileSync } from "node:fs";
import type { Profile } from "../../src/cli/profile.ts";
import type { ClientCredentials } from "../../src/client/client.ts";

export function readClientPems(profile: Profile, subject: string): ClientCredentials {
  const files = profile.subjects[subject];
  if (files === undefined) throw new Error(`no certificate for ${subject}`);
  return {
    ca: readFileSync(profile.ca),
    cert: readFileSync(files.cert),
    key: readFileSync(files.key),
  };
}
