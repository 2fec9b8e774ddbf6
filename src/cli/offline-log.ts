// A log without a node: a data directory opened for a command that looks into it, or makes a new
// one. Runs the same machine as a node does; owns the waiting for it. Nobody else may use the
// directory meanwhile (data-lock.ts).

import { freeze } from "../base/bytes.ts";
import { crc32c } from "../base/crc32c.ts";
import type { Entry, LogWrite } from "../base/entry.ts";
import type { Instant, LogIndex, WriteId } from "../base/ids.ts";
import type { Membership } from "../base/membership.ts";
import type { Checkpoint } from "../log/checkpoint.ts";
import { Log } from "../log/log.ts";
import type {
  Identity,
  LogBase,
  LogEvent,
  LogOpened,
  LogOptions,
  LogOutput,
  LogRead,
  LogReceived,
  OpenRefusal,
} from "../log/protocol.ts";
import { describeRefusal } from "../node/status.ts";
import type { Disk } from "../ports/disk.ts";

const MIB = 1024 * 1024;

/** What entries are read in one go. */
export const READ_BYTES_MAX = MIB;

/** Sizes as an agent's by default; a directory made with them is opened with any. */
export function offlineOptions(identity: Identity): LogOptions {
  const segmentBytesMax = 64 * MIB;
  const indexEntriesMax = segmentBytesMax / 1024;
  return { identity, segmentBytesMax, indexEntriesMax, preallocateBytes: MIB, cacheBytesMax: MIB };
}

/** What is wrong with the directory or its disk, for people. */
export class OfflineLogError extends Error {
  override readonly name = "OfflineLogError";
  /** Set when the directory cannot be used as it is. */
  readonly refusal: OpenRefusal | null;

  constructor(what: string, refusal: OpenRefusal | null = null) {
    super(what);
    this.refusal = refusal;
  }
}

type Waiting = (output: LogOutput) => boolean;

export class OfflineLog {
  readonly #log: Log;
  readonly #disk: Disk;
  #waiting: { readonly isIt: Waiting; resolve: () => void; reject: (error: Error) => void } | null =
    null;
  #ids = 0;

  private constructor(disk: Disk, options: LogOptions) {
    this.#disk = disk;
    this.#log = new Log(options);
    disk.attach({
      diskDone: (opId, result) => this.#step({ kind: "disk-done", opId, result }),
    });
  }

  /** Opens what is there, or makes a directory that is empty. Rejects with OfflineLogError. */
  static async open(
    disk: Disk,
    options: LogOptions,
  ): Promise<{ readonly log: OfflineLog; readonly opened: LogOpened }> {
    const log = new OfflineLog(disk, options);
    let opened: LogOpened | null = null;
    await log.#until({ kind: "open" }, (output) => {
      opened = output.opened;
      return opened !== null;
    });
    if (opened === null) throw new OfflineLogError("the log was not opened");
    return { log, opened };
  }

  /** The entries from `from` to `last`, as many as READ_BYTES_MAX of frames hold, one at least. */
  async entries(from: LogIndex, last: LogIndex): Promise<readonly Entry[]> {
    const readId = ++this.#ids;
    const place = { kind: "index", index: from } as const;
    let read: LogRead | undefined;
    await this.#until(
      { kind: "read", readId, from: place, lastIndex: last, bytesMax: READ_BYTES_MAX },
      ({ reads }) => {
        read = reads.find((each) => each.readId === readId);
        return read !== undefined;
      },
    );
    if (read === undefined || read.kind === "failed") throw failed(`reading entry ${from}`, read);
    return read.entries;
  }

  /** The checkpoint that the log begins with; null when it begins with its first entry. */
  async base(): Promise<Checkpoint | null> {
    const named = await this.#baseRead((readId) => ({ kind: "read-base", readId }));
    if (named.kind === "none") return null;
    if (named.kind !== "base") throw failed("reading the base", named);
    const { at, stateBytes, stateCrc } = named.base;
    const state = new Uint8Array(stateBytes);
    for (let position = 0; position < stateBytes; position += READ_BYTES_MAX) {
      const { index } = at;
      const part = await this.#baseRead((readId) => {
        return { kind: "read-base-part", readId, index, position, length: READ_BYTES_MAX };
      });
      if (part.kind !== "part") throw failed("reading the base", part);
      state.set(part.bytes, position);
    }
    if (crc32c(state) !== stateCrc) throw new OfflineLogError("the base checkpoint is damaged");
    return { at, state: freeze(state) };
  }

  async #baseRead(event: (readId: number) => LogEvent): Promise<LogBase> {
    const readId = ++this.#ids;
    let base: LogBase | undefined;
    await this.#until(event(readId), ({ bases }) => {
      base = bases.find((each) => each.readId === readId);
      return base !== undefined;
    });
    if (base === undefined) throw failed("reading the base", base);
    return base;
  }

  /**
   * Makes it the log's beginning, whatever was there before; `membership` is what its state says.
   */
  async install({ at, state }: Checkpoint, membership: Membership): Promise<void> {
    const base = { at, stateBytes: state.length, stateCrc: crc32c(state) };
    for (let position = 0, isWhole = false; !isWhole; position += READ_BYTES_MAX) {
      const bytes = freeze(state.subarray(position, position + READ_BYTES_MAX));
      isWhole = position + bytes.length === state.length;
      await this.#receive({ kind: "receive-base", base, position, bytes }, isWhole);
    }
    const install = { at, state, membership };
    await this.write({ hardState: null, install, truncateFrom: null, entries: [] });
  }

  /** Resolves when the bytes are written; `isLast`: when all of it is durable, and is itself. */
  async #receive(event: LogEvent, isLast: boolean): Promise<void> {
    let answer: LogReceived | undefined;
    await this.#until(event, ({ received }) => {
      answer = received.find(({ kind }) => !isLast || kind !== "part");
      return answer !== undefined;
    });
    if (answer?.kind === "broken") throw new OfflineLogError("the base cannot be written");
  }

  /** Resolves when it is durable. */
  async write(write: Omit<LogWrite, "writeId">): Promise<void> {
    const writeId = ++this.#ids as WriteId;
    const event: LogEvent = { kind: "write", write: { ...write, writeId } };
    await this.#until(event, ({ persisted }) => persisted !== null && persisted >= writeId);
  }

  /** Written before `close` resolves: with it the next opening has less to go through. */
  checkpoint({ at, state }: Checkpoint): void {
    this.#step({ kind: "checkpoint", at, state });
  }

  /** Leaves the directory as a clean stop does. */
  async close(): Promise<void> {
    await this.#until({ kind: "close" }, ({ closed }) => closed);
  }

  async #until(event: LogEvent, isIt: Waiting): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      this.#waiting = { isIt, resolve, reject };
      this.#step(event);
    });
  }

  #step(event: LogEvent): void {
    // Nothing here waits for time: a full disk is an error, and not tried again.
    this.#log.step(0 as Instant, event);
    for (let output = this.#log.takeOutput(); output !== null; output = this.#log.takeOutput()) {
      const waiting = this.#waiting;
      const trouble = troubleIn(output);
      if (waiting !== null && trouble !== null) {
        this.#waiting = null;
        waiting.reject(trouble);
      } else if (waiting?.isIt(output) === true) {
        this.#waiting = null;
        waiting.resolve();
      }
      for (const operation of output.operations) this.#disk.submit(operation);
    }
  }
}

function troubleIn({ refused, poisoned, room }: LogOutput): OfflineLogError | null {
  const refusal = poisoned === null ? refused : ({ kind: "disk-failed", fault: poisoned } as const);
  if (refusal !== null) return new OfflineLogError(describeRefusal(refusal), refusal);
  return room === "full" ? new OfflineLogError("the disk is full") : null;
}

function failed(what: string, answer: LogRead | LogBase | undefined): OfflineLogError {
  const why = answer?.kind === "failed" ? JSON.stringify(answer.fault) : "no answer";
  return new OfflineLogError(`${what}: ${why}`);
}
