// The key-value machine in the simulator: crashes, cuts, slow and lying disks, and a whole cluster
// that must agree all the same. Two claims of our own: machines that have applied as much are
// equal, and every linearizable get is explained by what clients wrote. Run it on seeds 1 to 10:
//
//   node dist/examples/key-value/simulate.js 1 10

import type { Call, Computer, Observer, OwnMachine, Stage } from "cairnlog/sim";
import { drawPlan, runPlan } from "cairnlog/sim";

import { type Command, decodeCommand, encodeCommand, KeyValueMachine } from "./machine.ts";

const KEYS = 8;

/** The command that the simulated clients write as their record of that number. */
function commandOf(id: number): Command {
  const key = `k${id % KEYS}`;
  return id % 5 === 0 ? { delete: key, id } : { set: key, to: `v${id}`, id };
}

const values = {
  encode: (record: number) => encodeCommand(commandOf(record)),
  decode: (value: Uint8Array) => decodeCommand(value)?.id ?? null,
};

/** The first machine to apply so much says what all others have to be then. */
class Agreement {
  readonly #known = new Map<number, string>();

  findBroken(machines: ReadonlyMap<string, KeyValueMachine>): string | null {
    for (const [name, machine] of machines) {
      const said = machine.describe();
      const known = this.#known.get(machine.endOffset) ?? said;
      this.#known.set(machine.endOffset, known);
      if (said !== known) return `${name} at ${machine.endOffset} is ${said}, another was ${known}`;
    }
    return null;
  }
}

interface Get {
  readonly key: string;
  /** The linearizable end of the log, asked for before. */
  readonly end: number;
  readonly call: Call;
}

/** After each check of the tail, a get at every node, once its machine has come so far. */
class Gets implements Observer {
  readonly #machines: ReadonlyMap<string, KeyValueMachine>;
  readonly #waiting = new Map<string, Get[]>();
  #stage: Stage | null = null;
  count = 0;

  constructor(machines: ReadonlyMap<string, KeyValueMachine>) {
    this.#machines = machines;
  }

  attach(stage: Stage): void {
    this.#stage = stage;
  }

  returned(call: Call): void {
    if (call.facts?.kind !== "tail") return;
    const get = { key: `k${call.id % KEYS}`, end: call.facts.endOffset, call };
    for (const { name } of this.#stage?.nodes ?? []) {
      this.#waiting.set(name, [...(this.#waiting.get(name) ?? []), get]);
    }
  }

  /** Whoever waited at this node has lost the connection. */
  nodeCrashed({ name }: Computer): void {
    this.#waiting.delete(name);
  }

  afterTurn({ name }: Computer): void {
    const machine = this.#machines.get(name);
    const waiting = this.#waiting.get(name);
    if (machine === undefined || waiting === undefined || this.#stage === null) return;
    const due = waiting.filter(({ end }) => machine.endOffset >= end);
    if (due.length === 0) return;
    this.#waiting.set(
      name,
      waiting.filter((get) => !due.includes(get)),
    );
    for (const get of due) {
      const value = machine.get(get.key);
      this.count++;
      if (isExplained(get, value, this.#stage.history.calls)) continue;
      const facts = [
        `a get of ${get.key} at ${name} gave ${value}`,
        "no order of writes gives that",
      ];
      const { now: at } = this.#stage;
      this.#stage.report({ property: "unexplained-get", facts, at, node: name });
    }
  }
}

/**
 * What was acknowledged last, before the get began, or anything that may have come after it. By the
 * clients' own history: no machine is asked.
 */
function isExplained({ key, call }: Get, value: string | null, calls: readonly Call[]): boolean {
  let last: { readonly offset: number; readonly value: string | null } = {
    offset: -1,
    value: null,
  };
  const later: { readonly offset: number; readonly value: string | null }[] = [];
  for (const { question, facts, outcome, end } of calls) {
    if (question.kind !== "append" || outcome === "fail") continue;
    for (const [at, record] of question.records.entries()) {
      const command = commandOf(record);
      const [written, to] = "set" in command ? [command.set, command.to] : [command.delete, null];
      if (written !== key) continue;
      const offset = facts?.kind === "appended" ? facts.offset + at : Number.POSITIVE_INFINITY;
      const write = { offset, value: to };
      if (outcome === "ok" && end <= call.start) last = offset > last.offset ? write : last;
      else later.push(write);
    }
  }
  return [last, ...later].some((write) => write.offset >= last.offset && write.value === value);
}

/** One seed; how many gets were answered, or what went wrong. */
function simulate(seed: string): { readonly line: string; readonly isWell: boolean } {
  const machines = new Map<string, KeyValueMachine>();
  const agreement = new Agreement();
  const gets = new Gets(machines);
  const own: OwnMachine<KeyValueMachine> = {
    machine: (name) => {
      const machine = new KeyValueMachine();
      machines.set(name, machine);
      return machine;
    },
    invariant: (living) => agreement.findBroken(living),
    property: "machines-agree",
    values,
  };
  const { verdict, violation, counts } = runPlan(drawPlan(seed), [gets], own);
  const what = violation === null ? "" : `: ${violation.property}: ${violation.facts.join("; ")}`;
  const line = `seed ${seed}: ${verdict}, ${counts.crashes} crashes, ${gets.count} gets${what}`;
  return { line, isWell: verdict === "pass" };
}

const [first = 1, last = 10] = process.argv.slice(2).map(Number);
for (let seed = first; seed <= last; seed++) {
  const { line, isWell } = simulate(String(seed));
  console.log(line);
  if (!isWell) process.exitCode = 1;
}
