// A backup as a stream: asks the node for one part after the other, each once the one before was
// taken, and makes the files of it. Owns the pace and the end: whatever ends the stream lets go of
// what the node holds back for it. The cut and the pin are the node's (src/node/backups.ts), the
// files src/service/backup-files.ts, access the access table's.

import type { Answer, BackupBegun, ClientRequest, NodeStatus } from "../base/client.ts";
import type { Fault } from "../base/faults.ts";
import type { Micros, RequestId } from "../base/ids.ts";
import { ADMIN, type Need } from "./access.ts";
import { type BackupFile, type BackupPiece, BackupWriter } from "./backup-files.ts";
import type { Caller } from "./caller.ts";

/** What is asked of the log at once, and about what one message carries. */
export const BACKUP_PART_BYTES = 256 * 1024;

/** Whose log it is, and up to where. */
export interface BackupHead {
  readonly node: string;
  /** host:port where it serves, as the cluster knows it; empty when it is no member. */
  readonly address: string;
  readonly clusterId: string;
  readonly instanceId: string;
  /** The highest that the node has seen. */
  readonly term: number;
  /** Of the entry before the first that is in it; 0 when it begins with the log's first. */
  readonly baseIndex: number;
  readonly lastIndex: number;
  readonly lastTerm: number;
  /** Of the first record that readers may have. */
  readonly startOffset: number;
  readonly endOffset: number;
  /** A user's own machine applies the log there. */
  readonly hasMachine: boolean;
  /** About so many are to come. */
  readonly bytes: number;
}

/** What the stream consists of: one head, the files' bytes, each file once whole, one end. */
export type BackupMessage =
  | { readonly kind: "head"; readonly head: BackupHead }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "file"; readonly file: BackupFile }
  /** So many files were sent: without it the stream was cut short. */
  | { readonly kind: "end"; readonly files: number };

export interface BackupSink {
  /** Null when it was taken at once; else resolves when it is, or the caller is gone. */
  write(message: BackupMessage): Promise<void> | null;
}

export interface BackupQuestions {
  refusal(caller: Caller, need: Need): Fault | null;
  status(): NodeStatus | null;
  ask(caller: Caller, make: (requestId: RequestId) => ClientRequest): Promise<Answer>;
  /** The node forgets what was begun under this id. */
  letGo(requestId: RequestId): void;
}

export class BackupRequests {
  readonly #ask: BackupQuestions;
  readonly #within: Micros;

  /** `within`: how long a quorum is sought that confirms the index. */
  constructor(questions: BackupQuestions, within: Micros) {
    this.#ask = questions;
    this.#within = within;
  }

  /** Answers null once all was written, else what ended it. */
  async stream(caller: Caller, sink: BackupSink): Promise<Fault | null> {
    const refused = this.#ask.refusal(caller, ADMIN);
    if (refused !== null) return refused;
    const within = this.#within;
    const begun = await this.#ask.ask(caller, (requestId) => {
      return { kind: "begin-backup", requestId, within };
    });
    if (begun.kind !== "backup-begun") return faultOf(begun);
    const { requestId: backupId, backup } = begun;
    try {
      return await this.#send(caller, sink, backupId, backup);
    } finally {
      this.#ask.letGo(backupId);
    }
  }

  async #send(
    caller: Caller,
    sink: BackupSink,
    backupId: RequestId,
    backup: BackupBegun,
  ): Promise<Fault | null> {
    const head = headOf(backup, this.#ask.status());
    if (head === null) return { code: "not-serving", state: "stopping" };
    await sink.write({ kind: "head", head });
    const writer = new BackupWriter(head, backup.base);
    let files = 0;
    for (let isDone = false; !isDone; ) {
      if (caller.isGone) return { code: "cancelled" };
      const answer = await this.#ask.ask(caller, (requestId) => {
        return { kind: "read-backup", requestId, backupId, bytesMax: BACKUP_PART_BYTES };
      });
      if (answer.kind !== "backup-part") return faultOf(answer);
      // Once more before each part: a stream outlives a change of the rules.
      const fault = this.#ask.refusal(caller, ADMIN);
      if (fault !== null) return fault;
      isDone = answer.part.kind === "end";
      for (const message of joined(writer.take(answer.part))) {
        if (message.kind === "file") files++;
        await sink.write(message);
      }
    }
    await sink.write({ kind: "end", files });
    return null;
  }
}

function headOf(backup: BackupBegun, status: NodeStatus | null): BackupHead | null {
  if (status === null) return null;
  const { base, cut, startOffset, term, instanceId, hasMachine, bytes } = backup;
  const { name: node, clusterId, members } = status;
  const address = members.find(({ id }) => id === node)?.address ?? "";
  return {
    node,
    address,
    clusterId,
    instanceId,
    term,
    baseIndex: base?.at.index ?? 0,
    lastIndex: cut.index,
    lastTerm: cut.term,
    startOffset,
    endOffset: cut.endOffset,
    hasMachine,
    bytes,
  };
}

/** Small pieces together, up to about a part's size; a long one goes as it is, in slices. */
export function* joined(pieces: readonly BackupPiece[]): Generator<BackupPiece, void, undefined> {
  let waiting: Uint8Array[] = [];
  let length = 0;
  for (const piece of pieces) {
    if (piece.kind === "bytes") {
      waiting.push(piece.bytes);
      length += piece.bytes.length;
      if (length < BACKUP_PART_BYTES) continue;
    }
    yield* slices(waiting, length);
    waiting = [];
    length = 0;
    if (piece.kind === "file") yield piece;
  }
  yield* slices(waiting, length);
}

function* slices(
  parts: readonly Uint8Array[],
  length: number,
): Generator<BackupPiece, void, undefined> {
  if (length === 0) return;
  const bytes = new Uint8Array(length);
  let end = 0;
  for (const part of parts) {
    bytes.set(part, end);
    end += part.length;
  }
  for (let at = 0; at < length; at += BACKUP_PART_BYTES) {
    yield { kind: "bytes", bytes: bytes.subarray(at, at + BACKUP_PART_BYTES) };
  }
}

function faultOf(answer: Answer): Fault {
  return answer.kind === "fault" ? answer.fault : { code: "not-serving", state: "stopping" };
}
