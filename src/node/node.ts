// One node as a pure machine: log, Raft and state joined, peers and clients connected. Every turn
// of the host gives it the mail and the time, and takes one output. Owns the order in which the
// machines hear each other; owns no decision of theirs, no clock, no disk and no socket.
//
//   peers  --link-frame-->  Links  --received-->  Raft  --write-->  Log  --operations-->  disk
//   clients --request-->  State.admit --proposed--^   ^--persisted--+   <--disk-done--
//
// Production and simulation construct it through createNode (create-node.ts).

import { assert, unreachable } from "../base/assert.ts";
import type { NodeStatus } from "../base/client.ts";
import type { EntryHead } from "../base/entry.ts";
import type { Fault } from "../base/faults.ts";
import {
  earlier,
  type Instant,
  type MemberId,
  NEVER,
  NO_TERM,
  type NodeId,
  type Term,
} from "../base/ids.ts";
import type { Machine } from "../base/machine.ts";
import { nameOf } from "../base/membership.ts";
import type { Prng } from "../base/prng.ts";
import type { LogOpened, LogOutput, LogRead, LogStatus } from "../log/protocol.ts";
import type { FaultSites } from "../ports/fault-sites.ts";
import type { RaftEvent, RaftOutput, RaftStatus, Send } from "../raft/protocol.ts";
import type { Raft } from "../raft/raft.ts";
import { State } from "../state/state.ts";
import type { StateMachine } from "../state/state-machine.ts";
import { Administration } from "./administration.ts";
import { Appends } from "./appends.ts";
import { Applier } from "./applier.ts";
import { Backups, DISK_FULL, LOG_REPLACED } from "./backups.ts";
import { Fetches } from "./fetches.ts";
import { founderOf, foundingMembership } from "./founding.ts";
import { Links } from "./links.ts";
import { nodeStatus, notLeader, notServing, type Phase } from "./node-status.ts";
import { OutputDraft } from "./output.ts";
import type { MemberAddress, NodeEvent, NodeOptions, NodeOutput, Stopped } from "./protocol.ts";
import { Reads } from "./reads.ts";
import { type CommittedState, type RaftListener, Replica } from "./replica.ts";
import { Replication } from "./replication.ts";
import { Requests, type Standing } from "./requests.ts";
import { Safekeeping } from "./safekeeping.ts";
import { Sites } from "./sites.ts";
import { PART_BYTES_MAX, type SnapshotMessage } from "./snapshot-wire.ts";
import { Snapshots } from "./snapshots.ts";
import { describeLoss, describeRefusal, failedDisk, MACHINE_LOST, MENDING } from "./status.ts";
import { hexOf } from "./wire-head.ts";

/** Of a build that knew its members from its settings alone. */
const NO_MEMBERSHIP =
  "the log names no members: it was written by a build before memberships were part of it, and " +
  "this one cannot tell whose votes counted; read it with the build that wrote it";

/** Accepted links: two for each member, and as many again while links are replaced. */
const LINKS_ACCEPTED_MAX = 256;
/** Nodes that are no members and still dialed, because they greeted. */
const STRANGERS_MAX = 16;

export class Node implements Machine<NodeEvent, NodeOutput>, RaftListener, Standing {
  readonly #options: NodeOptions;
  readonly #replica: Replica;
  readonly #appends: Appends;
  readonly #fetches: Fetches;
  readonly #applier: Applier | null;
  readonly #sites: Sites | null;
  readonly #reads = new Reads();
  readonly #backups: Backups;
  readonly #admin: Administration;
  readonly #safekeeping: Safekeeping;
  readonly #requests: Requests;
  #founders: readonly MemberAddress[];
  #phase: Phase = "new";
  #links: Links | null = null;
  #replication: Replication | null = null;
  #snapshots: Snapshots | null = null;
  #isOpened = false;
  #now = 0 as Instant;
  readonly #output = new OutputDraft();
  /** The term led when Raft's output was last taken. */
  #ledTerm: Term | null = null;
  #lastLeader: MemberId | null = null;
  #poison: Fault | null = null;
  #damage: string | null = null;
  /** The log has lost entries that its peers are giving back. */
  #isMending = false;

  /** `machine` hears every committed entry with records; null when nobody wants to. */
  constructor(
    options: NodeOptions,
    prng: Prng,
    machine: StateMachine | null = null,
    faultSites: FaultSites | null = null,
  ) {
    this.#sites = faultSites === null ? null : new Sites(faultSites);
    this.#applier = machine === null ? null : new Applier(machine);
    this.#options = options;
    this.#founders = options.members;
    this.#fetches = new Fetches(options.requestsWaitingMax);
    const instanceId = hexOf(prng.fork("node.instance").bytes(16));
    this.#replica = new Replica(options, prng, instanceId, this, machine !== null);
    this.#backups = new Backups(this.#replica, this.#output);
    this.#admin = new Administration(options, this.#replica);
    this.#safekeeping = new Safekeeping(options, this.#replica, this.#output);
    this.#appends = new Appends(options, this.#replica, this.#safekeeping);
    this.#requests = this.#makeRequests();
  }

  #makeRequests(): Requests {
    const parts = { replica: this.#replica, appends: this.#appends, fetches: this.#fetches };
    const rest = { reads: this.#reads, admin: this.#admin, output: this.#output };
    return new Requests({ ...parts, ...rest, backups: this.#backups, standing: this });
  }

  get #raft(): Raft | null {
    return this.#replica.raft;
  }

  get #state(): State {
    return this.#replica.state;
  }

  get deadline(): Instant {
    if (this.#phase !== "serving") return NEVER;
    const peers = earlier(this.#raft?.deadline ?? NEVER, this.#links?.deadline ?? NEVER);
    const own = earlier(
      this.#replica.logDeadline,
      earlier(this.#admin.deadline, earlier(this.#reads.deadline, this.#backups.deadline)),
    );
    const rest = earlier(this.#safekeeping.deadline, this.#snapshots?.deadline ?? NEVER);
    return earlier(earlier(peers, own), rest);
  }

  step(now: Instant, event: NodeEvent): void {
    assert(now >= this.#now, "time does not go back", now, this.#now);
    this.#now = now;
    switch (event.kind) {
      case "start":
        assert(this.#phase === "new", "a node starts once");
        this.#phase = "opening";
        this.#replica.stepLog(now, { kind: "open" });
        return;
      case "disk-done":
        this.#replica.stepLog(now, event);
        return;
      case "link-opened":
        this.#linkOpened(now, event);
        return;
      case "link-frame":
        this.#hear(now, event);
        return;
      case "link-closed":
        this.#linkClosed(now, event);
        return;
      case "request":
        this.#requests.request(now, event.request);
        return;
      case "founders":
        this.#hearFounders(event.members);
        return;
      case "addresses":
        this.#links?.setHints(now, event.members);
        return;
      case "peer-failed":
        this.#hearFailure(event.name);
        return;
      case "stop":
        this.#stop();
        return;
      case "deadline":
        this.#ring(now);
        return;
      default:
        unreachable(event);
    }
  }

  takeOutput(): NodeOutput | null {
    this.#settle();
    return this.#output.take();
  }

  status(now: Instant): NodeStatus {
    const parts = {
      options: this.#options,
      phase: this.#phase,
      replica: this.#replica,
      links: this.#links,
      safekeeping: this.#safekeeping,
      damage: this.#damage ?? (this.#isMending ? MENDING : null),
    };
    return nodeStatus(parts, now);
  }

  raftStatus(): RaftStatus | null {
    return this.#raft?.status() ?? null;
  }

  logStatus(): LogStatus {
    return this.#replica.logStatus();
  }

  /** Null until the log is open. */
  committedState(): CommittedState | null {
    return this.#isOpened ? this.#replica.committedState() : null;
  }

  // ---- peers ----

  #linkOpened(now: Instant, event: Extract<NodeEvent, { kind: "link-opened" }>): void {
    const { link } = event;
    if (this.#phase === "serving" && this.#links !== null) {
      this.#links.opened(now, link, event.dialed, event.identity);
      return;
    }
    // Left open, it would stay silent until the dialer's patience with hellos is over.
    const closes = [{ link, why: "not serving" }];
    this.#output.links({ dials: [], sends: [], closes, notices: [] });
  }

  #hear(now: Instant, event: Extract<NodeEvent, { kind: "link-frame" }>): void {
    if (this.#phase !== "serving" || this.#links === null) return;
    const heard = this.#links.frame(now, event.link, event.frame);
    if (heard === null) return;
    const { from, payload } = heard;
    if (payload.kind === "raft") {
      this.#heed(from, { kind: "received", from, message: payload.message });
    } else this.#hearOfSnapshot(from, payload.message);
  }

  /** What a peer has said; Raft drops what no correct peer says. */
  #heed(from: MemberId, event: RaftEvent): void {
    const raft = this.#raft;
    const before = raft?.dropped;
    this.#replica.consult(this.#now, event);
    if (raft === null || raft.dropped === before) return;
    this.#links?.dropped(this.#now, from, raft.lastDropped ?? "for no reason");
  }

  #hearOfSnapshot(from: MemberId, message: SnapshotMessage): void {
    const event =
      message.kind === "snapshot-reply"
        ? this.#snapshots?.replied(this.#now, from, message)
        : this.#snapshots?.partReceived(this.#now, from, message, {
            commitIndex: this.#state.committed.index,
            membership: this.#state.committedMembership,
            term: this.#raft?.term ?? NO_TERM,
            leader: this.#raft?.leader ?? null,
          });
    if (event != null) this.#heed(from, event);
  }

  #linkClosed(now: Instant, event: Extract<NodeEvent, { kind: "link-closed" }>): void {
    const peer = this.#links?.closed(now, event.link, event.why) ?? null;
    if (peer !== null && this.#phase === "serving") {
      this.#replica.consult(this.#now, { kind: "peer-unreachable", peer });
    }
  }

  #ring(now: Instant): void {
    if (this.#phase !== "serving") return;
    this.#links?.ring(now);
    this.#reads.ring(now);
    this.#backups.ring(now);
    this.#safekeeping.ring(now);
    if (this.#replica.logDeadline <= now) this.#replica.stepLog(now, { kind: "deadline" });
    for (const event of this.#snapshots?.ring(now) ?? []) this.#replica.consult(now, event);
    if (this.#raft !== null && this.#raft.deadline <= now)
      this.#replica.consult(this.#now, { kind: "deadline" });
  }

  // ---- clients ----

  notServing(): Fault | null {
    return notServing(this.#phase, this.#poison);
  }

  notReading(): Fault | null {
    if (!this.#isOpened) return { code: "not-serving", state: "opening" };
    const stops = this.#phase === "stopping" || this.#phase === "stopped";
    return stops ? { code: "not-serving", state: "stopping" } : null;
  }

  /** The same as notLeader for whoever seldom needs it. */
  readonly #toldLeader = (): Fault => this.notLeader();

  notLeader(): Fault {
    return notLeader(this.#replica, this.#links);
  }

  // ---- turning outputs into events, until nobody has more to say ----

  #settle(): void {
    for (;;) {
      for (const read of this.#fetches.takeReads()) this.#replica.stepLog(this.#now, read);
      for (const task of this.#snapshots?.takeTasks() ?? []) this.#replica.stepLog(this.#now, task);
      this.#backUp();
      this.#apply();
      this.#maybeFound();
      this.#safekeeping.maybeHandOver(this.#now);
      if (this.#links !== null) this.#admin.advance(this.#now, this.#links, this.#toldLeader);
      const raftSpoke = this.#replica.performRaft();
      const logOutput = this.#replica.takeLogOutput();
      if (logOutput !== null) this.#performLog(logOutput);
      else if (!raftSpoke) break;
    }
    for (const answer of this.#appends.takeAnswers()) this.#output.answer(answer);
    for (const answer of this.#fetches.takeAnswers()) this.#output.answer(answer);
    for (const answer of this.#admin.takeAnswers()) this.#output.answer(answer);
    for (const answer of this.#reads.takeAnswers()) this.#output.answer(answer);
    for (const answer of this.#backups.takeAnswers()) this.#output.answer(answer);
    const links = this.#links?.takeOutput() ?? null;
    if (links !== null) this.#output.links(links);
  }

  #backUp(): void {
    for (const id of this.#reads.takeConfirmed()) this.#backups.begin(this.#now, id);
    for (const event of this.#backups.takeEvents()) this.#replica.stepLog(this.#now, event);
  }

  raftSpeaks(raft: Raft, output: RaftOutput): void {
    this.#sites?.performing(raft, output, this.#state.committed.index);
    this.#noticeLeadership(raft);
  }

  raftSpoke(raft: Raft, output: RaftOutput, hasCommitted: boolean): void {
    if (hasCommitted && raft.role === "leader") this.#appends.committed(output.commitIndex);
    if (hasCommitted) this.#fetches.advanced(this.#requests.readable);
    const { verdicts, transfers, reads } = output;
    if (verdicts.length + transfers.length + reads.length > 0) this.#performVerdicts(output);
    if (this.#isMending && !raft.isMending) {
      this.#isMending = false;
      this.#output.notice("info", "log-mended", { lastIndex: raft.lastIndex });
    }
    const { index, endOffset } = this.#state.committed;
    this.#reads.committed(index, endOffset);
    if (output.membership !== null) this.#dialMembers();
    for (const send of output.sends) this.#performSend(send);
  }

  #performVerdicts(output: RaftOutput): void {
    const notLeader = this.notLeader();
    for (const verdict of output.verdicts) {
      if (this.#admin.maybeVerdict(this.#now, verdict, notLeader)) continue;
      this.#appends.verdict(verdict, notLeader);
    }
    this.#admin.transferred(output, notLeader);
    for (const read of output.reads) {
      this.#reads.verdict(
        read,
        read.kind === "refused" ? this.#readRefusal(read.leader) : notLeader,
      );
    }
  }

  /** Refused by ourselves while leading: too many wait. Else: somebody else leads. */
  #readRefusal(leader: MemberId | null): Fault {
    if (leader !== this.#replica.self) return this.notLeader();
    return { code: "overloaded", what: "reads", retryAfterMs: 50 };
  }

  #dialMembers(): void {
    if (this.#links !== null) this.#admin.dialMembers(this.#now, this.#links);
  }

  #performSend(send: Send): void {
    const read =
      send.kind === "snapshot"
        ? this.#snapshots?.begin(this.#now, send)
        : this.#replication?.send(send);
    if (read != null) this.#replica.stepLog(this.#now, read);
  }

  #noticeLeadership(raft: Raft): void {
    const ledTerm = raft.role === "leader" ? raft.term : null;
    if (this.#ledTerm !== ledTerm) {
      // What waited under the old leadership may have been replaced since: it is told before any
      // commit of the new one is looked at.
      if (this.#ledTerm !== null) this.#appends.leadershipLost();
      this.#ledTerm = ledTerm;
      this.#snapshots?.onlyOf(ledTerm);
      if (ledTerm !== null) this.#output.notice("info", "became-leader", { term: ledTerm });
    }
    if (this.#lastLeader !== raft.leader) {
      this.#lastLeader = raft.leader;
      this.#output.notice("info", "leader-changed", { leader: raft.leader, term: raft.term });
    }
  }

  #performLog(output: LogOutput): void {
    this.#output.operations(output.operations);
    if (output.opened !== null) this.#becomeServing(output.opened);
    if (output.refused !== null) {
      this.#damage = describeRefusal(output.refused);
      this.#stopWith("log-refused", this.#damage);
    }
    if (output.rolled !== null) {
      this.#replica.rolled();
      this.#admin.maybeRetain(this.#now);
      this.#sites?.reached("segment-roll");
    }
    if (output.trimmed !== null) this.#replica.trimmed(this.#now, output.trimmed.base);
    if (output.persisted !== null) this.#replica.persisted(this.#now, output.persisted);
    this.#safekeeping.logSpoke(this.#now, output);
    if (output.room === "full") this.#backups.giveUp(DISK_FULL);
    for (const base of output.bases) {
      if (this.#backups.maybeBase(this.#now, base)) continue;
      const event = this.#snapshots?.baseRead(this.#now, base) ?? null;
      if (event !== null) this.#replica.consult(this.#now, event);
    }
    for (const received of output.received) {
      const event = this.#snapshots?.baseReceived(received) ?? null;
      if (event?.kind === "snapshot-received") this.#heed(event.from, event);
    }
    for (const read of output.reads) this.#performRead(read);
    if (output.poisoned !== null) this.#becomePoisoned(output.poisoned);
    if (output.closed) this.#becomeStopped({ kind: "clean" });
  }

  entryCommitted(head: EntryHead): void {
    this.#safekeeping.committed(head);
  }

  /** Asks for what the user's machine has not seen yet; no more than one read is under way. */
  #apply(): void {
    if (this.#phase !== "serving") return;
    const applier = this.#applier;
    if (applier === null) return;
    // A checkpoint holds the state and the machine as of one entry.
    const awaits = this.#replica.checkpointAwaits;
    if (awaits === applier.appliedIndex) this.#replica.finishCheckpoint(applier.save());
    const upTo = this.#replica.checkpointAwaits ?? this.#state.committed.index;
    const read = applier.nextRead(upTo);
    if (read !== null) this.#replica.stepLog(this.#now, read);
  }

  checkpointTaken(): void {
    this.#sites?.reached("checkpoint");
  }

  stateReplaced(state: State): void {
    this.#safekeeping.replaced();
    this.#backups.giveUp(LOG_REPLACED);
    const { index } = state.committed;
    if (this.#applier?.maybeRestore(index, state.takeMachine()) === false) {
      this.#output.notice("error", "machine-left-behind", { index, why: MACHINE_LOST });
      this.#applier.stop();
    }
  }

  #performRead(read: LogRead): void {
    if (this.#applier?.maybeApply(read) === true) return;
    if (this.#safekeeping.maybeRead(this.#now, read)) return;
    if (this.#fetches.maybeFinish(read, this.#requests.readable)) return;
    if (this.#backups.maybeRead(this.#now, read)) return;
    if (this.#raft !== null) this.#replication?.entriesRead(read, this.#raft);
  }

  // ---- phases ----

  #becomeServing(opened: LogOpened): void {
    this.#isOpened = true;
    if (!this.#replica.maybeRestore(this.#now, opened)) {
      this.#stopWith("log-refused", NO_MEMBERSHIP);
      return;
    }
    if (this.#applier?.maybeBegin(opened, this.#state.takeMachine()) === false) {
      this.#stopWith("machine-lost", MACHINE_LOST);
      return;
    }
    this.#phase = "serving";
    this.#links = this.#makeLinks(opened.identity.instanceId);
    this.#replication = new Replication(this.#links, this.#output);
    this.#snapshots = this.#makeSnapshots(this.#links);
    this.#dialMembers();
    this.#safekeeping.begin(this.#now);
    this.#links.ring(this.#now);
    const { hardState, lost } = opened;
    if (lost !== null) {
      const { index: from } = lost;
      this.#output.notice("error", "log-lost-entries", { from, why: describeLoss(lost) });
    }
    this.#output.notice("info", "log-opened", {
      instance: opened.identity.instanceId,
      lastIndex: opened.end.index,
      endOffset: opened.end.endOffset,
      term: hardState.term,
      cleanStop: opened.cleanStop,
      tornBytes: opened.tornBytes,
    });
    this.#isMending = hardState.loss !== undefined;
  }

  #makeSnapshots(links: Links): Snapshots {
    const { producersMax, snapshotBytesMax, electionTimeoutMax: askAgainAfter } = this.#options;
    const partBytes = this.#options.snapshotPartBytes ?? PART_BYTES_MAX;
    const bounds = { snapshotBytesMax, partBytes, askAgainAfter };
    return new Snapshots(bounds, links, this.#output, ({ at, state }) => {
      return State.restore(producersMax, at, state)?.committedMembership ?? null;
    });
  }

  /** Once: whoever was told that this node awaits a founder may rest on it. */
  #hearFounders(members: readonly MemberAddress[]): void {
    if (this.#founders.length > 0 || this.#links === null || !this.#replica.isEmpty) return;
    this.#founders = members;
    this.#links.setContacts(this.#now, members);
  }

  #hearFailure(name: NodeId): void {
    if (this.#phase !== "serving") return;
    for (const { id: peer } of this.#state.membership.members) {
      const isMeant = nameOf(peer) === name && peer !== this.#replica.self;
      if (isMeant) this.#replica.consult(this.#now, { kind: "peer-unreachable", peer });
    }
  }

  /** Writes the first entry, once all founders have said that they wait for it. */
  #maybeFound(): void {
    const { self, isEmpty } = this.#replica;
    if (this.#links === null || self === null || !isEmpty) return;
    const membership = foundingMembership(self, this.#founders, this.#links.greetings);
    if (membership === null) return;
    this.#output.notice("info", "cluster-founded", { voters: membership.voters.join(", ") });
    this.#replica.found(membership);
  }

  #makeLinks(instanceId: string): Links {
    const { name: self, clusterId, address, redialMin, redialMax } = this.#options;
    const { batchBytesMax: bodyBytesMax } = this.#options;
    const contacts = this.#founders;
    const bounds = { bodyBytesMax, acceptedMax: LINKS_ACCEPTED_MAX, strangersMax: STRANGERS_MAX };
    const awaits = (node: NodeId) => {
      return node === founderOf(this.#founders) && this.#replica.isEmpty;
    };
    const who = { self, clusterId, instanceId, address, contacts, awaits };
    return new Links({ ...who, ...bounds, redialMin, redialMax }, this.#now);
  }

  #stopWith(what: string, why: string): void {
    this.#phase = "refused";
    this.#safekeeping.stop();
    this.#output.notice("error", what, { why });
    this.#output.stopped({ kind: "failed", why });
  }

  /**
   * The disk can no longer be trusted: acknowledge nothing, speak to no peer, serve what is
   * committed.
   */
  #becomePoisoned(fault: Fault): void {
    this.#poison = fault;
    this.#phase = this.#phase === "stopping" ? "stopping" : "poisoned";
    this.#output.notice("error", "disk-poisoned", { fault: JSON.stringify(fault) });
    this.#quit(fault);
    if (this.#phase === "stopping") this.#becomeStopped(failedDisk(fault));
  }

  #stop(): void {
    if (["stopping", "stopped", "refused"].includes(this.#phase)) return;
    this.#phase = "stopping";
    const fault: Fault = { code: "not-serving", state: "stopping" };
    this.#quit(fault);
    this.#fetches.refuseAll(fault);
    if (this.#poison === null) this.#replica.stepLog(this.#now, { kind: "close" });
    else this.#becomeStopped(failedDisk(this.#poison));
  }

  /** Leaves the cluster's conversation: no vote, no ack, no verdict from here on. */
  #quit(fault: Fault): void {
    this.#safekeeping.stop();
    this.#replica.quit();
    this.#ledTerm = null;
    this.#links?.close();
    this.#replication = null;
    this.#snapshots = null;
    this.#appends.abandon();
    this.#admin.abandon(fault);
    this.#reads.refuseAll(fault);
    this.#backups.refuseAll(fault);
  }

  #becomeStopped(how: Stopped): void {
    this.#phase = "stopped";
    this.#fetches.refuseAll({ code: "not-serving", state: "stopped" });
    this.#output.stopped(how);
  }
}
