// `cairn:///host:port[,host:port...]` as a target for any grpc-js client: finds the cluster's
// servers, sends what only the leader does to the leader, and spreads reads over the followers.
// This is the one file on grpc-js's experimental API, which may change with any minor version
// (package.json pins it); the client library (client.ts) does without it and also retries.
//
//   import { registerCairnResolver, resolverOptions } from "cairnlog/resolver";
//   registerCairnResolver();
//   new LogClient("cairn:///10.0.0.1:8400", credentials, resolverOptions(pems));
//
// grpc-js gives a picker no method names and endpoints no attributes. The resolver therefore sends
// a config selector along, which names the method as pick information, and the leader's address as
// an attribute, which arrives among the balancer's channel options.

import {
  type ChannelOptions,
  connectivityState as ConnectivityState,
  experimental,
  type Metadata,
  status as Status,
} from "@grpc/grpc-js";
import { decodeGetServersResponse, EMPTY_MESSAGE, type Server } from "../proto/log-v1.ts";
import { Channel, type CredentialsSource } from "./channel.ts";
import { CairnError } from "./errors.ts";

type Resolver = experimental.Resolver;
type ResolverListener = experimental.ResolverListener;
type GrpcUri = experimental.GrpcUri;
type Endpoint = experimental.Endpoint;
type LoadBalancer = experimental.LoadBalancer;
type ChannelControlHelper = experimental.ChannelControlHelper;
type Picker = experimental.Picker;
type PickArgs = experimental.PickArgs;
type PickResult = experimental.PickResult;
type TypedLoadBalancingConfig = experimental.TypedLoadBalancingConfig;

const SCHEME = "cairn";
const CREDENTIALS_OPTION = "cairn.credentials";
const LEADER_OPTION = "cairn.leader";
const METHOD = "method";
const ASK_TIMEOUT_MS = 2_000;
/** Between two questions for the servers, so that a burst of failures asks once. */
const ASK_AGAIN_MS = 100;

/** What only the leader does, by the last part of the method's path. */
export const LEADERS_METHODS: ReadonlySet<string> = new Set([
  "Produce",
  "ProduceStream",
  "Append",
  "AppendStream",
  "CheckTail",
  "CommitCursor",
  "DeleteCursor",
  "Fence",
  "Trim",
  "ChangeMembership",
  "TransferLeadership",
  "ForceLeave",
]);
/** What any follower answers, as fresh as the request asks; the rest is for anybody. */
export const READS: ReadonlySet<string> = new Set([
  "Consume",
  "ConsumeStream",
  "Read",
  "ReadStream",
  "FetchCursor",
  "ListCursors",
]);

let isRegistered = false;

/** Makes grpc-js understand `cairn:` targets, in this process; more than once does no harm. */
export function registerCairnResolver(): void {
  if (isRegistered) return;
  isRegistered = true;
  experimental.registerResolver(SCHEME, CairnResolver);
  experimental.registerLoadBalancerType(SCHEME, CairnBalancer, CairnConfig);
}

/**
 * Channel options for a `cairn:` target: what the resolver asks for the servers with, null without
 * TLS. A function is asked before each question, so renewed files are taken into use; what it
 * throws is told as the reason why no server answers.
 */
export function resolverOptions(credentials: CredentialsSource | null): ChannelOptions {
  return { [CREDENTIALS_OPTION]: credentials };
}

class CairnResolver implements Resolver {
  readonly #given: readonly string[];
  readonly #listener: ResolverListener;
  readonly #credentials: CredentialsSource | null;
  #known: readonly string[] = [];
  #asking = false;
  #again: NodeJS.Timeout | null = null;
  #lastAskMs = Number.NEGATIVE_INFINITY;
  #isDestroyed = false;

  constructor(target: GrpcUri, listener: ResolverListener, options: ChannelOptions) {
    this.#given = addressesIn(target);
    this.#listener = listener;
    this.#credentials = (options[CREDENTIALS_OPTION] as CredentialsSource | undefined) ?? null;
  }

  static getDefaultAuthority(target: GrpcUri): string {
    return addressesIn(target)[0] ?? "";
  }

  /** Asked for at the start, when a connection is lost, and when the leader has changed. */
  updateResolution(): void {
    if (this.#asking || this.#again !== null || this.#isDestroyed) return;
    const waitMs = Math.max(0, this.#lastAskMs + ASK_AGAIN_MS - performance.now());
    // Never at once: grpc-js wants no answer before its question has returned.
    this.#again = setTimeout(() => {
      this.#again = null;
      this.#asking = true;
      void this.#ask().finally(() => {
        this.#asking = false;
      });
    }, waitMs);
    this.#again.unref();
  }

  destroy(): void {
    this.#isDestroyed = true;
    if (this.#again !== null) clearTimeout(this.#again);
  }

  async #ask(): Promise<void> {
    this.#lastAskMs = performance.now();
    let error = new CairnError("unreachable", "no address to ask");
    let answer: readonly Server[] = [];
    // A server that is cut off knows of no leader: somebody else may.
    for (const address of new Set([...this.#known, ...this.#given])) {
      const asked = await this.#serversOf(address);
      if (this.#isDestroyed) return;
      if (asked instanceof CairnError) error = asked;
      else if (answer.length === 0 || !hasLeader(answer)) answer = asked;
      if (hasLeader(answer)) break;
    }
    if (answer.length > 0) this.#tell(answer);
    else this.#fail(error);
    if (!hasLeader(answer)) this.updateResolution();
  }

  async #serversOf(address: string): Promise<readonly Server[] | CairnError> {
    const channel = this.#channelTo(address);
    if (channel instanceof CairnError) return channel;
    try {
      const path = "/log.v1.Log/GetServers";
      return await channel.call(path, EMPTY_MESSAGE, decodeGetServersResponse, ASK_TIMEOUT_MS);
    } catch (error) {
      if (error instanceof CairnError) return error;
      throw error;
    } finally {
      channel.close();
    }
  }

  /** Half of a renewal, say, cannot be used: it is read anew for the next question. */
  #channelTo(address: string): Channel | CairnError {
    try {
      return new Channel(address, this.#credentials);
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error);
      return new CairnError("unreachable", `${address}: credentials: ${why}`);
    }
  }

  #tell(servers: readonly Server[]): void {
    const addresses = servers.map(({ rpcAddr }) => rpcAddr).filter((address) => address !== "");
    this.#known = addresses;
    const leader = servers.find(({ isLeader }) => isLeader)?.rpcAddr ?? null;
    const attributes = {
      [LEADER_OPTION]: leader,
      [experimental.CHANNEL_ARGS_CONFIG_SELECTOR_KEY]: SELECTOR,
    };
    const config = { loadBalancingConfig: [{ [SCHEME]: {} }], methodConfig: [] };
    const endpoints = addresses.map(endpointOf);
    const { statusOrFromValue } = experimental;
    this.#listener(statusOrFromValue(endpoints), attributes, statusOrFromValue(config), "");
  }

  #fail(error: CairnError): void {
    const details = `no server of the cluster answers: ${error.message}`;
    const failure = experimental.statusOrFromError<Endpoint[]>({
      code: Status.UNAVAILABLE,
      details,
    });
    this.#listener(failure, {}, null, details);
  }
}

function hasLeader(servers: readonly Server[]): boolean {
  return servers.some(({ isLeader }) => isLeader);
}

/** `cairn:///a:1,b:2` and `cairn://a:1` both name addresses. */
function addressesIn({ authority, path }: GrpcUri): string[] {
  return `${authority ?? ""},${path.replace(/^\//, "")}`.split(",").filter((part) => part !== "");
}

function endpointOf(address: string): Endpoint {
  const parts = experimental.splitHostPort(address);
  return { addresses: [{ host: parts?.host ?? address, port: parts?.port ?? 443 }] };
}

function addressOf(endpoint: Endpoint): string {
  return experimental.endpointToString(endpoint);
}

/** Names the method to the picker. */
const SELECTOR: experimental.ConfigSelector = {
  invoke: (method) => ({
    methodConfig: { name: [] },
    pickInformation: { [METHOD]: method },
    status: Status.OK,
    dynamicFilterFactories: [],
  }),
  unref: () => undefined,
};

class CairnConfig implements TypedLoadBalancingConfig {
  static createFromJson(): CairnConfig {
    return new CairnConfig();
  }

  getLoadBalancerName(): string {
    return SCHEME;
  }

  toJsonObject(): object {
    return { [SCHEME]: {} };
  }
}

/** Keeps a connection to every server and makes a picker of those that are ready. */
class CairnBalancer implements LoadBalancer {
  readonly #channel: ChannelControlHelper;
  readonly #children = new Map<string, experimental.LeafLoadBalancer>();
  #leader: string | null = null;
  #lastError: string | null = null;
  #isPaused = false;
  /** Goes on from picker to picker, or followers would be picked by how often states change. */
  readonly #turn = { next: 0 };

  constructor(channel: ChannelControlHelper) {
    this.#channel = channel;
  }

  updateAddressList(
    endpoints: experimental.StatusOr<Endpoint[]>,
    _config: TypedLoadBalancingConfig,
    options: ChannelOptions,
    note: string,
  ): boolean {
    if (!endpoints.ok) {
      this.#lastError = endpoints.error.details;
      this.#changed();
      return true;
    }
    const leader = (options[LEADER_OPTION] as string | null | undefined) ?? null;
    this.#leader = leader === null ? null : addressOf(endpointOf(leader));
    this.#isPaused = true;
    const wanted = new Set(endpoints.value.map(addressOf));
    for (const [address, child] of this.#children) {
      if (wanted.has(address)) continue;
      child.destroy();
      this.#children.delete(address);
    }
    for (const endpoint of endpoints.value) {
      if (this.#children.has(addressOf(endpoint))) continue;
      const child = this.#childFor(endpoint, options, note);
      this.#children.set(addressOf(endpoint), child);
      child.startConnecting();
    }
    this.#isPaused = false;
    this.#changed();
    return true;
  }

  exitIdle(): void {
    for (const child of this.#children.values()) child.exitIdle();
  }

  resetBackoff(): void {}

  destroy(): void {
    for (const child of this.#children.values()) child.destroy();
    this.#children.clear();
  }

  getTypeName(): string {
    return SCHEME;
  }

  #childFor(
    endpoint: Endpoint,
    options: ChannelOptions,
    note: string,
  ): experimental.LeafLoadBalancer {
    let wasReady = false;
    const helper = experimental.createChildChannelControlHelper(this.#channel, {
      updateState: (state, _picker, error) => {
        if (error !== null) this.#lastError = error;
        // A server that is gone may have led: ask who does now.
        if (wasReady && state !== ConnectivityState.READY) this.#channel.requestReresolution();
        wasReady = state === ConnectivityState.READY;
        this.#changed();
      },
    });
    return new experimental.LeafLoadBalancer(endpoint, helper, options, note);
  }

  #changed(): void {
    if (this.#isPaused) return;
    const ready = new Map<string, Picker>();
    let isConnecting = false;
    for (const [address, child] of this.#children) {
      const state = child.getConnectivityState();
      if (state === ConnectivityState.READY) ready.set(address, child.getPicker());
      else if (state === ConnectivityState.IDLE) child.exitIdle();
      isConnecting ||= state === ConnectivityState.CONNECTING || state === ConnectivityState.IDLE;
    }
    if (ready.size > 0) {
      const again = () => this.#channel.requestReresolution();
      const picker = new CairnPicker(ready, this.#leader, this.#turn, again);
      this.#channel.updateState(ConnectivityState.READY, picker, null);
    } else if (isConnecting || this.#lastError === null) {
      const picker = new experimental.QueuePicker(this);
      this.#channel.updateState(ConnectivityState.CONNECTING, picker, null);
    } else {
      const details = `no server is reachable: ${this.#lastError}`;
      const picker = new experimental.UnavailablePicker({ details });
      this.#channel.updateState(ConnectivityState.TRANSIENT_FAILURE, picker, details);
    }
  }
}

const QUEUED: PickResult = {
  pickResultType: experimental.PickResultType.QUEUE,
  subchannel: null,
  status: null,
  onCallStarted: null,
  onCallEnded: null,
};

/** One picture of who is ready and who leads. */
class CairnPicker implements Picker {
  readonly #leader: Picker | null;
  readonly #followers: readonly Picker[];
  readonly #all: readonly Picker[];
  readonly #turn: { next: number };
  readonly #askAgain: () => void;

  constructor(
    ready: ReadonlyMap<string, Picker>,
    leader: string | null,
    turn: { next: number },
    askAgain: () => void,
  ) {
    this.#leader = leader === null ? null : (ready.get(leader) ?? null);
    this.#followers = [...ready].filter(([address]) => address !== leader).map(([, one]) => one);
    this.#all = [...ready.values()];
    this.#turn = turn;
    this.#askAgain = askAgain;
  }

  /** A call for the leader waits while none is ready. */
  pick(call: PickArgs): PickResult {
    const path = call.extraPickInfo[METHOD] ?? "";
    const method = path.slice(path.lastIndexOf("/") + 1);
    const picker = this.#pickerFor(method);
    if (picker === null) {
      this.#askAgain();
      return QUEUED;
    }
    const picked = picker.pick(call);
    if (picked.pickResultType !== experimental.PickResultType.COMPLETE) return picked;
    return {
      ...picked,
      onCallEnded: (code, details, metadata) => {
        picked.onCallEnded?.(code, details, metadata);
        if (isNotLeader(code, metadata)) this.#askAgain();
      },
    };
  }

  #pickerFor(method: string): Picker | null {
    if (LEADERS_METHODS.has(method)) return this.#leader;
    if (READS.has(method) && this.#followers.length > 0) return this.#next(this.#followers);
    return this.#next(this.#all);
  }

  #next(pickers: readonly Picker[]): Picker | null {
    const place = this.#turn.next++ % Math.max(1, pickers.length);
    return pickers[place] ?? null;
  }
}

/** Our servers name the leader they know in a trailer, and are UNAVAILABLE while they know none. */
function isNotLeader(code: Status, metadata: Metadata): boolean {
  if (code === Status.UNAVAILABLE) return true;
  return code === Status.FAILED_PRECONDITION && metadata.get("cairn-leader").length > 0;
}
