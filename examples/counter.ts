// A replicated counter on the bare consensus core, driven by hand: three servers in one process,
// with a clock, a network and disks of a few lines each. The leader is lost in the middle and comes
// back with what its disk had; in the end all three agree. Run it: node dist/examples/counter.js

import type {
  Entry,
  Instant,
  LogWrite,
  MemberId,
  RaftMessage,
  RaftOutput,
  Send,
} from "cairnlog/raft";
import { bodyOf, commandDraft, NEVER_VOTED, RaftNode, restoredFrom } from "cairnlog/raft";

const NAMES = ["ada", "bob", "cy"];
const TRIP = 1_000; // microseconds

/** One server: the core, a disk that survives a crash, and a counter that does not. */
class Server {
  readonly name: MemberId;
  readonly entries: Entry[] = [];
  #hardState = NEVER_VOTED;
  raft: RaftNode | null = null;
  #applied = 0;
  counter = 0;

  constructor(name: string) {
    this.name = name as MemberId;
  }

  start(now: Instant): void {
    this.#applied = 0;
    this.counter = 0;
    const restored = restoredFrom(NAMES, this.#hardState, this.entries);
    this.raft = new RaftNode({ id: this.name, voters: NAMES, seed: this.name, restored }, now);
  }

  write({ hardState, truncateFrom, entries }: LogWrite): void {
    if (hardState !== null) this.#hardState = hardState;
    if (truncateFrom !== null) this.entries.length = truncateFrom - 1;
    this.entries.push(...entries);
  }

  applyUpTo(commitIndex: number): void {
    for (; this.#applied < commitIndex; this.#applied++) {
      const entry = this.entries[this.#applied] as Entry;
      if (entry.kind === "command") this.counter += bodyOf(entry)[0] ?? 0;
    }
  }
}

const servers = NAMES.map((name) => new Server(name));
const mail: { at: number; from: MemberId; to: MemberId; message: RaftMessage }[] = [];
const committed: number[] = [];
let now = 0 as Instant;

/** The entries of an append are the host's: the core only says which. */
function messageOf(sender: Server, send: Send): RaftMessage | null {
  if (send.kind === "message") return send.message;
  if (send.kind === "snapshot") return null; // Nothing is ever trimmed here.
  const { term, prevIndex, prevTerm, lastIndex, commitIndex, round } = send;
  const entries = sender.entries.slice(prevIndex, lastIndex);
  return { kind: "append-request", term, prevIndex, prevTerm, commitIndex, round, entries };
}

function perform(server: Server, output: RaftOutput): void {
  if (output.write !== null) {
    server.write(output.write);
    server.raft?.step(now, { kind: "persisted", writeId: output.write.writeId });
  }
  for (const send of output.sends) {
    const message = messageOf(server, send);
    if (message !== null) mail.push({ at: now + TRIP, from: server.name, to: send.to, message });
  }
  for (const verdict of output.verdicts) {
    if (verdict.kind === "committed") committed.push(verdict.proposalId);
  }
  server.applyUpTo(output.commitIndex);
}

/** Lets virtual time pass: mail when it arrives, alarms when they are due. */
function run(until: () => boolean): void {
  for (let turns = 0; !until() && turns < 100_000; turns++) {
    const alarms = servers.map(({ raft }) => raft?.deadline ?? Infinity);
    now = Math.max(now, Math.min(mail[0]?.at ?? Infinity, ...alarms)) as Instant;
    const letter = mail[0] !== undefined && mail[0].at <= now ? mail.shift() : undefined;
    for (const server of servers) {
      const { raft } = server;
      if (raft === null) continue; // It is down, and so is mail for it.
      if (letter?.to === server.name) raft.step(now, { kind: "received", ...letter });
      else if (letter === undefined) raft.step(now, { kind: "deadline" });
      for (let out = raft.takeOutput(); out !== null; out = raft.takeOutput()) perform(server, out);
    }
  }
}

const leader = () => servers.find(({ raft }) => raft?.role === "leader");

/** Proposes one addition at whoever leads, and waits until it is committed. */
function add(proposalId: number, amount: number): void {
  run(() => leader() !== undefined);
  const draft = commandDraft(Uint8Array.of(amount));
  leader()?.raft?.step(now, { kind: "proposed", proposalId, draft });
  run(() => committed.includes(proposalId));
}

for (const server of servers) server.start(now);
add(1, 10);
add(2, 20);
const lost = leader();
if (lost !== undefined) lost.raft = null; // Its memory is gone, its disk is not.
add(3, 5);
lost?.start(now);
run(() => servers.every(({ counter }) => counter === 35));
for (const { name, counter, raft } of servers) {
  console.log(`${name}: counter ${counter}, ${raft?.role}, term ${raft?.term}`);
}
