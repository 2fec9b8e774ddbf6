// What an agent proves itself with and judges others by: certificates for clients and for peers,
// and the access rules. Read and checked at the start, watched and replaced while the agent runs.
// Owns which files these are and what is in use; TLS and Casbin are the adapters'.

import { readFileSync } from "node:fs";

import {
  type CasbinAuthorizer,
  DEFAULT_MODEL,
  DEFAULT_POLICY,
  type NamedText,
  openCasbinAuthorizer,
} from "../adapters/casbin-authorizer.ts";
import type { Authorizer } from "../ports/authorizer.ts";
import type { Telemetry } from "../ports/telemetry.ts";
import type { AgentConfig, TlsFiles } from "./config.ts";
import { CommandError, describeError, EXIT } from "./exit.ts";
import { certificatesOf, expiryOf } from "./expiry.ts";
import { ExpiryWarnings, Reloader, type ReloadSource } from "./reload.ts";
import { checkPeerCertificate, readTlsFiles, samePems, type TlsPems } from "./tls-files.ts";

type Kind = "server" | "peer";

/** Whoever shows certificates: the server to clients, the links to peers. */
export interface CertificateUser {
  /** For connections from now on; throws, and changes nothing, when they cannot be used. */
  replaceCertificates(pems: TlsPems): void;
}

export interface AccessRules {
  readonly model: NamedText;
  readonly policy: NamedText;
  readonly casbin: CasbinAuthorizer;
}

export class AgentSecurity {
  readonly #config: AgentConfig;
  readonly #pems: Record<Kind, TlsPems | null>;
  #rules: AccessRules;
  #reloader: Reloader | null = null;
  #warnings: ExpiryWarnings | null = null;

  private constructor(config: AgentConfig, rules: AccessRules) {
    this.#config = config;
    this.#pems = { server: readPems(config, "server"), peer: readPems(config, "peer") };
    this.#rules = rules;
  }

  /** Throws CommandError naming the setting and the file. */
  static async open(config: AgentConfig): Promise<AgentSecurity> {
    return new AgentSecurity(config, await openRules(config));
  }

  get serverTls(): TlsPems | null {
    return this.#pems.server;
  }

  get peerTls(): TlsPems | null {
    return this.#pems.peer;
  }

  /** Decides by the rules that are in use at the time. */
  get authorizer(): Authorizer {
    return {
      allows: (subject, object, action) => this.#rules.casbin.allows(subject, object, action),
    };
  }

  /** When our own certificates end, by whom they are shown to. */
  ends(): { to: string; notAfterMs: number }[] {
    return (["server", "peer"] as const).flatMap((to) => {
      const [own] = certificatesOf(this.#pems[to]?.cert.toString() ?? "") ?? [];
      return own === undefined ? [] : [{ to, notAfterMs: Date.parse(own.validTo) }];
    });
  }

  /** Replaces what has changed, and warns of what is about to expire, until `close`. */
  watch(
    telemetry: Telemetry,
    users: Readonly<Record<Kind, CertificateUser>>,
    everyMs?: number,
  ): void {
    const { aclModelFile, aclPolicyFile } = this.#config;
    const ruleFiles = [aclModelFile, aclPolicyFile].filter((file) => file !== null);
    const sources: ReloadSource[] = [
      ...this.#certificates("server", users.server),
      ...this.#certificates("peer", users.peer),
      {
        what: "access-rules",
        files: ruleFiles,
        reload: () => this.#reloadRules(),
      },
    ];
    this.#reloader = new Reloader(
      telemetry,
      sources.filter(({ files }) => files.length > 0),
      everyMs,
    );
    this.#warnings = new ExpiryWarnings(telemetry, () => this.#inUse());
  }

  close(): void {
    this.#reloader?.close();
    this.#warnings?.close();
  }

  #certificates(kind: Kind, user: CertificateUser): ReloadSource[] {
    const files = filesOf(this.#config, kind);
    if (files === null) return [];
    const reload = async () => {
      const pems = readPems(this.#config, kind);
      const before = this.#pems[kind];
      if (pems === null || (before !== null && samePems(pems, before))) return null;
      user.replaceCertificates(pems);
      this.#pems[kind] = pems;
      this.#warnings?.tell();
      return describePems(pems);
    };
    return [{ what: `${kind}-certificates`, files: [files.cert, files.key, files.ca], reload }];
  }

  async #reloadRules(): Promise<string | null> {
    const rules = await openRules(this.#config);
    const { model, policy } = this.#rules;
    if (rules.model.text === model.text && rules.policy.text === policy.text) return null;
    this.#rules = rules;
    return `${rules.casbin.ruleCount} rules`;
  }

  #inUse(): { file: string; pem: string }[] {
    return (["server", "peer"] as const).flatMap((kind) => {
      const files = filesOf(this.#config, kind);
      const pems = this.#pems[kind];
      if (files === null || pems === null) return [];
      return [
        { file: files.cert, pem: pems.cert.toString() },
        { file: files.ca, pem: pems.ca.toString() },
      ];
    });
  }
}

function filesOf(config: AgentConfig, kind: Kind): TlsFiles | null {
  return kind === "server" ? config.serverTls : config.peerTls;
}

function readPems(config: AgentConfig, kind: Kind): TlsPems | null {
  const files = filesOf(config, kind);
  if (files === null) return null;
  const pems = readTlsFiles(files, (part) => `${kind}-tls-${part}-file`);
  if (kind === "peer") checkPeerCertificate(pems, files, config.nodeName);
  return pems;
}

function describePems({ cert, ca }: TlsPems): string {
  const [own] = certificatesOf(cert.toString()) ?? [];
  const authorities = certificatesOf(ca.toString())?.length ?? 0;
  if (own === undefined) return "nothing";
  const { name, notAfter } = expiryOf(own, Date.now());
  return `${name} until ${notAfter}, ${authorities} authorities`;
}

/** Throws CommandError naming the file, and the line where there is one. */
export async function openRules(
  config: Pick<AgentConfig, "aclModelFile" | "aclPolicyFile">,
): Promise<AccessRules> {
  const model = readText("model", config.aclModelFile, DEFAULT_MODEL);
  const policy = readText("policy", config.aclPolicyFile, DEFAULT_POLICY);
  try {
    return { model, policy, casbin: await openCasbinAuthorizer(model, policy) };
  } catch (error) {
    throw new CommandError(`acl: ${describeError(error)}`, EXIT.usage);
  }
}

/** A file's text under its name, or the built-in one. */
function readText(what: "model" | "policy", file: string | null, builtIn: string): NamedText {
  if (file === null) return { file: `built-in ${what}`, text: builtIn };
  try {
    return { file, text: readFileSync(file, "utf8") };
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code ?? String(error);
    throw new CommandError(`acl-${what}-file: cannot read ${file}: ${why}`, EXIT.usage);
  }
}
