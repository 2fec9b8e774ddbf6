// The mail of one node, by class, each with its bound: what is full refuses, so that a flood of one
// kind takes no room from another. Disk completions are never refused; the node bounds how many are
// under way.

import { assert } from "../base/assert.ts";
import type { NodeEvent } from "./protocol.ts";

/** In the order they are taken. */
export const MAIL_CLASSES = [
  "disk",
  "admin",
  "peer-control",
  "peer-bulk",
  // That a link is closed, heard after all that still came on it.
  "peer-gone",
  "client-write",
  "client-read",
] as const;

/** What must not be refused; the node itself bounds how much of it there can be. */
const UNBOUNDED: ReadonlySet<string> = new Set(["disk", "admin", "peer-gone"]);

export type MailClass = (typeof MAIL_CLASSES)[number];

/** Whether mail of this class is refused when there is too much of it. */
export function isBoundedMail(mailClass: MailClass): boolean {
  return !UNBOUNDED.has(mailClass);
}

export class Mailbox {
  readonly #eventsMax: number;
  readonly #byClass: Record<MailClass, Queue> = {
    disk: new Queue(isBoundedMail("disk")),
    admin: new Queue(isBoundedMail("admin")),
    "peer-control": new Queue(isBoundedMail("peer-control")),
    "peer-bulk": new Queue(isBoundedMail("peer-bulk")),
    "peer-gone": new Queue(isBoundedMail("peer-gone")),
    "client-write": new Queue(isBoundedMail("client-write")),
    "client-read": new Queue(isBoundedMail("client-read")),
  };
  /** In the order of MAIL_CLASSES. */
  readonly #queues = MAIL_CLASSES.map((mailClass) => this.#byClass[mailClass]);
  #size = 0;

  /** `eventsMax` bounds each class but "disk", "admin" and "peer-gone". */
  constructor(eventsMax: number) {
    this.#eventsMax = eventsMax;
  }

  get size(): number {
    return this.#size;
  }

  /** How much there is of each class. */
  sizes(): Readonly<Record<MailClass, number>> {
    const queues = this.#byClass;
    return {
      disk: queues.disk.size,
      admin: queues.admin.size,
      "peer-control": queues["peer-control"].size,
      "peer-bulk": queues["peer-bulk"].size,
      "peer-gone": queues["peer-gone"].size,
      "client-write": queues["client-write"].size,
      "client-read": queues["client-read"].size,
    };
  }

  /** True while something a peer said was not heard yet: time must not pass before it. */
  get peersWait(): boolean {
    return this.#byClass["peer-control"].size > 0 || this.#byClass["peer-bulk"].size > 0;
  }

  /** False when the class is full: nothing was taken. */
  offer(mailClass: MailClass, event: NodeEvent): boolean {
    const queue = this.#byClass[mailClass];
    if (queue.isBounded && queue.size >= this.#eventsMax) return false;
    queue.push(event);
    this.#size++;
    return true;
  }

  /** At most `count` events, class by class, each class in order of arrival. */
  take(count: number): NodeEvent[] {
    const taken: NodeEvent[] = [];
    for (const queue of this.#queues) {
      if (queue.size === 0 || (queue === this.#byClass["peer-gone"] && this.peersWait)) continue;
      // A class may not starve those after it: each gets at least its part of the turn.
      const share = Math.max(count - taken.length, Math.ceil(count / MAIL_CLASSES.length));
      for (let left = Math.min(share, queue.size); left > 0; left--) taken.push(queue.shift());
    }
    this.#size -= taken.length;
    return taken;
  }
}

/** First in, first out, in amortised constant time. */
class Queue {
  readonly isBounded: boolean;
  #items: NodeEvent[] = [];
  #from = 0;

  constructor(isBounded: boolean) {
    this.isBounded = isBounded;
  }

  get size(): number {
    return this.#items.length - this.#from;
  }

  push(event: NodeEvent): void {
    this.#items.push(event);
  }

  shift(): NodeEvent {
    const event = this.#items[this.#from];
    assert(event !== undefined, "an empty queue has nothing to take");
    this.#from++;
    if (this.#from === this.#items.length) {
      this.#items = [];
      this.#from = 0;
    }
    return event;
  }
}
