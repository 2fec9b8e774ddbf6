// A small cluster of pure Rafts: no clock, no sockets, no files. The test (or a list of choices)
// decides every delivery, loss, write, crash, trim and change of membership; after each move the
// judge (oracle.ts) looks. Owns the moves and what hosts would do.

import type { Entry, HardState, LogWrite, Snapshot } from "../../src/base/entry.ts";
import type { Instant, MemberId, Term } from "../../src/base/ids.ts";
import { type Membership, membershipOf, NO_MEMBERS } from "../../src/base/membership.ts";
import { Prng } from "../../src/base/prng.ts";
import {
  describeEvent,
  describeMembership,
  describeMessage,
  describeOutput,
  describeStatus,
} from "../../src/raft/describe.ts";
import type {
  RaftEvent,
  RaftMessage,
  RaftOptions,
  RaftOutput,
  Send,
} from "../../src/raft/protocol.ts";
import { Raft } from "../../src/raft/raft.ts";
import { HostLog } from "./host-log.ts";
import { Oracle } from "./oracle.ts";
import { draftOf, foundingEntry, id, logOf, memberOf, ms, optionsOf } from "./subject.ts";

/** A message, or a checkpoint in one piece. */
interface Mail {
  readonly from: MemberId;
  readonly to: MemberId;
  readonly load: RaftMessage | Extract<RaftEvent, { kind: "snapshot-received" }>;
}

/** A disk whose log and hard state are what completed writes have made of them. */
interface Disk {
  hardState: HardState;
  log: HostLog;
  /** Everything up to here is known to be committed after a restart. */
  checkpoint: number;
  /** Taken from the machine, not yet durable; a crash loses them. */
  pending: LogWrite[];
}

export class ClusterNode {
  readonly name: MemberId;
  readonly disk: Disk;
  raft: Raft;
  /** The log with the writes that are still on their way, as the host's cache has it. */
  cached: HostLog;
  isUp = true;
  /** Its disk completes nothing. */
  isHung = false;
  commitIndex = 0;
  starts = 1;
  /** What its disk had before each loss of durable entries that is not mended yet. */
  readonly lost: HostLog[] = [];

  constructor(name: MemberId, raft: Raft, disk: Disk) {
    this.name = name;
    this.raft = raft;
    this.disk = disk;
    this.cached = disk.log.copy();
  }
}

export class Cluster {
  readonly nodes: ClusterNode[] = [];
  mail: Mail[] = [];
  now = 0 as Instant;
  /** Set to a list, it takes down every event and every decision, a line each. */
  story: string[] | null = null;
  readonly oracle = new Oracle(() => this.describe());
  /** Counts what a run has seen, so that a test can tell an idle run from a good one. */
  readonly seen = {
    truncations: 0,
    crashes: 0,
    unknown: 0,
    reads: 0,
    memberships: 0,
    joint: 0,
    installs: 0,
    transfers: 0,
    dropped: 0,
    /** Leaders whose disk had hung for too long: they gave way, or tried to. */
    gaveWay: 0,
    /** Logs that lost durable entries, and those that have them again. */
    losses: 0,
    mended: 0,
  };
  readonly #machine: typeof Raft;
  readonly #options: Partial<RaftOptions>;
  /** Who asked for what and waits for the one answer. */
  readonly #open = new Map<number, MemberId>();
  readonly #transfers = new Map<number, MemberId>();
  readonly #reads = new Map<number, { readonly node: MemberId; readonly atLeast: number }>();
  #ids = 0;
  #cutOff: readonly MemberId[] = [];

  /**
   * Everybody knows the membership from the start. With `joiners`, who are up and wait to be spoken
   * to, only the first node does: its log begins with the entry that says it.
   */
  constructor(
    voters: number,
    learners = 0,
    options: Partial<RaftOptions> = {},
    joiners = 0,
    machine: typeof Raft = Raft,
  ) {
    this.#machine = machine;
    const count = voters + learners + joiners;
    const names = Array.from({ length: count }, (_, at) => id(`n${at + 1}`));
    const membership = membershipOf(
      names.slice(0, voters).map(memberOf),
      names.slice(voters, voters + learners).map(memberOf),
    );
    this.#options = options;
    for (const [place, name] of names.entries()) {
      if (joiners === 0) this.#add(name, new HostLog(membership));
      else this.#add(name, new HostLog(NO_MEMBERS), place === 0 ? membership : null);
    }
  }

  get committed(): readonly Entry[] {
    return this.oracle.committed;
  }

  node(name: string): ClusterNode {
    const found = this.nodes.find((node) => node.name === name);
    if (found === undefined) throw new Error(`no node ${name}`);
    return found;
  }

  /** Of the membership that everybody knows from the start. */
  voters(): ClusterNode[] {
    const { voters } = (this.nodes[0] as ClusterNode).disk.log.membership;
    return this.nodes.filter(({ name }) => voters.includes(name));
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
    const { role, term, lastIndex } = node.raft;
    const inForce = node.cached.membershipAt(node.cached.lastIndex);
    node.raft.step(this.now, event);
    this.oracle.checkRole(node);
    if (role !== "leader") return;
    this.oracle.checkLeaderCommit(node, term, inForce, this.nodes);
    // A membership is looked at when it is made, not when more has come on top of it.
    if (event.kind !== "proposed" && node.raft.lastIndex > lastIndex) this.take(node);
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
    this.oracle.checkCommit(node, output.commitIndex);
    node.commitIndex = output.commitIndex;
    if (output.write !== null) this.oracle.checkMembership(node, output.write);
    for (const send of output.sends) this.#send(node, send);
    this.#answer(node, output);
  }

  /** Step and take. */
  turn(node: ClusterNode, event: RaftEvent): void {
    this.step(node, event);
    this.take(node);
  }

  propose(node: ClusterNode, bodyLength = 8): number {
    const proposalId = this.#ask(node, this.#open);
    this.step(node, { kind: "proposed", proposalId, draft: draftOf(proposalId, bodyLength) });
    return proposalId;
  }

  proposeMembership(
    node: ClusterNode,
    voters: readonly string[],
    learners: readonly string[] = [],
  ): number {
    const proposalId = this.#ask(node, this.#open);
    const target = { voters: voters.map(memberOf), learners: learners.map(memberOf) };
    this.step(node, { kind: "membership-proposed", proposalId, target });
    return proposalId;
  }

  transfer(node: ClusterNode, to: string | null): void {
    const transferId = this.#ask(node, this.#transfers);
    this.step(node, { kind: "transfer-requested", transferId, to: to === null ? null : id(to) });
  }

  /** With patience, whoever leads is asked for so long. */
  read(node: ClusterNode, isPatient = false): void {
    if (!node.isUp) return;
    const readId = ++this.#ids;
    this.#reads.set(readId, { node: node.name, atLeast: this.committed.length });
    const deadline = (this.now + ms(1000)) as Instant;
    const event = { kind: "read-requested", readId } as const;
    this.step(node, isPatient ? { ...event, deadline } : event);
  }

  /** Until healed, nothing passes between `names` and the others. */
  cut(names: readonly MemberId[]): void {
    this.#cutOff = names;
  }

  deliver(at: number, keepCopy = false): void {
    const mail = this.mail[at];
    if (mail === undefined) return;
    const { from, to, load } = mail;
    const isSnapshot = load.kind === "snapshot-received";
    if (!keepCopy) this.mail.splice(at, 1);
    const arrives = this.#cutOff.includes(from) === this.#cutOff.includes(to);
    const ended = { kind: "snapshot-ended", peer: to, ok: arrives } as const;
    if (isSnapshot) this.step(this.node(from), ended);
    if (!arrives) return;
    const event: RaftEvent = isSnapshot ? load : { kind: "received", from, message: load };
    this.step(this.node(to), event);
  }

  lose(at: number): void {
    const [mail] = this.mail.splice(at, 1);
    if (mail?.load.kind !== "snapshot-received") return;
    this.step(this.node(mail.from), { kind: "snapshot-ended", peer: mail.to, ok: false });
  }

  /** The oldest write of `node` becomes durable, and the node is told or (a crash) is not. */
  writeDurably(node: ClusterNode, tell = true): void {
    const { disk } = node;
    const write = tell && node.isHung ? undefined : disk.pending.shift();
    if (write === undefined) return;
    if (write.hardState !== null) {
      const isMended = disk.hardState.loss !== undefined && write.hardState.loss === undefined;
      if (isMended) this.seen.mended += 1;
      if (isMended) node.lost.length = 0;
      disk.hardState = write.hardState;
      this.oracle.hardStateIsDurable(node.name, write.hardState);
    }
    disk.log.perform(write);
    disk.checkpoint = Math.max(disk.checkpoint, disk.log.start.index);
    if (tell) this.step(node, { kind: "persisted", writeId: write.writeId });
  }

  /** The disk of `node` completes nothing; with `isTold`, its host has found that out. */
  hang(node: ClusterNode, isTold: boolean): void {
    if (!node.isUp || node.isHung) return;
    node.isHung = true;
    if (isTold) this.step(node, { kind: "disk-hung", isHung: true });
  }

  /** It does again what it was told. */
  thaw(node: ClusterNode): void {
    if (!node.isHung) return;
    node.isHung = false;
    if (node.isUp) this.step(node, { kind: "disk-hung", isHung: false });
  }

  /** The host notes that everything it has committed and written is. */
  checkpoint(node: ClusterNode): void {
    if (!node.isUp) return;
    const { disk } = node;
    // What a write on its way is going to cut or replace is not the log's any more.
    const isQuiet = disk.pending.every((write) => write.install === undefined);
    if (isQuiet) disk.checkpoint = Math.max(disk.checkpoint, this.#durableCommit(node));
  }

  /** The host drops its log up to `back` entries before what is committed and written. */
  trim(node: ClusterNode, back: number): void {
    const { disk, cached } = node;
    const before = this.#durableCommit(node) - back;
    if (!node.isUp || before <= disk.log.start.index) return;
    if (disk.pending.some((write) => write.install !== undefined)) return;
    const base = disk.log.trim(before);
    disk.checkpoint = Math.max(disk.checkpoint, before);
    cached.trim(before);
    this.step(node, { kind: "trimmed", base });
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
    for (const open of [this.#open, this.#transfers]) {
      for (const [key, name] of open) if (name === node.name) open.delete(key);
    }
    for (const [key, read] of this.#reads) if (read.node === node.name) this.#reads.delete(key);
  }

  /**
   * A crash, after which the disk's log ends after `kept` entries more than it must have; false
   * where nothing would be lost.
   */
  loseEnd(node: ClusterNode, kept: number): boolean {
    this.crash(node, 0);
    const { disk } = node;
    const end = disk.log.start.index + kept;
    if (end >= disk.log.lastIndex) return false;
    node.lost.push(disk.log.copy());
    disk.log.entries.length = kept;
    disk.checkpoint = Math.min(disk.checkpoint, end);
    this.seen.losses += 1;
    disk.hardState = { ...disk.hardState, loss: this.seen.losses };
    return true;
  }

  restart(node: ClusterNode): void {
    if (node.isUp) return;
    node.isUp = true;
    node.isHung = false;
    node.starts += 1;
    node.cached = node.disk.log.copy();
    node.raft = this.#start(node.name, node.disk, node.starts);
    node.commitIndex = node.disk.checkpoint;
  }

  /** `node` begins anew in `term` with a log of entries of these terms. */
  beginWith(node: ClusterNode, terms: readonly number[], term: number): void {
    this.crash(node, 0);
    node.disk.log.entries = logOf(terms);
    node.disk.hardState = { term: term as Term, votedFor: null };
    this.restart(node);
  }

  /** Time jumps to the first deadline of a node that is up, and that node is told. */
  passTime(node: ClusterNode): void {
    if (!node.isUp || node.raft.deadline > Number.MAX_SAFE_INTEGER / 2) return;
    if (node.raft.deadline > this.now) this.now = node.raft.deadline;
    this.step(node, { kind: "deadline" });
  }

  /** All faults end: time goes on in order, everything arrives, until `isDone` or `turnsMax`. */
  settle(isDone: () => boolean, turnsMax = 3000): boolean {
    for (const node of this.nodes) {
      this.restart(node);
      this.thaw(node);
    }
    this.cut([]);
    return this.runUntil(isDone, turnsMax);
  }

  /** Time goes on in order and disks are quick, until `isDone` when all is quiet. */
  runUntil(isDone: () => boolean, turnsMax = 3000): boolean {
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

  /** One leader, in a simple membership, whose members have equal logs, and nobody waits. */
  hasConverged(): boolean {
    const leader = this.leader();
    if (leader === null) return false;
    const last = leader.raft.lastIndex;
    const { membership, isVoter } = leader.raft.status();
    const members = membership.members.map((member) => this.node(member.id));
    return (
      isVoter &&
      membership.outgoing.length === 0 &&
      this.#open.size + this.#transfers.size + this.#reads.size === 0 &&
      members.every(({ raft }) => raft.lastIndex === last && raft.commitIndex === last) &&
      members.every(({ disk }) => disk.hardState.loss === undefined)
    );
  }

  describe(): string {
    const open = [...this.#open.keys(), ...this.#transfers.keys(), ...this.#reads.keys()];
    const nodes = this.nodes.map(({ raft }) => {
      const { membership } = raft.status();
      return `${describeStatus(raft.status())} ${describeMembership(membership)}`;
    });
    return [...nodes, `unanswered: ${open.join(" ")}`].join("\n");
  }

  #add(name: MemberId, log: HostLog, founding: Membership | null = null): void {
    const hardState = { term: (founding === null ? 0 : 1) as Term, votedFor: null };
    if (founding !== null) log.entries.push(foundingEntry(founding));
    const disk = { hardState, log, checkpoint: 0, pending: [] };
    this.nodes.push(new ClusterNode(name, this.#start(name, disk, 1), disk));
  }

  #start(name: MemberId, { hardState, log, checkpoint }: Disk, starts: number): Raft {
    const prng = new Prng(`${name}/${starts}`);
    const restored = { hardState, ...log.restored(checkpoint) };
    return new this.#machine(optionsOf(name, { ...this.#options, prng }), restored, this.now);
  }

  #ask(node: ClusterNode, open: Map<number, MemberId>): number {
    const asked = ++this.#ids;
    if (node.isUp) open.set(asked, node.name);
    return asked;
  }

  #answer(node: ClusterNode, { verdicts, reads, transfers }: RaftOutput): void {
    for (const verdict of verdicts) {
      const { proposalId } = verdict;
      this.oracle.demand(this.#open.get(proposalId) === node.name, `one verdict #${proposalId}`);
      this.#open.delete(proposalId);
      if (verdict.kind === "refused") this.oracle.refused(proposalId);
      if (verdict.kind === "unknown") this.seen.unknown += 1;
      if (verdict.kind !== "committed") continue;
      const entry = this.committed[verdict.index - 1];
      const isRight = entry?.term === verdict.term && entry.offset === verdict.offset;
      const isIt = entry?.kind === "membership" || entry?.bodyCrc === proposalId;
      this.oracle.demand(isRight && isIt, `#${proposalId} is committed where its verdict says`);
      if (entry?.control?.kind !== "membership") continue;
      const isFinal = entry.control.membership.outgoing.length === 0;
      this.oracle.demand(isFinal, `#${proposalId} is answered with the final membership`);
    }
    for (const { readId, ...read } of reads) {
      const asked = this.#reads.get(readId);
      this.oracle.demand(asked?.node === node.name, `one answer for read ${readId}`);
      this.#reads.delete(readId);
      if (read.kind === "refused") continue;
      this.seen.reads += 1;
      const isFresh = read.readIndex >= (asked?.atLeast ?? 0);
      this.oracle.demand(isFresh, `read ${readId} sees all that was committed before it`);
    }
    for (const { transferId, kind } of transfers) {
      const isAsked = this.#transfers.get(transferId) === node.name;
      this.oracle.demand(isAsked, `one verdict for transfer ${transferId}`);
      this.#transfers.delete(transferId);
      if (kind === "completed") this.seen.transfers += 1;
    }
  }

  #durableCommit(node: ClusterNode): number {
    return Math.min(node.commitIndex, node.raft.status().durableIndex);
  }

  #write(node: ClusterNode, write: LogWrite): void {
    if (write.install !== undefined) {
      this.oracle.checkInstall(node, write.install);
      this.seen.installs += 1;
    }
    if (write.truncateFrom !== null) this.seen.truncations += 1;
    this.oracle.demand(node.cached.perform(write), "writes leave no gap");
    for (const entry of write.entries) {
      this.oracle.checkMatching(entry);
      if (entry.control?.kind !== "membership") continue;
      this.seen.memberships += 1;
      if (entry.control.membership.outgoing.length > 0) this.seen.joint += 1;
    }
    node.disk.pending.push(write);
  }

  #send(node: ClusterNode, send: Send): void {
    const { name: from, cached } = node;
    const { to } = send;
    if (send.kind === "snapshot") {
      const snapshot: Snapshot = cached.snapshotAt(cached.start.index);
      const { term, round } = send;
      this.oracle.demand(snapshot.at.index >= send.at, "the base checkpoint is there");
      this.mail.push({
        from,
        to,
        load: { kind: "snapshot-received", from, term, round, snapshot },
      });
      return;
    }
    const message = send.kind === "message" ? send.message : this.#withEntries(node, send);
    this.oracle.checkPromise(node, to, message);
    if (!this.nodes.some(({ name }) => name === to)) return;
    this.mail.push({ from, to, load: message });
  }

  #withEntries(node: ClusterNode, send: Extract<Send, { kind: "entries" }>): RaftMessage {
    const { kind: _, to: __, lastIndex, bytesMax, ...rest } = send;
    this.oracle.demand(rest.term === node.raft.term, "entries leave in the term that is led");
    const entries: Entry[] = [];
    let bytes = 0;
    for (const entry of node.cached.between(send.prevIndex, lastIndex)) {
      bytes += entry.frame.length;
      if (entries.length > 0 && bytes > bytesMax) break;
      entries.push(entry);
    }
    const isThere = entries[0]?.index === send.prevIndex + 1;
    this.oracle.demand(
      isThere,
      `the log has what is sent: ${describeMessage({ ...rest, kind: "append-request", entries })}`,
    );
    return { kind: "append-request", ...rest, entries };
  }
}
