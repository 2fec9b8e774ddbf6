// A machine of one's own in the simulator, and what must hold of it whatever happens: fast-check
// draws plans of mishaps, and shrinks the first that breaks it to the least that does.
//
//   node dist/examples/own-machine.js 10

import {
  decodeBatch,
  type EntryHead,
  type FrozenBytes,
  type OwnMachine,
  plans,
  runPlan,
  type StateMachine,
} from "cairnlog/sim";
import fc from "fast-check";

/** All bytes that were ever written, as a sum to which every node must come alike. */
class Total implements StateMachine {
  endOffset = 0;
  bytes = 0;

  apply(head: EntryHead, body: FrozenBytes): void {
    for (const { value } of decodeBatch(body) ?? []) this.bytes += value.length;
    this.endOffset = head.offset + head.count;
  }

  snapshot(): Uint8Array {
    return new TextEncoder().encode(`${this.endOffset} ${this.bytes}`);
  }

  restore(snapshot: FrozenBytes): void {
    const [endOffset, bytes] = new TextDecoder().decode(snapshot).split(" ").map(Number);
    [this.endOffset, this.bytes] = [endOffset ?? 0, bytes ?? 0];
  }
}

/** Machines that have applied as much are equal, on every node and in every life of it. */
function ownMachine(sums = new Map<number, number>()): OwnMachine<Total> {
  const invariant = (machines: ReadonlyMap<string, Total>) => {
    for (const [name, { endOffset, bytes }] of machines) {
      const known = sums.get(endOffset) ?? bytes;
      if (known !== bytes) return `${name} has ${bytes} up to ${endOffset}, another had ${known}`;
      sums.set(endOffset, bytes);
    }
    return null;
  };
  return { machine: () => new Total(), invariant, property: "equal-sums" };
}

const numRuns = Number(process.argv[2] ?? 3);
const property = fc.property(plans(fc), (plan) => {
  const { violation } = runPlan(plan, [], ownMachine());
  if (violation !== null) throw new Error(`${violation.property}: ${violation.facts.join("; ")}`);
});
fc.assert(property, { numRuns });
console.log(`the sums were equal in ${numRuns} plans`);
