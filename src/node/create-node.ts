// The host of one node: the mailbox in front of it and the performing of its outputs on the ports.
// Production and simulation both come through createNode; from here on nothing differs between
// them.

import type { FrozenBytes } from "../base/bytes.ts";
import type { ClientRequest, NodeStatus } from "../base/client.ts";
import type { DiskResult } from "../base/disk.ts";
import { type LinkId, NEVER, type OpId } from "../base/ids.ts";
import type { LogStatus } from "../log/protocol.ts";
import type { ClockInbox } from "../ports/clock.ts";
import type { DiskInbox } from "../ports/disk.ts";
import type { NetworkInbox } from "../ports/network.ts";
import type { RaftStatus } from "../raft/protocol.ts";
import { Mailbox, type MailClass } from "./mailbox.ts";
import { Node } from "./node.ts";
import type { NodeHost, NodePorts } from "./ports.ts";
import type { News, NodeEvent, NodeOptions, NodeOutput } from "./protocol.ts";
import type { CommittedState } from "./replica.ts";

/** A node on these ports; it does nothing until `start`. */
export function createNode(options: NodeOptions, ports: NodePorts): NodeHost {
  return new Host(options, ports);
}

class Host implements NodeHost, ClockInbox, DiskInbox, NetworkInbox {
  readonly #options: NodeOptions;
  readonly #ports: NodePorts;
  readonly #node: Node;
  readonly #mailbox: Mailbox;
  /** Odd: the node itself counts dialed links in even numbers. */
  #nextAccepted = 1;
  #running = true;

  constructor(options: NodeOptions, ports: NodePorts) {
    this.#options = options;
    this.#ports = ports;
    this.#node = new Node(options, ports.prng, ports.machine, ports.faultSites);
    this.#mailbox = new Mailbox(options.mailboxEventsMax);
    ports.clock.attach(this);
    ports.disk.attach(this);
    ports.network.attach(this);
  }

  start(): void {
    this.#mailbox.offer("admin", { kind: "start" });
    this.#ports.clock.wakeSoon();
  }

  stop(): void {
    this.#mailbox.offer("admin", { kind: "stop" });
    this.#ports.clock.wakeSoon();
  }

  offer(request: ClientRequest): boolean {
    if (!this.#running) return false;
    // Taking a request back must not be refused for want of room.
    if (request.kind === "cancel") return this.#offer("admin", { kind: "request", request });
    const mailClass = READS.has(request.kind) ? "client-read" : "client-write";
    return this.#offer(mailClass, { kind: "request", request });
  }

  hear(news: News): void {
    this.#offer("admin", news);
  }

  status(): NodeStatus {
    return this.#node.status(this.#ports.clock.now());
  }

  raft(): RaftStatus | null {
    return this.#node.raftStatus();
  }

  log(): LogStatus {
    return this.#node.logStatus();
  }

  committedState(): CommittedState | null {
    return this.#node.committedState();
  }

  mail(): Readonly<Record<MailClass, number>> {
    return this.#mailbox.sizes();
  }

  // ---- the ports' inboxes ----

  alarm(): void {
    this.#turn();
  }

  diskDone(opId: OpId, result: DiskResult): void {
    this.#offer("disk", { kind: "disk-done", opId, result });
  }

  nextLinkId(): LinkId {
    const link = this.#nextAccepted as LinkId;
    this.#nextAccepted += 2;
    return link;
  }

  linkOpened(link: LinkId, dialed: boolean, identity: readonly string[] | null): void {
    this.#offer("admin", { kind: "link-opened", link, dialed, identity });
  }

  linkFrame(link: LinkId, frame: FrozenBytes): boolean {
    // The lane is the dialer's promise, not a fact: what is long is bulk, whatever it came on.
    const mailClass = frame.length > CONTROL_BYTES_MAX ? "peer-bulk" : "peer-control";
    return this.#offer(mailClass, { kind: "link-frame", link, frame });
  }

  linkClosed(link: LinkId, why: string): void {
    this.#offer("peer-gone", { kind: "link-closed", link, why });
  }

  #offer(mailClass: Parameters<Mailbox["offer"]>[0], event: NodeEvent): boolean {
    if (!this.#running || !this.#mailbox.offer(mailClass, event)) return false;
    this.#ports.clock.wakeSoon();
    return true;
  }

  // ---- the turn ----

  /**
   * Takes a bounded batch of mail, reads the time once, then lets time pass: after a pause the
   * heartbeat that would have prevented an election is heard before the alarm it came too late for.
   */
  #turn(): void {
    if (!this.#running) return;
    const events = this.#mailbox.take(this.#options.turnEventsMax);
    const now = this.#ports.clock.now();
    this.#ports.recorder?.turnBegins(now, events);
    for (const event of events) this.#node.step(now, event);
    const rings = !this.#mailbox.peersWait && this.#node.deadline <= now;
    if (rings) this.#node.step(now, { kind: "deadline" });
    const output = this.#node.takeOutput();
    this.#ports.recorder?.turnEnds(rings, output);
    if (this.#ports.faultSites?.survives() === false) {
      this.#running = false;
      return;
    }
    if (output !== null) this.#perform(output);
    if (!this.#running) return;
    if (this.#mailbox.size > 0) {
      this.#ports.clock.wakeSoon();
      return;
    }
    const { deadline } = this.#node;
    if (deadline !== NEVER) this.#ports.clock.wakeAt(deadline);
  }

  #perform(output: NodeOutput): void {
    const { disk, network, clients, telemetry, stopped } = this.#ports;
    for (const operation of output.operations) disk.submit(operation);
    for (const { link, peer, address, lane } of output.dials) {
      network.dial(link, peer, address, lane);
    }
    // A send that finds no room is a message lost: Raft sends again what is not answered.
    for (const { link, parts } of output.sends) network.send(link, parts);
    for (const { link, why } of output.closes) network.close(link, why);
    for (const answer of output.answers) clients.answer(answer);
    for (const notice of output.notices) telemetry.notice(notice);
    if (output.stopped !== null) {
      this.#running = false;
      stopped(output.stopped);
    }
  }
}

/** Longer frames carry entries. */
const CONTROL_BYTES_MAX = 1024;

const READS: ReadonlySet<ClientRequest["kind"]> = new Set([
  "fetch",
  "check-tail",
  "read-cursors",
  "begin-backup",
  "read-backup",
]);
