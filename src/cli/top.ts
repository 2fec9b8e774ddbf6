// `cairn top`: the cluster at a glance, anew each second until q or Ctrl-C. Owns the asking and the
// keys; how it looks is top-view.ts.

import { statusCall } from "../client/admin.ts";
import { Channel } from "../client/channel.ts";
import { CairnError, type ServerStatus } from "../client/client.ts";
import { type ClusterFlags, describeCairnError, findTarget, type Target } from "./connect.ts";
import { CommandError, EXIT } from "./exit.ts";
import { Output } from "./terminal.ts";
import { drawTop, type Top, type TopMember } from "./top-view.ts";

export interface TopFlags extends ClusterFlags {
  readonly json?: boolean;
}

const LOOK_EVERY_MS = 1_000;
const ANSWER_MS = 900;
const HISTORY_MAX = 300;

/** q, Q, Ctrl-C and Ctrl-D. */
const QUIT_KEYS = [0x71, 0x51, 3, 4];

/** Another page of the terminal, without a cursor; and back to what was there before. */
const ENTER = "\u001b[?1049h\u001b[?25l";
const LEAVE = "\u001b[?25h\u001b[?1049l";
const HOME = "\u001b[H";
const CLEAR_LINE = "\u001b[K";
const CLEAR_BELOW = "\u001b[J";

export async function runTop(flags: TopFlags): Promise<void> {
  const isDrawn = flags.json !== true;
  if (isDrawn && process.stdout.isTTY !== true) {
    const how = "--json gives an object a second, `cairn members --watch` a line a change";
    throw new CommandError(`top draws on a terminal, and this is none: ${how}`, EXIT.usage);
  }
  const target = findTarget(flags);
  const sampler = new Sampler(target);
  const output = new Output();
  const quit = untilQuit(output);
  try {
    // What is wrong from the start is said on the page that stays.
    let top = await sampler.look();
    if (isDrawn) await output.write(ENTER);
    while (!quit.aborted) {
      if (isDrawn) await output.write(pageOf(top));
      else await output.line(JSON.stringify(top));
      await pause(quit);
      if (!quit.aborted) top = await sampler.look();
    }
  } finally {
    sampler.close();
    if (process.stdin.isTTY === true) process.stdin.setRawMode(false);
    process.stdin.pause();
    if (isDrawn) process.stdout.write(LEAVE);
  }
  output.closed.throwIfAborted();
}

function pageOf(top: Top): string {
  const lines = drawTop(top, process.stdout).map((line) => `${line}${CLEAR_LINE}`);
  return `${HOME}${lines.join("\n")}\n${CLEAR_BELOW}`;
}

/** Aborted by q, Ctrl-C, SIGTERM, and by a reader that went away. */
function untilQuit(output: Output): AbortSignal {
  const quit = new AbortController();
  process.once("SIGINT", () => quit.abort());
  process.once("SIGTERM", () => quit.abort());
  const { stdin } = process;
  if (stdin.isTTY === true) {
    stdin.setRawMode(true);
    // In this mode Ctrl-C is a key like any other.
    stdin.on("data", (keys: Buffer) => {
      if (keys.some((key) => QUIT_KEYS.includes(key))) quit.abort();
    });
  }
  return AbortSignal.any([quit.signal, output.closed]);
}

function pause(quit: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, LOOK_EVERY_MS);
    quit.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    });
  });
}

interface Sample {
  readonly endOffset: number;
  readonly atMs: number;
}

/** Asks every member for its own state, over connections that stay. */
class Sampler {
  readonly #target: Target;
  readonly #channels = new Map<string, Channel>();
  readonly #before = new Map<string, Sample>();
  readonly #names = new Map<string, string>();
  readonly #history: number[] = [];

  constructor(target: Target) {
    this.#target = target;
    for (const address of target.addresses) this.#know(address);
  }

  /** Throws CommandError while nobody has ever answered. */
  async look(): Promise<Top> {
    const known = [...this.#channels];
    const members = await Promise.all(known.map(([address, one]) => this.#ask(address, one)));
    const refused = members.flatMap((member) => (member instanceof CairnError ? [member] : []));
    const [first] = refused;
    const isFirstLook = this.#history.length === 0;
    if (first !== undefined && isFirstLook && refused.length === members.length) {
      throw describeCairnError(first, this.#target);
    }
    const rows = members.map((member, at) => {
      const address = known[at]?.[0] ?? "";
      return member instanceof CairnError ? this.#silent(address, member) : member;
    });
    this.#history.push(Math.max(0, ...rows.map(({ recordsPerSecond }) => recordsPerSecond)));
    if (this.#history.length > HISTORY_MAX) this.#history.shift();
    return { members: rows, history: [...this.#history], at: new Date() };
  }

  close(): void {
    for (const channel of this.#channels.values()) channel.close();
  }

  #know(address: string): void {
    if (address === "" || this.#channels.has(address)) return;
    this.#channels.set(address, new Channel(address, this.#target.credentials));
  }

  async #ask(address: string, channel: Channel): Promise<TopMember | CairnError> {
    const begunMs = performance.now();
    try {
      const status = await statusCall(undefined).attempt(channel, ANSWER_MS);
      for (const member of status.members) this.#know(member.address);
      this.#names.set(address, status.name);
      return this.#memberOf(address, status, performance.now() - begunMs);
    } catch (error) {
      if (error instanceof CairnError) return error;
      throw error;
    }
  }

  #memberOf(address: string, status: ServerStatus, ms: number): TopMember {
    const { name, state, role, term, startOffset, endOffset, lastIndex, durableIndex } = status;
    const now = { endOffset, atMs: performance.now() };
    const before = this.#before.get(address) ?? now;
    this.#before.set(address, now);
    const seconds = Math.max(0.001, (now.atMs - before.atMs) / 1000);
    return {
      ...{ name, address, state, role, term, startOffset, endOffset, answers: true },
      unsynced: Math.max(0, lastIndex - durableIndex),
      recordsPerSecond: Math.max(0, Math.round((endOffset - before.endOffset) / seconds)),
      ms: Math.round(ms),
    };
  }

  #silent(address: string, { code }: CairnError): TopMember {
    const none = { role: "", term: 0, startOffset: 0, endOffset: 0, unsynced: 0 };
    const name = this.#names.get(address) ?? address;
    const state = code === "unreachable" ? "does not answer" : code;
    return { ...none, name, address, state, answers: false, recordsPerSecond: 0, ms: 0 };
  }
}
