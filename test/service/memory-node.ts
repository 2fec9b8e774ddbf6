// A node without Raft, disk or network, for tests of what stands in front of a node: the real rules
// of admission over a log in memory, answers when the test's microtasks run, and a script for what
// shall go wrong. Owns no consensus: `cluster.leader` says who leads.

import type {
  Answer,
  BackupPart,
  ClientRequest,
  CursorInfo,
  NodeStatus,
} from "../../src/base/client.ts";
import type { Entry, EntryHead } from "../../src/base/entry.ts";
import { FRAME_HEADER_BYTES, LOG_START, pointAfter } from "../../src/base/entry.ts";
import type { Fault } from "../../src/base/faults.ts";
import type { Instant, LogIndex, NodeId, Offset, RequestId, Term } from "../../src/base/ids.ts";
import { decodeBatch } from "../../src/base/record-batch.ts";
import { sealFrame } from "../../src/log/frame.ts";
import type { NodeHost } from "../../src/node/ports.ts";
import type { Clients } from "../../src/ports/clients.ts";
import { State } from "../../src/state/state.ts";

type AppendRequest = Extract<ClientRequest, { kind: "append" }>;
type FetchRequest = Extract<ClientRequest, { kind: "fetch" }>;

/** What a member of the cluster is to its clients. */
export interface MemoryMember {
  readonly id: NodeId;
  address: string;
}

/** One log that all nodes of a test share, as if replication were instant. */
export class MemoryCluster {
  readonly members: MemoryMember[] = [];
  readonly nodes: MemoryNode[] = [];
  readonly entries: Entry[] = [];
  readonly #state = State.empty(100);
  leader: NodeId | null = null;
  term = 1 as Term;

  get startOffset(): Offset {
    return this.#state.startOffset;
  }

  get endOffset(): Offset {
    return this.#state.end.endOffset;
  }

  cursors(names: readonly string[] | null): readonly CursorInfo[] {
    return this.#state.committedCursors(names);
  }

  /** Everything in the log, as text. */
  get texts(): string[] {
    return this.entries.flatMap((entry) =>
      (decodeBatch(entry.frame.subarray(FRAME_HEADER_BYTES)) ?? []).map(({ value }) =>
        Buffer.from(value).toString(),
      ),
    );
  }

  append(request: AppendRequest): Answer {
    const { requestId, draft } = request;
    const admission = this.#state.admit(draft, request);
    if (admission.kind === "refused") return { kind: "fault", requestId, fault: admission.fault };
    if (admission.kind === "duplicate") {
      const { offset, index, term } = admission.batch;
      return { kind: "appended", requestId, offset, index, term, duplicate: true, durableAt: null };
    }
    const end = this.entries.length === 0 ? LOG_START : this.#state.end;
    const { bytes, ...rest } = draft;
    const head: EntryHead = {
      ...rest,
      index: (end.index + 1) as LogIndex,
      term: this.term,
      prevTerm: end.term,
      offset: end.endOffset,
      timestamp: (end.timestamp > draft.timestamp ? end : draft).timestamp,
      bodyLength: bytes.length - FRAME_HEADER_BYTES,
    };
    this.entries.push({ ...head, frame: sealFrame(head, bytes) });
    this.#state.append(head);
    this.#state.commit(head.index, () => {});
    const { offset, index, term } = head;
    for (const node of this.nodes) node.serveWaiting();
    const durableAt = Math.round(performance.now() * 1000) as Instant;
    return { kind: "appended", requestId, offset, index, term, duplicate: false, durableAt };
  }

  /**
   * Entries from the one that holds `from`, up to `bytesMax` but at least one; null past the end.
   */
  read(from: number, bytesMax: number): Entry[] | null {
    const first = this.entries.findIndex((entry) => entry.offset + entry.count > from);
    if (first < 0) return null;
    const taken: Entry[] = [];
    let bytes = 0;
    for (const entry of this.entries.slice(first)) {
      bytes += entry.frame.length;
      if (taken.length > 0 && bytes > bytesMax) break;
      taken.push(entry);
    }
    return taken;
  }
}

/** What befalls one request instead of its plain answer. */
export type Mishap =
  /** It happens, and nobody hears of it. */
  | "lose-answer"
  /** It does not happen, and nobody hears of it. */
  | "lose-request"
  /** It happens, and then it is answered with the fault. */
  | { readonly after: Fault }
  /** It is answered with the fault instead. */
  | { readonly instead: Fault };

export class MemoryNode implements NodeHost {
  readonly #cluster: MemoryCluster;
  readonly #name: NodeId;
  readonly #clients: Clients;
  readonly #waiting = new Map<RequestId, FetchRequest>();
  /** All that was offered, in order. */
  readonly offered: ClientRequest[] = [];
  /** For the next appends and checks of the tail, one each. */
  readonly mishaps: (Mishap | null)[] = [];
  /** Entries of the backup that were read. */
  #backedUp = 0;
  /** False: the mailbox is full. */
  hasRoom = true;
  /** Bytes handed out by fetches so far. */
  fetchedBytes = 0;

  constructor(cluster: MemoryCluster, name: string, clients: Clients) {
    this.#cluster = cluster;
    this.#name = name as NodeId;
    this.#clients = clients;
    cluster.nodes.push(this);
  }

  get waiting(): number {
    return this.#waiting.size;
  }

  start(): void {}

  stop(): void {}

  offer(request: ClientRequest): boolean {
    if (!this.hasRoom) return false;
    this.offered.push(request);
    queueMicrotask(() => this.#turn(request));
    return true;
  }

  hear(): void {
    // Nothing is discovered here.
  }

  committedState(): null {
    return null;
  }

  status(): NodeStatus {
    const { members, leader, endOffset, term } = this.#cluster;
    const index = this.#cluster.entries.length as LogIndex;
    return {
      name: this.#name,
      clusterId: "0".repeat(32),
      state: "serving",
      role: leader === this.#name ? "leader" : "follower",
      term,
      leader,
      commitIndex: index,
      lastIndex: index,
      durableIndex: index,
      startOffset: this.#cluster.startOffset,
      endOffset,
      members: members.map((member) => {
        const rest = {
          instance: "",
          standing: "voter",
          lag: null,
          isUp: true,
          replication: null,
          answersAs: null,
        } as const;
        return { ...member, ...rest, isLeader: member.id === leader };
      }),
      membershipIndex: 1 as LogIndex,
      disk: {
        room: "plenty",
        segments: 1,
        storeBytes: 0,
        isReserved: true,
        scrub: { passes: 0, bytes: 0, baseIndex: 1 as LogIndex, position: 0 },
        digests: { checked: 0, unchecked: 0 },
        damage: null,
      },
      at: 0 as Instant,
    };
  }

  raft(): null {
    throw new Error("a memory node has no Raft to look at");
  }

  log(): never {
    throw new Error("a memory node has no log to look at");
  }

  mail(): never {
    throw new Error("a memory node has no mailbox to look at");
  }

  serveWaiting(): void {
    for (const request of [...this.#waiting.values()]) {
      this.#waiting.delete(request.requestId);
      this.#fetch(request);
    }
  }

  #turn(request: ClientRequest): void {
    switch (request.kind) {
      case "append":
        this.#perhaps(request.requestId, () => this.#cluster.append(request));
        return;
      case "check-tail": {
        const { requestId } = request;
        const { endOffset } = this.#cluster;
        this.#perhaps(requestId, () => ({ kind: "tail", requestId, endOffset }));
        return;
      }
      case "read-cursors": {
        const { requestId, names } = request;
        this.#clients.answer({ kind: "cursors", requestId, cursors: this.#cluster.cursors(names) });
        return;
      }
      case "change-membership":
      case "transfer-leadership": {
        const { requestId } = request;
        this.#perhaps(requestId, () => ({ kind: "done", requestId }));
        return;
      }
      case "fetch":
        this.#fetch(request);
        return;
      case "begin-backup":
        this.#perhaps(request.requestId, () => this.#beginBackup(request.requestId));
        return;
      case "read-backup":
        this.#perhaps(request.requestId, () => this.#readBackup(request.requestId));
        return;
      case "cancel":
        if (this.#waiting.delete(request.requestId)) {
          this.#refuse(request.requestId, { code: "cancelled" });
        }
    }
  }

  #beginBackup(requestId: RequestId): Answer {
    const { entries, startOffset, term } = this.#cluster;
    const last = entries.at(-1);
    const cut = last === undefined ? LOG_START : pointAfter(last);
    this.#backedUp = 0;
    const rest = { instanceId: "1".repeat(32), hasMachine: false, bytes: 0 };
    const backup = { base: null, cut, startOffset, term, ...rest };
    return { kind: "backup-begun", requestId, backup };
  }

  /** One entry at a time. */
  #readBackup(requestId: RequestId): Answer {
    const entry = this.#cluster.entries[this.#backedUp++];
    const part: BackupPart =
      entry === undefined ? { kind: "end" } : { kind: "entries", entries: [entry] };
    return { kind: "backup-part", requestId, part };
  }

  #perhaps(requestId: RequestId, perform: () => Answer): void {
    const mishap = this.mishaps.shift() ?? null;
    if (mishap === "lose-request") return;
    if (mishap !== null && typeof mishap === "object" && "instead" in mishap) {
      this.#refuse(requestId, mishap.instead);
      return;
    }
    const { leader, members } = this.#cluster;
    if (leader !== this.#name) {
      const address = members.find(({ id }) => id === leader)?.address ?? null;
      this.#refuse(requestId, { code: "not-leader", leader, address });
      return;
    }
    const answer = perform();
    if (mishap === "lose-answer") return;
    if (mishap === null) this.#clients.answer(answer);
    else this.#refuse(requestId, mishap.after);
  }

  #fetch(request: FetchRequest): void {
    const { requestId, bytesMax, wait, notBefore = 0 } = request;
    const late = this.#cluster.entries.find(({ timestamp }) => timestamp >= notBefore);
    const from = notBefore === 0 ? request.from : (late?.offset ?? this.#cluster.endOffset);
    const entries = this.#cluster.read(from, bytesMax);
    const { endOffset } = this.#cluster;
    if (entries !== null) {
      for (const entry of entries) this.fetchedBytes += entry.frame.length;
      this.#clients.answer({ kind: "fetched", requestId, entries, endOffset });
    } else if (wait) this.#waiting.set(requestId, request);
    else {
      const startOffset = 0 as Offset;
      this.#refuse(requestId, {
        code: "offset-out-of-range",
        offset: from,
        startOffset,
        endOffset,
      });
    }
  }

  #refuse(requestId: RequestId, fault: Fault): void {
    this.#clients.answer({ kind: "fault", requestId, fault });
  }
}
