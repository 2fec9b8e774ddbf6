// All observers of a run as one, each heard in the order given; the hooks that nobody has cost
// nothing, and those of every turn, frame and disk operation little.

import type { FrozenBytes } from "../src/base/bytes.ts";
import type { DiskOperation, DiskResult } from "../src/base/disk.ts";
import type { NodeId } from "../src/base/ids.ts";
import { decodeMessage } from "../src/node/wire.ts";
import { RouteBytes } from "../src/node/wire-head.ts";
import type { Lane } from "../src/ports/network.ts";
import type { RaftMessage, RaftStatus } from "../src/raft/protocol.ts";
import type { Computer, Observer } from "./observer.ts";

type Hook = keyof Observer;
type Having<H extends Hook> = Observer & Required<Pick<Observer, H>>;

export class Audience {
  readonly #observers: readonly Observer[];
  readonly #batchBytesMax: number;
  /** By place of the sender, and by peer: what its messages to that peer begin with. */
  readonly #routes: Map<NodeId, RouteBytes>[] = [];
  readonly #afterTurn: readonly Having<"afterTurn">[];
  readonly #raftChanged: readonly Having<"raftChanged">[];
  readonly #operationSubmitted: readonly Having<"operationSubmitted">[];
  readonly #operationCompleted: readonly Having<"operationCompleted">[];
  readonly #frameSent: readonly Having<"frameSent">[];
  readonly #frameTaken: readonly Having<"frameTaken">[];

  /** `batchBytesMax` bounds what is decoded of a frame, as in a node. */
  constructor(observers: readonly Observer[], batchBytesMax: number) {
    this.#observers = observers;
    this.#batchBytesMax = batchBytesMax;
    this.#afterTurn = having(observers, "afterTurn");
    this.#raftChanged = having(observers, "raftChanged");
    this.#operationSubmitted = having(observers, "operationSubmitted");
    this.#operationCompleted = having(observers, "operationCompleted");
    this.#frameSent = having(observers, "frameSent");
    this.#frameTaken = having(observers, "frameTaken");
  }

  /** Calls one hook of everybody who has it. */
  tell<H extends Hook>(hook: H, ...facts: Parameters<NonNullable<Observer[H]>>): void {
    for (const observer of this.#observers) {
      const heard = observer[hook] as ((...facts: unknown[]) => void) | undefined;
      heard?.apply(observer, facts);
    }
  }

  // PERF: what happens at every event is told without a list of facts.

  tellTurn(node: Computer): void {
    for (const observer of this.#afterTurn) observer.afterTurn(node);
  }

  tellRaft(node: Computer, raft: RaftStatus): void {
    for (const observer of this.#raftChanged) observer.raftChanged(node, raft);
  }

  tellSubmitted(node: Computer, operation: DiskOperation): void {
    for (const observer of this.#operationSubmitted) observer.operationSubmitted(node, operation);
  }

  tellCompleted(node: Computer, operation: DiskOperation, result: DiskResult): void {
    for (const observer of this.#operationCompleted)
      observer.operationCompleted(node, operation, result);
  }

  /**
   * Decodes the frame once, and only when somebody wants it; returns what it says to be told again
   * when the frame is taken.
   */
  tellFrame(from: Computer, to: NodeId, lane: Lane, frame: FrozenBytes): RaftMessage | null {
    if (this.#frameSent.length === 0) return null;
    const routes = this.#routesOf(from);
    const known = routes.get(to) ?? null;
    const decoded = decodeMessage(frame, this.#batchBytesMax, known);
    if (known === null && decoded.kind === "hello") routes.set(to, new RouteBytes(decoded.route));
    const message = decoded.kind === "raft" ? decoded.message : null;
    for (const observer of this.#frameSent) observer.frameSent(from, to, lane, frame, message);
    return message;
  }

  #routesOf({ place }: Computer): Map<NodeId, RouteBytes> {
    let routes = this.#routes[place];
    if (routes === undefined) {
      routes = new Map();
      this.#routes[place] = routes;
    }
    return routes;
  }

  /** The frame that said `message` is in the mailbox of `node`. */
  tellTaken(node: Computer, from: NodeId, message: RaftMessage | null): void {
    for (const observer of this.#frameTaken) observer.frameTaken(node, from, message);
  }
}

function having<H extends Hook>(observers: readonly Observer[], hook: H): Having<H>[] {
  return observers.filter((observer): observer is Having<H> => observer[hook] !== undefined);
}
