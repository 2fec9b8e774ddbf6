// A user's own machines in a run: makes one for each life of each node, and asks after every turn
// in which one of them changed whether what the user says of all of them still holds. Owns the
// machines that live; what they do is the user's.

import type { NodeId } from "../src/base/ids.ts";
import type { StateMachine } from "../src/state/state-machine.ts";
import type { Computer, Observer, Stage } from "./observer.ts";
import type { RecordValues } from "./sim-record.ts";

/** What a user brings to a run. */
export interface OwnMachine<M extends StateMachine = StateMachine> {
  /** Makes the machine of a life of a node; `life` is 1 at its first start. */
  machine(name: string, life: number): M;
  /**
   * What does not hold of the machines that live, by the names of their nodes; null when all does.
   */
  invariant?(machines: ReadonlyMap<string, M>): string | null;
  /** The name of the property that a broken invariant breaks; "machine-invariant". */
  readonly property?: string;
  /** What the clients write; absent: values that mean nothing. */
  readonly values?: RecordValues;
}

export class MachineWatch<M extends StateMachine> implements Observer {
  readonly #own: OwnMachine<M>;
  readonly #living = new Map<string, M>();
  #stage: Stage | null = null;
  #hasChanged = false;

  constructor(own: OwnMachine<M>) {
    this.#own = own;
  }

  attach(stage: Stage): void {
    this.#stage = stage;
  }

  /** The machine of a life that begins, as its node has it. */
  make(name: NodeId, life: number): StateMachine {
    const machine = this.#own.machine(name, life);
    this.#living.set(name, machine);
    return {
      apply: (head, body) => {
        this.#hasChanged = true;
        machine.apply(head, body);
      },
      snapshot: () => machine.snapshot(),
      restore: (snapshot) => {
        this.#hasChanged = true;
        machine.restore(snapshot);
      },
    };
  }

  nodeCrashed({ name }: Computer): void {
    this.#living.delete(name);
  }

  nodeStopped({ name }: Computer): void {
    this.#living.delete(name);
  }

  afterTurn({ name }: Computer): void {
    if (!this.#hasChanged || this.#stage === null) return;
    this.#hasChanged = false;
    const broken = this.#own.invariant?.(this.#living) ?? null;
    if (broken === null) return;
    const property = this.#own.property ?? "machine-invariant";
    const facts = [broken, `it is so after a turn of ${name}`];
    this.#stage.report({ property, facts, at: this.#stage.now, node: name });
  }
}
