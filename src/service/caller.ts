// One call as the service sees it: who asks, and word that they no longer care. Made by whatever
// carries the calls; owns no transport.

export class Caller {
  /** The verified certificate's common name; null when nobody verified one. */
  readonly subject: string | null;
  #gone = false;
  #onGone: (() => void) | null = null;

  constructor(subject: string | null) {
    this.subject = subject;
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
