// All observers of a run as one, each heard in the order given; the hooks that nobody has cost
// nothing.

import type { FrozenBytes } from "../src/base/bytes.ts";
import type { NodeId } from "../src/base/ids.ts";
import { decodeMessage } from "../src/node/wire.ts";
import type { Lane } from "../src/ports/network.ts";
import type { RaftMessage } from "../src/raft/protocol.ts";
import type { Computer, Observer } from "./observer.ts";

type Hook = keyof Observer;

export class Audience {
  readonly #byHook = new Map<Hook, readonly Observer[]>();
  readonly #observers: readonly Observer[];
  readonly #batchBytesMax: number;
  /** Of the frames that are under way. */
  readonly #messages = new WeakMap<FrozenBytes, RaftMessage>();

  /** `batchBytesMax` bounds what is decoded of a frame, as in a node. */
  constructor(observers: readonly Observer[], batchBytesMax: number) {
    this.#observers = observers;
    this.#batchBytesMax = batchBytesMax;
  }

  /** Calls one hook of everybody who has it. */
  tell<H extends Hook>(hook: H, ...facts: Parameters<NonNullable<Observer[H]>>): void {
    for (const observer of this.#having(hook)) {
      const heard = observer[hook] as (...facts: unknown[]) => void;
      heard.apply(observer, facts);
    }
  }

  /** Decodes the frame once, and only when somebody wants it. */
  tellFrame(from: Computer, to: NodeId, lane: Lane, frame: FrozenBytes): void {
    const observers = this.#having("frameSent");
    if (observers.length === 0) return;
    const decoded = decodeMessage(frame, this.#batchBytesMax);
    const message = decoded.kind === "raft" ? decoded.message : null;
    if (message !== null) this.#messages.set(frame, message);
    for (const observer of observers) observer.frameSent?.(from, to, lane, frame, message);
  }

  /** The frame is in the mailbox of `node`. */
  tellTaken(node: Computer, from: NodeId, frame: FrozenBytes): void {
    const message = this.#messages.get(frame) ?? null;
    for (const observer of this.#having("frameTaken")) observer.frameTaken?.(node, from, message);
  }

  #having(hook: Hook): readonly Observer[] {
    let having = this.#byHook.get(hook);
    if (having === undefined) {
      having = this.#observers.filter((observer) => observer[hook] !== undefined);
      this.#byHook.set(hook, having);
    }
    return having;
  }
}
