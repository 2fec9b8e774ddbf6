// A small cluster of pure Rafts: no clock, no sockets, no files. The test (or a list of choices)
// decides every delivery, loss, write and crash; after each move the safety properties of the
// paper's Figure 3 are checked, and that nothing left a node before what it promises was durable.
import type { Entry, HardState, LogWrite } from "../../src/base/entry.ts";
import { LOG_START } from "../../src/base/entry.ts";
import type { Instant, LogIndex, NodeId, Term } from "../../src/base/ids.ts";
import { type Membership, membershipOf } from "../../src/base/membership.ts";
import { Prng } from "../../src/base/prng.ts";
import {
  describeEvent,
  describeMessage,
  describeOutput,
  describeStatus,
} from "../../src/raft/describe.ts";
import type { RaftEvent, RaftMessage, RaftOptions, Send } from "../../src/raft/protocol.ts";
import { Raft } from "../../src/raft/raft.ts";
import { draftOf, id, memberOf, optionsOf } from "./subject.ts";

interface Mail {
  readonly from: NodeId;
  readonly to: NodeId;
  readonly message: RaftMessage;
}

interface Promised {
  readonly node: NodeId;
  readonly proposalId: number;
}

/** A disk whose log and hard state are what completed writes have made of them. */
interface Disk {
  hardState: HardState;
  log: Entry[];
  /** Taken from the machine, not yet durable; a crash loses them. */
  pending: LogWrite[];
}

export class ClusterNode {
  readonly name: NodeId;
  raft: Raft;
  readonly disk: Disk;
  /** The log with the writes that are still on their way, as the host's cache has it. */
  cached: Entry[] = [];
  isUp = true;
  commitIndex = 0;
  starts = 1;

  constructor(name: NodeId, raft: Raft, disk: Disk) {
    this.name = name;
    this.raft = raft;
    this.disk = disk;
  }
}

export class SafetyViolation extends Error {}

export class Cluster {
  readonly nodes: ClusterNode[] = [];
  mail: Mail[] = [];
  now = 0 as Instant;
  readonly committed: Entry[] = [];
  /** Set to a list, it takes down every event and every decision, a line each. */
  story: string[] | null = null;
  /** Counts what a run has seen, so that a test can tell an idle run from a good one. */
  readonly seen = { leaders: 0, truncations: 0, crashes: 0, unknown: 0, reads: 0 };
  readonly #membership: Membership;
  readonly #options: Partial<RaftOptions>;
  readonly #leaders = new Map<Term, NodeId>();
  readonly #entries = new Map<string, Entry>();
  readonly #open = new Map<number, Promised>();
  readonly #refused = new Set<number>();
  readonly #reads = new Map<number, { readonly node: NodeId; readonly atLeast: number }>();
  #ids = 0;
  #cutOff: readonly NodeId[] = [];

  constructor(voters: number, learners = 0, options: Partial<RaftOptions> = {}) {
    const names = Array.from({ length: voters + learners }, (_, at) => id(`n${at + 1}`));
    this.#membership = membershipOf(
      names.slice(0, voters).map(memberOf),
      names.slice(voters).map(memberOf),
    );
    this.#options = options;
    for (const name of names) {
      const disk = { hardState: { term: 0 as Term, votedFor: null }, log: [], pending: [] };
      this.nodes.push(new ClusterNode(name, this.#start(name, disk, 1), disk));
    }
  }

  node(name: string): ClusterNode {
    const found = this.nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`no node ${name}`);
    return found;
  }

  /** Whoever believes to lead; several do while news is on its way. */
  leaders(): ClusterNode[] {
    return this.nodes.filter((node) => node.isUp && node.raft.role === "leader");
  }

  leader(): ClusterNode | null {
    return this.leaders().sort((a, b) => b.raft.term - a.raft.term)[0] ?? null;
  }

  step(node: ClusterNode, event: RaftEvent): void {
    if (!node.isUp) return;
    this.story?.push(`${node.name} < ${describeEvent(event)}`);
    node.raft.step(this.now, event);
    this.#checkRole(node);
  }

  /** What the host does after a turn; several steps may come before one take. */
  take(node: ClusterNode): void {
    if (!node.isUp) return;
    const output = node.raft.takeOutput();
    if (output === null) return;
    for (const line of this.story === null ? [] : describeOutput(output)) {
      this.story?.push(`${node.name}   > ${line}`);
    }
    if (output.write !== null) this.#write(node, output.write);
    for (const send of output.sends) this.#send(node, send);
    this.#checkCommit(node, output.commitIndex);
    for (const verdict of output.verdicts) {
      const open = this.#open.get(verdict.proposalId);
      this.#demand(open?.node === node.name, `one verdict for #${verdict.proposalId}`);
      this.#open.delete(verdict.proposalId);
      if (verdict.kind === "refused") this.#refused.add(verdict.proposalId);
      if (verdict.kind === "unknown") this.seen.unknown += 1;
      if (verdict.kind !== "committed") continue;
      const entry = this.committed[verdict.index - 1];
      const isIt =
        entry?.bodyCrc === verdict.proposalId &&
        entry.term === verdict.term &&
        entry.offset === verdict.offset;
      this.#demand(isIt, `#${verdict.proposalId} is committed where its verdict says`);
    }
    for (const read of output.reads) {
      const asked = this.#reads.get(read.readId);
      this.#demand(asked?.node === node.name, `one answer for read ${read.readId}`);
      this.#reads.delete(read.readId);
      if (read.kind === "refused") continue;
      this.seen.reads += 1;
      const isFresh = read.readIndex >= (asked?.atLeast ?? 0) && read.readIndex <= node.commitIndex;
      this.#demand(isFresh, `read ${read.readId} sees all that was committed before it`);
    }
  }

  /** Step and take. */
  turn(node: ClusterNode, event: RaftEvent): void {
    this.step(node, event);
    this.take(node);
  }

  propose(node: ClusterNode, bodyLength = 8): number {
    const proposalId = ++this.#ids;
    if (!node.isUp) return proposalId;
    this.#open.set(proposalId, { node: node.name, proposalId });
    this.step(node, { kind: "proposed", proposalId, draft: draftOf(proposalId, bodyLength) });
    return proposalId;
  }

  read(node: ClusterNode): void {
    if (!node.isUp) return;
    const readId = ++this.#ids;
    this.#reads.set(readId, { node: node.name, atLeast: this.committed.length });
    this.step(node, { kind: "read-requested", readId });
  }

  /** Until healed, nothing passes between `names` and the others. */
  cut(names: readonly NodeId[]): void {
    this.#cutOff = names;
  }

  deliver(at: number, keepCopy = false): void {
    const mail = this.mail[at];
    if (mail === undefined) return;
    if (!keepCopy) this.mail.splice(at, 1);
    if (this.#cutOff.includes(mail.from) !== this.#cutOff.includes(mail.to)) return;
    this.step(this.node(mail.to), { kind: "received", from: mail.from, message: mail.message });
  }

  /** The oldest write of `node` becomes durable, and the node is told or (a crash) is not. */
  writeDurably(node: ClusterNode, tell = true): void {
    const write = node.disk.pending.shift();
    if (write === undefined) return;
    if (write.hardState !== null) node.disk.hardState = write.hardState;
    if (write.truncateFrom !== null) node.disk.log.length = write.truncateFrom - 1;
    node.disk.log.push(...write.entries);
    if (tell) this.step(node, { kind: "persisted", writeId: write.writeId });
  }

  /**
   * Everything not durable is lost; `surviving` writes had reached the disk without being
   * confirmed.
   */
  crash(node: ClusterNode, surviving: number): void {
    if (!node.isUp) return;
    for (let left = surviving; left > 0; left--) this.writeDurably(node, false);
    node.disk.pending = [];
    node.isUp = false;
    node.commitIndex = 0;
    this.seen.crashes += 1;
    for (const [key, open] of this.#open) if (open.node === node.name) this.#open.delete(key);
    for (const [key, read] of this.#reads) if (read.node === node.name) this.#reads.delete(key);
  }

  restart(node: ClusterNode): void {
    if (node.isUp) return;
    node.isUp = true;
    node.starts += 1;
    node.cached = node.disk.log.slice();
    node.raft = this.#start(node.name, node.disk, node.starts);
  }

  /** Time jumps to the first deadline of a node that is up, and that node is told. */
  passTime(node: ClusterNode): void {
    if (!node.isUp || node.raft.deadline > Number.MAX_SAFE_INTEGER / 2) return;
    if (node.raft.deadline > this.now) this.now = node.raft.deadline;
    this.step(node, { kind: "deadline" });
  }

  /** All faults end: time goes on in order, everything arrives, until `isDone` or `turnsMax`. */
  settle(isDone: () => boolean, turnsMax = 3000): boolean {
    for (const node of this.nodes) this.restart(node);
    this.cut([]);
    for (let turn = 0; turn < turnsMax; turn++) {
      for (const node of this.nodes) {
        this.take(node);
        while (node.disk.pending.length > 0) this.writeDurably(node);
        this.take(node);
      }
      if (this.mail.length > 0) this.deliverAll();
      else if (this.nodes.some(({ disk }) => disk.pending.length > 0)) continue;
      else if (isDone()) return true;
      else this.passTime(this.nextInTime());
    }
    return false;
  }

  deliverAll(): void {
    for (let left = this.mail.length; left > 0; left--) this.deliver(0);
  }

  /** The node whose deadline comes first. */
  nextInTime(): ClusterNode {
    const up = this.nodes.filter(({ isUp }) => isUp);
    const among = up.length > 0 ? up : this.nodes;
    return among.reduce((a, b) => (a.raft.deadline <= b.raft.deadline ? a : b));
  }

  /** One leader, equal logs, everything committed everywhere, nobody waits. */
  hasConverged(): boolean {
    const leader = this.leader();
    if (leader === null) return false;
    const last = leader.raft.lastIndex;
    return (
      this.#open.size === 0 &&
      this.#reads.size === 0 &&
      this.nodes.every(({ raft }) => raft.lastIndex === last && raft.commitIndex === last)
    );
  }

  describe(): string {
    return this.nodes.map(({ raft }) => describeStatus(raft.status())).join("\n");
  }

  #start(name: NodeId, disk: Disk, starts: number): Raft {
    const prng = new Prng(`${name}/${starts}`);
    const { hardState, log } = disk;
    return new Raft(
      optionsOf(name, { ...this.#options, prng }),
      { hardState, membership: this.#membership, base: LOG_START, termRuns: [], tail: log.slice() },
      this.now,
    );
  }

  #write(node: ClusterNode, write: LogWrite): void {
    if (write.truncateFrom !== null) {
      this.seen.truncations += 1;
      node.cached.length = write.truncateFrom - 1;
    }
    for (const entry of write.entries) {
      this.#demand(entry.index === node.cached.length + 1, "writes leave no gap");
      node.cached.push(entry);
      this.#checkMatching(entry);
    }
    node.disk.pending.push(write);
  }

  #send(node: ClusterNode, send: Send): void {
    let message: RaftMessage;
    if (send.kind === "message") {
      message = send.message;
    } else if (send.kind === "snapshot") {
      throw new SafetyViolation("nothing is trimmed here");
    } else {
      const { kind: _, to: __, lastIndex, bytesMax, ...rest } = send;
      this.#demand(rest.term === node.raft.term, "entries leave in the term that is led");
      const entries: Entry[] = [];
      let bytes = 0;
      for (const entry of node.cached.slice(send.prevIndex, lastIndex)) {
        bytes += entry.frame.length;
        if (entries.length > 0 && bytes > bytesMax) break;
        entries.push(entry);
      }
      message = { kind: "append-request", ...rest, entries };
    }
    this.#checkPromise(node, send.to, message);
    this.mail.push({ from: node.name, to: send.to, message });
  }

  /** Nothing is said before what it promises is durable (paper, Figure 2). */
  #checkPromise(node: ClusterNode, to: NodeId, message: RaftMessage): void {
    const { hardState, log } = node.disk;
    const what = `${node.name} to ${to}: ${describeMessage(message)}`;
    if (message.kind === "vote-reply" && message.granted && !message.preVote) {
      const isKept =
        hardState.term > message.term ||
        (hardState.term === message.term && hardState.votedFor === to);
      this.#demand(isKept, `the vote is durable: ${what}`);
    } else if (message.kind === "vote-request" && !message.preVote) {
      const isKept = hardState.term === message.term && hardState.votedFor === node.name;
      this.#demand(isKept, `the candidacy is durable: ${what}`);
    } else if (message.kind === "append-reply" || message.kind === "append-request") {
      this.#demand(hardState.term >= message.term, `the term is durable: ${what}`);
    }
    if (message.kind !== "append-reply" || message.conflict !== null) return;
    this.#demand(message.matchIndex <= log.length, `the entries are durable: ${what}`);
    for (let at = 0; at < message.matchIndex; at++) {
      const isSame = log[at]?.term === node.cached[at]?.term;
      this.#demand(isSame, `the durable entries are the log's: ${what}`);
    }
  }

  /** Election safety, and leader completeness (paper, sections 5.2 and 5.4). */
  #checkRole(node: ClusterNode): void {
    if (node.raft.role !== "leader") return;
    const { term } = node.raft;
    const known = this.#leaders.get(term);
    this.#demand(known === undefined || known === node.name, `one leader in term ${term}`);
    if (known !== undefined) return;
    this.#leaders.set(term, node.name);
    this.seen.leaders += 1;
    for (const entry of this.committed) {
      const has = node.raft.termAt(entry.index) === entry.term;
      this.#demand(has, `the leader of term ${term} has committed entry ${entry.index}`);
    }
  }

  /**
   * Log matching (paper, section 5.3): equal index and term mean equal entries, and equal before.
   */
  #checkMatching(entry: Entry): void {
    const key = `${entry.index}/${entry.term}`;
    const known = this.#entries.get(key) ?? entry;
    this.#entries.set(key, known);
    const isSame =
      known.bodyCrc === entry.bodyCrc &&
      known.prevTerm === entry.prevTerm &&
      known.offset === entry.offset &&
      known.timestamp === entry.timestamp;
    this.#demand(isSame, `entries ${key} are the same everywhere`);
    this.#demand(!this.#refused.has(entry.bodyCrc), `a refused proposal is in no log: ${key}`);
  }

  /**
   * State machine safety, and that a commit rests on copies that would survive a power loss now.
   */
  #checkCommit(node: ClusterNode, commitIndex: LogIndex): void {
    this.#demand(commitIndex >= node.commitIndex, `${node.name} never takes back a commit`);
    for (let index = node.commitIndex + 1; index <= commitIndex; index++) {
      const entry = node.cached[index - 1];
      const known = this.committed[index - 1];
      if (entry === undefined) throw new SafetyViolation(`${node.name} has no entry ${index}`);
      if (known === undefined) this.committed.push(entry);
      else this.#demand(known.term === entry.term, `entry ${index} is committed once`);
    }
    if (commitIndex > node.commitIndex) this.#checkCopies(commitIndex);
    node.commitIndex = commitIndex;
  }

  #checkCopies(index: LogIndex): void {
    const { voters } = this.#membership;
    const entry = this.committed[index - 1];
    const holders = this.nodes.filter(
      ({ name, disk }) => voters.includes(name) && disk.log[index - 1]?.term === entry?.term,
    );
    const isHeld = holders.length * 2 > voters.length;
    this.#demand(isHeld, `committed entry ${index} is durable on a majority`);
  }

  #demand(holds: boolean, what: string): void {
    if (!holds) throw new SafetyViolation(`${what}\n${this.describe()}`);
  }
}
