// Cursors and the fence as clients ask for them: names checked, each cursor behind a right of its
// own, reads as fresh as the caller wants them. Owns no request ids and no encoding: log-service.ts
// gives it the questions it asks of the node.

import type { Answer, CursorInfo } from "../base/client.ts";
import { type Control, CURSOR_NAME_BYTES_MAX, controlDraft } from "../base/control.ts";
import type { Draft } from "../base/entry.ts";
import type { Fault } from "../base/faults.ts";
import type { Offset, WallMs } from "../base/ids.ts";
import { encodeUtf8 } from "../base/utf8.ts";
import type { Need } from "./access.ts";
import type { Caller } from "./caller.ts";

export interface CommitCursorRequest {
  readonly name: string;
  /** What the consumer wants next. */
  readonly offset: number;
  /** 0: never forgotten. */
  readonly ttlMs: number;
  /** Where the consumer believes it to be: undefined anywhere, null nowhere. */
  readonly expected: number | null | undefined;
}

export interface DeleteCursorRequest {
  readonly name: string;
  readonly expected: number | undefined;
}

export interface CursorsRequest {
  /** A name, or the beginning of names. */
  readonly name: string;
  readonly consistency: "local" | "leader" | "linearizable";
}

export interface FenceRequest {
  /** Empty takes the fence away. */
  readonly token: string;
  readonly expected: string | undefined;
}

export type Done = { readonly kind: "done" };
export type Cursors = { readonly kind: "cursors"; readonly cursors: readonly CursorInfo[] };
type Faulted = { readonly kind: "fault"; readonly fault: Fault };

/** What a control asks of the log besides its place. */
export interface ControlConditions {
  readonly expectedCursor?: Offset | null;
  readonly fencingToken?: string;
}

/** What this asks of the rest of the service. */
export interface CursorQuestions {
  refusal(caller: Caller, need: Need): Fault | null;
  wall(): WallMs;
  append(caller: Caller, draft: Draft, conditions: ControlConditions): Promise<Answer>;
  readCursors(caller: Caller, names: readonly string[] | null): Promise<Answer>;
  /** Null when this member is as fresh as wanted now. */
  freshen(caller: Caller, consistency: CursorsRequest["consistency"]): Promise<Fault | null>;
}

export class CursorRequests {
  readonly #ask: CursorQuestions;

  constructor(questions: CursorQuestions) {
    this.#ask = questions;
  }

  commit(caller: Caller, request: CommitCursorRequest): Promise<Done | Faulted> {
    const { name, ttlMs, expected } = request;
    const offset = request.offset as Offset;
    const at = expected === undefined ? {} : { expectedCursor: expected as Offset | null };
    return this.#move(caller, { kind: "cursor", name, offset, ttlMs }, at);
  }

  delete(caller: Caller, { name, expected }: DeleteCursorRequest): Promise<Done | Faulted> {
    const at = expected === undefined ? {} : { expectedCursor: expected as Offset };
    return this.#move(caller, { kind: "cursor", name, offset: null, ttlMs: 0 }, at);
  }

  async fetch(caller: Caller, request: CursorsRequest): Promise<Cursors | Faulted> {
    const { name, consistency } = request;
    const fault = this.#refusal(caller, name) ?? (await this.#ask.freshen(caller, consistency));
    if (fault !== null) return { kind: "fault", fault };
    const answer = await this.#ask.readCursors(caller, [name]);
    if (answer.kind !== "cursors") return faulted(answer);
    if (answer.cursors.length > 0) return answer;
    return { kind: "fault", fault: { code: "cursor-not-found", name } };
  }

  /** Those that the caller may read; names that begin so, ascending. */
  async list(caller: Caller, request: CursorsRequest): Promise<Cursors | Faulted> {
    const { name: prefix, consistency } = request;
    const fault = await this.#ask.freshen(caller, consistency);
    if (fault !== null) return { kind: "fault", fault };
    const answer = await this.#ask.readCursors(caller, null);
    if (answer.kind !== "cursors") return faulted(answer);
    const begins = answer.cursors.filter(({ name }) => name.startsWith(prefix));
    const cursors = begins.filter(({ name }) => this.#refusal(caller, name) === null);
    return { kind: "cursors", cursors };
  }

  async fence(caller: Caller, { token, expected }: FenceRequest): Promise<Done | Faulted> {
    if (encodeUtf8(token).length > CURSOR_NAME_BYTES_MAX) {
      const what = `token: more than ${CURSOR_NAME_BYTES_MAX} bytes`;
      return { kind: "fault", fault: { code: "malformed", what } };
    }
    const conditions = expected === undefined ? {} : { fencingToken: expected };
    return this.#append(caller, { kind: "fence", token }, conditions);
  }

  async #move(
    caller: Caller,
    control: Extract<Control, { kind: "cursor" }>,
    conditions: ControlConditions,
  ): Promise<Done | Faulted> {
    const fault = this.#refusal(caller, control.name);
    if (fault !== null) return { kind: "fault", fault };
    return this.#append(caller, control, conditions);
  }

  async #append(
    caller: Caller,
    control: Control,
    conditions: ControlConditions,
  ): Promise<Done | Faulted> {
    const draft = controlDraft(control, this.#ask.wall());
    const answer = await this.#ask.append(caller, draft, conditions);
    return answer.kind === "appended" ? { kind: "done" } : faulted(answer);
  }

  #refusal(caller: Caller, name: string): Fault | null {
    const bytes = encodeUtf8(name).length;
    if (bytes === 0 || bytes > CURSOR_NAME_BYTES_MAX) {
      const what = `name: a cursor's name is 1 to ${CURSOR_NAME_BYTES_MAX} bytes`;
      return { code: "malformed", what };
    }
    return this.#ask.refusal(caller, { object: `cursor/${name}`, action: "consume" });
  }
}

function faulted(answer: Answer): Faulted {
  return answer.kind === "fault"
    ? answer
    : { kind: "fault", fault: { code: "not-serving", state: "stopping" } };
}
