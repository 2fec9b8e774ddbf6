// .cairn/profile.yaml: what client commands need to know to reach a cluster. `cairn dev` writes it;
// it is found upward from the working directory, as git finds .git. Owns the file's form; does not
// connect to anything.

import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parse, stringify } from "yaml";
import { z } from "zod";

import { CommandError, EXIT } from "./exit.ts";
import { splitAddress } from "./settings.ts";

export const PROFILE_PATH = path.join(".cairn", "profile.yaml");

export interface Profile {
  /** host:port of each member, by name. */
  readonly addresses: Readonly<Record<string, string>>;
  /** Of the authority that signed the members' certificates; absolute once read. */
  readonly ca: string;
  /** Client certificates by subject; absolute once read. */
  readonly subjects: Readonly<Record<string, { readonly cert: string; readonly key: string }>>;
  /** Who a command is, unless told otherwise. */
  readonly as: string;
}

const address = z
  .string()
  .refine((value) => splitAddress(value) !== null, { error: "expected host:port" });
const schema = z.strictObject({
  addresses: z.record(z.string(), address),
  ca: z.string(),
  subjects: z.record(z.string(), z.strictObject({ cert: z.string(), key: z.string() })),
  as: z.string(),
});

/** The nearest profile at or above `directory`, or null. */
export function findProfile(directory: string): string | null {
  for (let at = path.resolve(directory); ; at = path.dirname(at)) {
    const file = path.join(at, PROFILE_PATH);
    if (existsSync(file)) return file;
    if (at === path.dirname(at)) return null;
  }
}

/** Reads a profile; relative file names in it are relative to its own folder. */
export function readProfile(file: string): Profile {
  const folder = path.dirname(path.resolve(file));
  const absolute = (name: string) => path.resolve(folder, name);
  const profile = parseProfile(file);
  const subjects = Object.entries(profile.subjects).map(([subject, { cert, key }]) => {
    return [subject, { cert: absolute(cert), key: absolute(key) }] as const;
  });
  return { ...profile, ca: absolute(profile.ca), subjects: Object.fromEntries(subjects) };
}

function parseProfile(file: string): Profile {
  let content: unknown;
  try {
    content = parse(readFileSync(file, "utf8"));
  } catch (error) {
    const why = error instanceof Error ? (error.message.split("\n")[0] ?? "") : String(error);
    throw new CommandError(`profile: cannot read ${file}: ${why}`, EXIT.usage);
  }
  const parsed = schema.safeParse(content);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => {
    return `profile: ${issue.path.join(".") || "file"}: ${issue.message} (${file})`;
  });
  throw new CommandError(lines, EXIT.usage);
}

/** Writes a profile beside its certificates; readers see the old one or the new one, whole. */
export function writeProfile(file: string, profile: Profile): void {
  const folder = path.dirname(path.resolve(file));
  const relative = (name: string) => path.relative(folder, name);
  const subjects = Object.entries(profile.subjects).map(([subject, { cert, key }]) => {
    return [subject, { cert: relative(cert), key: relative(key) }] as const;
  });
  const written = {
    ...profile,
    ca: relative(profile.ca),
    subjects: Object.fromEntries(subjects),
  };
  mkdirSync(folder, { recursive: true });
  const fresh = `${file}.${process.pid}.new`;
  writeFileSync(
    fresh,
    `# Written by cairn dev; client commands find it upward from where you are.\n${stringify(written)}`,
  );
  renameSync(fresh, file);
}
