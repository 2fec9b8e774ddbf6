// The output of a node while a turn is still making it.

import type { Answer } from "../base/client.ts";
import type { DiskOperation } from "../base/disk.ts";
import type { Notice } from "../base/notice.ts";
import type { LinksOutput } from "./links.ts";
import type { Dial, LinkClose, LinkSend, NodeOutput, Stopped } from "./protocol.ts";

export class OutputDraft {
  #operations: DiskOperation[] = [];
  #dials: Dial[] = [];
  #sends: LinkSend[] = [];
  #closes: LinkClose[] = [];
  #answers: Answer[] = [];
  #notices: Notice[] = [];
  #stopped: Stopped | null = null;
  #empty = true;

  operations(operations: readonly DiskOperation[]): void {
    for (const operation of operations) this.#operations.push(operation);
    if (operations.length > 0) this.#empty = false;
  }

  links(links: LinksOutput): void {
    this.#dials.push(...links.dials);
    for (const send of links.sends) this.#sends.push(send);
    this.#closes.push(...links.closes);
    this.#notices.push(...links.notices);
    this.#empty = false;
  }

  answer(answer: Answer): void {
    this.#answers.push(answer);
    this.#empty = false;
  }

  notice(level: Notice["level"], what: string, facts: Notice["facts"]): void {
    this.#notices.push({ level, what, facts });
    this.#empty = false;
  }

  stopped(how: Stopped): void {
    this.#stopped = how;
    this.#empty = false;
  }

  /** Everything since the last take; null when there is nothing. */
  take(): NodeOutput | null {
    if (this.#empty) return null;
    const output: NodeOutput = {
      operations: this.#operations,
      dials: this.#dials,
      sends: this.#sends,
      closes: this.#closes,
      answers: this.#answers,
      notices: this.#notices,
      stopped: this.#stopped,
    };
    this.#operations = [];
    this.#dials = [];
    this.#sends = [];
    this.#closes = [];
    this.#answers = [];
    this.#notices = [];
    this.#stopped = null;
    this.#empty = true;
    return output;
  }
}
