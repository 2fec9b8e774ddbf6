// How a simulated client takes a backup: part after part from one node, by the same requests as the
// service, made into the same files by the same code, and read back as `cairn restore` does. Owns
// the asking and giving up; what must hold of what came is sim/checks/backups.ts.

import { concat, freeze } from "../src/base/bytes.ts";
import type { BackupBegun, BackupPart } from "../src/base/client.ts";
import type { EntryHead } from "../src/base/entry.ts";
import type { Micros, RequestId } from "../src/base/ids.ts";
import type { Checkpoint } from "../src/log/checkpoint.ts";
import {
  BackupDamage,
  type BackupOwner,
  type BackupPiece,
  BackupReader,
  BackupWriter,
} from "../src/service/backup-files.ts";

import { joined } from "../src/service/backup-requests.ts";
import type { RequestMaker } from "./client-path.ts";
import type { SimComputer } from "./computer.ts";
import type { BackupFacts, Call } from "./history.ts";
import type { PlannedOperation } from "./plan.ts";
import { ATTEMPT_MICROS, type Caller } from "./sim-caller.ts";

type PlannedBackup = Extract<PlannedOperation, { kind: "backup" }>;

/** Small, so that a backup has some. */
const STORE_BYTES = 4096;
const CLUSTER_ID = "0".repeat(32);
/** What is asked for once nothing new may begin: all that is left, and at once. */
const LAST_PART_BYTES = 1024 * 1024;

interface UnderWay {
  readonly call: Call;
  readonly computer: SimComputer;
  readonly planned: PlannedBackup;
  readonly backupId: RequestId;
  readonly life: number;
  readonly backup: BackupBegun;
  readonly owner: BackupOwner;
  readonly writer: BackupWriter;
  readonly pieces: BackupPiece[];
  readonly then: () => void;
}

export class ClientBackups {
  readonly #caller: Caller;

  constructor(caller: Caller) {
    this.#caller = caller;
  }

  take(planned: PlannedBackup, then: () => void): void {
    const { room, id } = this.#caller;
    const computer = room.target(planned.node);
    const call = room.history.begin(id, { kind: "backup", node: computer.name }, room.timeline.now);
    call.attempts = 1;
    const within = ATTEMPT_MICROS as Micros;
    const make: RequestMaker = (requestId) => ({ kind: "begin-backup", requestId, within });
    const backupId = this.#caller.ask(computer, make, 2 * ATTEMPT_MICROS, (reply) => {
      const answer = reply?.answer ?? null;
      if (reply === null || answer?.kind !== "backup-begun") {
        this.#giveUp(call, computer, backupId, answer?.kind === "fault" ? answer.fault.code : null);
        then();
        return;
      }
      const { backup } = answer;
      const owner = { clusterId: CLUSTER_ID, instanceId: backup.instanceId };
      const writer = new BackupWriter(owner, backup.base, STORE_BYTES);
      const rest = { backupId, life: reply.life, backup, owner, writer, pieces: [], then };
      this.#next({ call, computer, planned, ...rest });
    });
  }

  #next(way: UnderWay): void {
    const { computer, planned, backupId, call } = way;
    const { isClosing } = this.#caller.room;
    const bytesMax = isClosing ? LAST_PART_BYTES : planned.partBytes;
    const make: RequestMaker = (requestId) => {
      return { kind: "read-backup", requestId, backupId, bytesMax };
    };
    this.#caller.after(isClosing ? 0 : planned.pauseMs * 1000, () => {
      this.#caller.ask(computer, make, ATTEMPT_MICROS, (reply) => {
        const answer = reply?.answer ?? null;
        if (answer?.kind === "backup-part") {
          this.#took(way, answer.part);
          return;
        }
        const code = answer?.kind === "fault" ? answer.fault.code : null;
        this.#giveUp(call, computer, backupId, code);
        way.then();
      });
    });
  }

  #took(way: UnderWay, part: BackupPart): void {
    way.pieces.push(...joined(way.writer.take(part)));
    if (part.kind !== "end") {
      this.#next(way);
      return;
    }
    this.#caller.finish(way.call, "ok", readBack(way));
    way.then();
  }

  /** Says so to the node, which may not hear it. */
  #giveUp(
    call: Call,
    computer: SimComputer,
    requestId: RequestId,
    code: Extract<NonNullable<Call["facts"]>, { kind: "fault" }>["code"] | null,
  ): void {
    const make: RequestMaker = () => ({ kind: "cancel", requestId });
    this.#caller.room.path.ask(computer, make, () => undefined);
    this.#caller.finish(call, "fail", code === null ? null : { kind: "fault", code });
  }
}

/** The files as they would stand in a directory, read in their order. */
function readBack({ computer, life, backup, owner, pieces }: UnderWay): BackupFacts {
  const { cut, startOffset } = backup;
  const heads: EntryHead[] = [];
  let base: Checkpoint | null = null;
  let damage: string | null = null;
  const reader = new BackupReader(owner);
  let parts: Uint8Array[] = [];
  try {
    for (const piece of pieces) {
      if (piece.kind === "bytes") {
        parts.push(piece.bytes);
        continue;
      }
      const content = reader.read(piece.file.name, freeze(concat(parts)));
      parts = [];
      if (content.kind === "checkpoint") base = content.checkpoint;
      else heads.push(...content.entries);
    }
  } catch (error) {
    if (!(error instanceof BackupDamage)) throw error;
    damage = error.message;
  }
  const node = computer.name;
  const endOffset = cut.endOffset;
  return { kind: "backup", node, life, cut, startOffset, endOffset, base, heads, damage };
}
