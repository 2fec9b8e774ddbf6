// The script language of the transcripts: one line is one command, what happens is written under
// it. Owns the commands; what nodes say is put into words by describe.ts.
//
//   nodes VOTERS [LEARNERS] [JOINERS]   begins; the nodes are called n1, n2 ...
//   log NODE TERMS TERM                 it begins in a term with entries of these, with commas
//   elect NODE                          its deadline comes, and all settles; only the end is told
//   campaign NODE                       its deadline comes, and nothing else
//   propose NODE [COUNT]                so many proposals in one turn
//   change NODE VOTERS [LEARNERS]       names with commas; "-" for none
//   transfer NODE [TO]                  to the most caught up when nobody is named
//   read NODE [patient]
//   write NODE                          its oldest write is durable
//   deliver [FROM] [TO] [KIND]          what is on its way now; "-" for anybody
//   lose [FROM] [TO] [KIND]
//   cut NAMES / heal                    nothing passes between these and the others
//   crash NODE [WRITES] / restart NODE  so many of its writes had reached the disk
//   lose-end NODE LAST                  it crashes, and its disk ends after that entry; it knows
//   trim NODE BACK                      so many entries before what is committed stay
//   unreachable NODE PEER
//   pass NODE / sleep MS                time passes up to its deadline / for so long, all told
//   settle                              mail and writes, as long as there are any; no time passes
//   stable                              time passes, too, until all have converged
//   status                              a line for each node
//   peers NODE                          how far a leader has brought each of the others

import type { Instant, MemberId } from "../../src/base/ids.ts";
import { describeStatus } from "../../src/raft/describe.ts";
import { Cluster, type ClusterNode } from "./cluster.ts";
import { ms } from "./subject.ts";

const namesIn = (word: string | undefined): string[] =>
  word === undefined || word === "-" ? [] : word.split(",");

/** Plays a script and returns it with everything that happened after each of its lines. */
export function playScript(script: string): string {
  const player = new Player();
  const told: string[] = [];
  for (const line of script.split("\n").map((each) => each.trim())) {
    if (line === "") continue;
    told.push(line.startsWith("#") ? line : `> ${line}`);
    if (!line.startsWith("#")) told.push(...player.play(line).map((each) => `    ${each}`));
  }
  return `${told.join("\n")}\n`;
}

class Player {
  #cluster = new Cluster(1);

  play(line: string): string[] {
    const [command = "", ...words] = line.split(/\s+/);
    if (command === "nodes") {
      const [voters = 1, learners = 0, joiners = 0] = words.map(Number);
      this.#cluster = new Cluster(voters, learners, {}, joiners);
      return [];
    }
    this.#cluster.story = command === "elect" ? null : [];
    const make = this.#commands[command];
    if (make === undefined) throw new Error(`no command: ${line}`);
    make(...words);
    for (const node of this.#cluster.nodes) this.#cluster.take(node);
    const told = this.#cluster.story ?? [describeStatus(this.#node(words[0]).raft.status())];
    return told.filter((each) => !each.includes("   > commit"));
  }

  readonly #commands: Record<string, (...words: string[]) => void> = {
    log: (name, terms, term) => {
      this.#cluster.beginWith(this.#node(name), namesIn(terms).map(Number), Number(term));
    },
    campaign: (name) => this.#cluster.passTime(this.#node(name)),
    elect: (name) => {
      this.#cluster.passTime(this.#node(name));
      this.#settle();
    },
    propose: (name, count = "1") => {
      for (let left = Number(count); left > 0; left--) this.#cluster.propose(this.#node(name));
    },
    change: (name, voters, learners) => {
      this.#cluster.proposeMembership(this.#node(name), namesIn(voters), namesIn(learners));
    },
    transfer: (name, to) => this.#cluster.transfer(this.#node(name), to ?? null),
    read: (name, patient) => this.#cluster.read(this.#node(name), patient === "patient"),
    write: (name) => this.#cluster.writeDurably(this.#node(name)),
    deliver: (from, to, kind) => this.#mail(from, to, kind, (at) => this.#cluster.deliver(at)),
    lose: (from, to, kind) => this.#mail(from, to, kind, (at) => this.#cluster.lose(at)),
    cut: (names) => this.#cluster.cut(namesIn(names) as MemberId[]),
    heal: () => this.#cluster.cut([]),
    crash: (name, writes = "0") => this.#cluster.crash(this.#node(name), Number(writes)),
    restart: (name) => this.#cluster.restart(this.#node(name)),
    "lose-end": (name, last) => {
      this.#cluster.loseEnd(this.#node(name), Number(last));
    },
    trim: (name, back = "0") => this.#cluster.trim(this.#node(name), Number(back)),
    unreachable: (name, peer) => {
      const event = { kind: "peer-unreachable", peer: peer as MemberId } as const;
      this.#cluster.step(this.#node(name), event);
    },
    pass: (name) => this.#cluster.passTime(this.#node(name)),
    sleep: (span) => this.#sleep(Number(span)),
    settle: () => this.#settle(),
    stable: () => {
      if (this.#cluster.settle(() => this.#cluster.hasConverged())) return;
      throw new Error(`it does not converge:\n${this.#cluster.describe()}`);
    },
    peers: (name) => {
      for (const each of this.#node(name).raft.status().peers) {
        const { peer, mode, matchIndex, nextIndex, isMending } = each;
        const mending = isMending ? " mending" : "";
        this.#cluster.story?.push(
          `${peer} ${mode} match ${matchIndex} next ${nextIndex}${mending}`,
        );
      }
    },
    status: () => {
      for (const { raft, isUp } of this.#cluster.nodes) {
        const status = raft.status();
        this.#cluster.story?.push(isUp ? describeStatus(status) : `${status.self} is down`);
      }
    },
  };

  #node(name: string | undefined): ClusterNode {
    return this.#cluster.node(name ?? "");
  }

  /** What is on its way between the two when the command is given, in the order it was sent. */
  #mail(from = "-", to = "-", kind = "-", make: (at: number) => void): void {
    const { mail } = this.#cluster;
    const isMeant = (each: (typeof mail)[number]): boolean =>
      (from === "-" || each.from === from) &&
      (to === "-" || each.to === to) &&
      (kind === "-" || each.load.kind === kind);
    for (const each of mail.filter(isMeant)) make(this.#cluster.mail.indexOf(each));
  }

  #sleep(span: number): void {
    const cluster = this.#cluster;
    const until = (cluster.now + ms(span)) as Instant;
    cluster.now = until;
    for (const node of cluster.nodes) {
      if (node.isUp && node.raft.deadline <= until) cluster.step(node, { kind: "deadline" });
    }
  }

  #settle(): void {
    const cluster = this.#cluster;
    for (let turns = 0; turns < 1000; turns++) {
      for (const node of cluster.nodes) {
        cluster.take(node);
        while (node.disk.pending.length > 0) cluster.writeDurably(node);
        cluster.take(node);
      }
      if (cluster.mail.length > 0) cluster.deliverAll();
      else if (cluster.nodes.every(({ disk }) => disk.pending.length === 0)) return;
    }
    throw new Error(`it does not settle:\n${cluster.describe()}`);
  }
}
