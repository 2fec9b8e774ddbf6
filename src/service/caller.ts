// One call as the service sees it: who asks, from where, for how long, and word that they no longer
// care. Made by whatever carries the calls; owns no transport.

import type { Micros } from "../base/ids.ts";

/** Where a call came from, for the audit; read only when there is something to tell. */
export interface CallOrigin {
  /** As in the table of access.ts. */
  readonly method: string;
  /** The other end's address, or null where there is none. */
  readonly peer: string | null;
  /** The caller's own id for the call, or one that was drawn for it. */
  readonly requestId: string | null;
  /** A certificate was verified, whether or not it names a subject. */
  readonly isSecure: boolean;
  /** Where what happens to the call is told; null when nobody traces it. */
  readonly span: CallSpan | null;
}

/** A call's span, to whom its events are told. */
export interface CallSpan {
  /** It happened so long ago. */
  event(name: string, ago: Micros): void;
}

const INSIDE: CallOrigin = {
  method: "",
  peer: null,
  requestId: null,
  isSecure: false,
  span: null,
};

export class Caller {
  /** The verified certificate's subject; null when nobody verified one, or it names none. */
  readonly subject: string | null;
  readonly origin: CallOrigin;
  /** How long its caller was ready to wait when the call came; null when nobody said. */
  readonly patience: Micros | null;
  #gone = false;
  #onGone: (() => void) | null = null;

  constructor(subject: string | null, origin: CallOrigin = INSIDE, patience: Micros | null = null) {
    this.subject = subject;
    this.origin = origin;
    this.patience = patience;
  }

  /** The call was cancelled, its deadline passed or its connection broke. */
  get isGone(): boolean {
    return this.#gone;
  }

  /**
   * Says that nobody waits for the answer any more. Harmless after the answer, and when repeated.
   */
  leave(): void {
    this.#gone = true;
    const onGone = this.#onGone;
    this.#onGone = null;
    onGone?.();
  }

  /** Replaces what happens when the caller leaves; null when there is nothing to take back. */
  whenGone(take: (() => void) | null): void {
    this.#onGone = take;
  }
}
