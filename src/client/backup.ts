// A backup as the server streams it, checked for being whole: each file against its length and
// checksum, the stream for its end. Owns no route, no file and nothing of what the bytes mean.

import type { ClientReadableStream, ServiceError } from "@grpc/grpc-js";
import { crc32c } from "../base/crc32c.ts";
import {
  type BackupFileMessage,
  type BackupHeadMessage,
  decodeBackupResponse,
} from "../proto/cairn-backup.ts";
import { Malformed } from "../proto/fields.ts";
import { EMPTY_MESSAGE } from "../proto/log-v1.ts";
import type { Channel } from "./channel.ts";
import { CairnError } from "./errors.ts";

export type BackupHead = BackupHeadMessage;

/** One head, and then each file as its bytes, in order, and what it is called. */
export type BackupEvent =
  | { readonly kind: "head"; readonly head: BackupHead }
  | { readonly kind: "bytes"; readonly bytes: Uint8Array }
  | { readonly kind: "file"; readonly file: BackupFileMessage };

const BACKUP_PATH = "/cairn.v1.Admin/Backup";

/**
 * Ends only when nothing is missing; throws a CairnError otherwise, and cancels the call when it is
 * left. Whoever iterates slowly is sent no more than fits into gRPC's windows.
 */
export async function* readBackup(
  channel: Channel,
  connectMs: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<BackupEvent, void, undefined> {
  const call = await channel.stream(BACKUP_PATH, EMPTY_MESSAGE, connectMs);
  const abort = () => call.cancel();
  signal?.addEventListener("abort", abort, { once: true });
  // Heard by nobody when it came before.
  if (signal?.aborted === true) abort();
  const sums = new Sums(channel.address);
  try {
    for await (const message of messagesOf(call, channel)) {
      if (message.kind === "end") {
        sums.end(message.files);
        return;
      }
      if (message.kind === "bytes") sums.bytes(message.bytes);
      else if (message.kind === "file") sums.file(message.file);
      yield message;
    }
    throw sums.broken("the stream ended before the backup did");
  } finally {
    signal?.removeEventListener("abort", abort);
    call.cancel();
  }
}

async function* messagesOf(call: ClientReadableStream<Buffer>, channel: Channel) {
  try {
    for await (const bytes of call) {
      const message = decodeBackupResponse(bytes as Buffer);
      if (message instanceof Malformed) {
        throw new CairnError("unreachable", `${channel.address}: ${message.what}`);
      }
      yield message;
    }
  } catch (error) {
    throw error instanceof CairnError ? error : channel.errorOf(error as ServiceError);
  }
}

/** What was received of the file at hand, and how many were whole. */
class Sums {
  readonly #address: string;
  #length = 0;
  #crc = 0;
  #files = 0;

  constructor(address: string) {
    this.#address = address;
  }

  bytes(bytes: Uint8Array): void {
    this.#length += bytes.length;
    this.#crc = crc32c(bytes, this.#crc);
  }

  file({ name, length, crc }: BackupFileMessage): void {
    if (length !== this.#length || crc !== this.#crc) {
      const got = `${this.#length} bytes of checksum ${this.#crc} have come`;
      throw this.broken(`${name} is ${length} bytes of checksum ${crc}, and ${got}`);
    }
    this.#length = 0;
    this.#crc = 0;
    this.#files++;
  }

  end(files: number): void {
    if (files === this.#files && this.#length === 0) return;
    throw this.broken(`${files} files were sent, ${this.#files} have come`);
  }

  broken(what: string): CairnError {
    return new CairnError("unreachable", `${this.#address}: ${what}`);
  }
}
