// What clients ask of a node, each request given to the part that answers it, or refused where this
// node is not the one to ask. Owns who may answer what; the answers are the parts'.

import { unreachable } from "../base/assert.ts";
import type { Answer, ClientRequest } from "../base/client.ts";
import type { Fault } from "../base/faults.ts";
import type { Instant, RequestId } from "../base/ids.ts";
import type { Administration, AdminRequest } from "./administration.ts";
import type { AppendRequest, Appends } from "./appends.ts";
import type { Backups } from "./backups.ts";
import type { Fetches, Readable } from "./fetches.ts";
import type { OutputDraft } from "./output.ts";
import type { ReadIndexRequest, Reads } from "./reads.ts";
import type { Replica } from "./replica.ts";

export interface RequestParts {
  readonly replica: Replica;
  readonly appends: Appends;
  readonly fetches: Fetches;
  readonly reads: Reads;
  readonly backups: Backups;
  readonly admin: Administration;
  readonly output: OutputDraft;
  readonly standing: Standing;
}

/** What the node is at the moment that a request comes. */
export interface Standing {
  /** Why it answers nothing of its own accord; null while it serves. */
  notServing(): Fault | null;
  /** The same for what is committed on its disk, which a poisoned node still reads. */
  notReading(): Fault | null;
  notLeader(): Fault;
}

export class Requests {
  readonly #parts: RequestParts;
  readonly #toldLeader = (): Fault => this.#parts.standing.notLeader();

  constructor(parts: RequestParts) {
    this.#parts = parts;
  }

  request(now: Instant, request: ClientRequest): void {
    switch (request.kind) {
      case "append":
        this.#append(now, request);
        return;
      case "fetch":
        this.#fetch(request);
        return;
      case "check-tail":
        this.#findReadIndex(now, request);
        return;
      case "begin-backup":
        this.#beginBackup(now, request);
        return;
      case "read-backup":
        this.#parts.backups.read(now, request);
        return;
      case "read-cursors":
        this.#readCursors(request.requestId, request.names);
        return;
      case "change-membership":
      case "transfer-leadership":
        this.#administer(now, request);
        return;
      case "cancel":
        this.#cancel(request.requestId);
        return;
      default:
        unreachable(request);
    }
  }

  /** What readers may have by now. */
  get readable(): Readable {
    const { committed, startOffset } = this.#parts.replica.state;
    return { commitIndex: committed.index, startOffset, endOffset: committed.endOffset };
  }

  #append(now: Instant, request: AppendRequest): void {
    const { appends, standing } = this.#parts;
    const fault = standing.notServing();
    if (fault !== null) appends.refuse(request.requestId, fault);
    else appends.request(now, request, this.#toldLeader);
  }

  #fetch(fetch: Extract<ClientRequest, { kind: "fetch" }>): void {
    const fault = this.#parts.standing.notReading();
    if (fault !== null) this.#refuse(fetch.requestId, fault);
    else this.#parts.fetches.request(fetch, this.readable);
  }

  #readCursors(requestId: RequestId, names: readonly string[] | null): void {
    const { standing, replica, output } = this.#parts;
    const fault = standing.notServing();
    const answer: Answer =
      fault === null
        ? { kind: "cursors", requestId, cursors: replica.state.committedCursors(names) }
        : { kind: "fault", requestId, fault };
    output.answer(answer);
  }

  #cancel(requestId: RequestId): void {
    const { fetches, reads, backups } = this.#parts;
    if (fetches.maybeCancel(requestId) || reads.maybeCancel(requestId)) return;
    backups.cancel(requestId);
  }

  #beginBackup(now: Instant, request: Extract<ClientRequest, { kind: "begin-backup" }>): void {
    const fault = this.#parts.backups.refusal;
    if (fault !== null) this.#refuse(request.requestId, fault);
    else this.#findReadIndex(now, request);
  }

  #findReadIndex(now: Instant, request: ReadIndexRequest): void {
    const { standing, replica, reads } = this.#parts;
    // Who has not heard yet who the members are cannot tell whose answer counts.
    const isMember = replica.state.membership.members.length > 0;
    const anywhere = standing.notServing() ?? (isMember ? null : standing.notLeader());
    const fault = request.within === undefined ? this.#refusalHere() : anywhere;
    if (fault !== null) this.#refuse(request.requestId, fault);
    else replica.consult(now, reads.request(now, request));
  }

  #administer(now: Instant, request: AdminRequest): void {
    const fault = this.#refusalHere();
    if (fault === null) this.#parts.admin.request(now, request);
    else this.#refuse(request.requestId, fault);
  }

  #refuse(requestId: RequestId, fault: Fault): void {
    this.#parts.output.answer({ kind: "fault", requestId, fault });
  }

  /** Why what only a leader does is not done here; null where this node leads. */
  #refusalHere(): Fault | null {
    const { standing, replica } = this.#parts;
    const isLeader = replica.raft?.role === "leader";
    return standing.notServing() ?? (isLeader ? null : standing.notLeader());
  }
}
