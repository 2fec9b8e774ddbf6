// Where to send the next attempt: the servers known, who is said to lead, how long to wait between
// failures. Learns from answers; owns the channels.

import { decodeGetServersResponse, EMPTY_MESSAGE, type Server } from "../proto/log-v1.ts";
import { Channel, type CredentialsSource } from "./channel.ts";
import { CairnError } from "./errors.ts";

const BACKOFF_MS_MIN = 20;
const BACKOFF_MS_MAX = 250;
/** A hint is followed at once this often before waiting, so that two nodes cannot play ball. */
const HINTS_AT_ONCE = 3;

/** Waiting, so that a test can own it. */
export type Pause = (ms: number) => Promise<void>;

/** One operation's way through the servers. */
export interface Route {
  /** The next server to try. */
  next(): Channel;
  /** What to do after a failure there; resolves when the next attempt may begin. */
  failed(error: CairnError): Promise<void>;
}

export class Routes {
  readonly #credentials: CredentialsSource | null;
  readonly #pause: Pause;
  readonly #channels = new Map<string, Channel>();
  #addresses: string[];
  #leader: string | null = null;
  #turn = 0;
  #isClosed = false;
  #learning: Promise<void> | null = null;
  /** A server has named the members: one given address is enough even when it dies. */
  #hasLearnt = false;

  constructor(addresses: readonly string[], credentials: CredentialsSource | null, pause: Pause) {
    this.#addresses = [...new Set(addresses)];
    this.#credentials = credentials;
    this.#pause = pause;
  }

  /** The address that is believed to lead, or null. */
  get leader(): string | null {
    return this.#leader;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** For what only the leader does. */
  toLeader(): Route {
    let tried: string | null = null;
    const failures = new Backoff();
    return {
      next: () => {
        tried = this.#leader ?? this.#rotate();
        if (!this.#hasLearnt) void this.learn();
        return this.#channel(tried);
      },
      failed: async (error) => {
        const hint = error.code === "not-leader" ? (error.facts["address"] ?? null) : null;
        const isNews = hint !== null && hint !== tried;
        // Only the believed leader's failures say anything about who leads.
        if (isNews) this.#leader = hint;
        else if (this.#leader === tried) this.#leader = null;
        if (hint === null) void this.learn();
        if (isNews && failures.takeHint()) return;
        await this.#pause(Math.max(error.retryAfterMs, failures.next()));
      },
    };
  }

  /** For what any server does; spreads the load and goes on to another after a failure. */
  toAny(): Route {
    const failures = new Backoff();
    return {
      next: () => {
        if (!this.#hasLearnt) void this.learn();
        return this.#channel(this.#rotate());
      },
      failed: (error) => this.#pause(Math.max(error.retryAfterMs, failures.next())),
    };
  }

  /** Whoever answered as the leader is it. */
  succeeded(channel: Channel): void {
    this.#leader = channel.address;
  }

  /** Asks whoever answers for the servers and remembers them. Never fails, one at a time. */
  learn(): Promise<void> {
    this.#learning ??= this.#ask().finally(() => {
      this.#learning = null;
    });
    return this.#learning;
  }

  async #ask(): Promise<void> {
    for (let attempt = 0; attempt < this.#addresses.length && !this.#isClosed; attempt++) {
      try {
        this.remember(await this.serversOf(this.#channel(this.#rotate()), 1_000));
        return;
      } catch (error) {
        if (!(error instanceof CairnError)) throw error;
        // Who may not ask now may not ask later.
        this.#hasLearnt ||= error.code === "permission-denied" || error.code === "unauthenticated";
      }
    }
  }

  serversOf(channel: Channel, timeoutMs: number): Promise<readonly Server[]> {
    const path = "/log.v1.Log/GetServers";
    return channel.call(path, EMPTY_MESSAGE, decodeGetServersResponse, timeoutMs);
  }

  /**
   * Adds servers to those known; the given ones stay, they may be all that is reachable from here.
   */
  remember(servers: readonly Server[]): void {
    this.#hasLearnt = true;
    for (const { rpcAddr, isLeader } of servers) {
      if (rpcAddr === "") continue;
      if (!this.#addresses.includes(rpcAddr)) this.#addresses = [...this.#addresses, rpcAddr];
      if (isLeader) this.#leader ??= rpcAddr;
    }
  }

  close(): void {
    this.#isClosed = true;
    for (const channel of this.#channels.values()) channel.close();
    this.#channels.clear();
  }

  #rotate(): string {
    const address = this.#addresses[this.#turn % this.#addresses.length];
    this.#turn++;
    if (address === undefined) throw new CairnError("unreachable", "no address to connect to");
    return address;
  }

  #channel(address: string): Channel {
    if (this.#isClosed) throw new CairnError("closed", "client is closed");
    let channel = this.#channels.get(address);
    if (channel === undefined) {
      channel = new Channel(address, this.#credentials);
      this.#channels.set(address, channel);
    }
    return channel;
  }
}

/** Doubles from failure to failure, with half of it drawn, so that clients do not march in step. */
class Backoff {
  #ms = BACKOFF_MS_MIN;
  #hints = 0;

  takeHint(): boolean {
    this.#hints++;
    return this.#hints <= HINTS_AT_ONCE;
  }

  next(): number {
    const ms = this.#ms / 2 + Math.random() * (this.#ms / 2);
    this.#ms = Math.min(this.#ms * 2, BACKOFF_MS_MAX);
    return ms;
  }
}
