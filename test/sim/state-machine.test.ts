// A user's own machine on the log, through crashes, cuts and elections: on every node it hears
// every committed record once, in order, and what it became is the same everywhere.

import { expect, test } from "vitest";

import { drawPlan } from "../../sim/swarm.ts";
import { World } from "../../sim/world.ts";
import type { FrozenBytes } from "../../src/base/bytes.ts";
import { crc32c } from "../../src/base/crc32c.ts";
import type { EntryHead } from "../../src/base/entry.ts";
import { decodeBatch } from "../../src/base/record-batch.ts";
import type { StateMachine } from "../../src/state/state-machine.ts";

/** Counts records and chains their bytes: any loss, repetition or swap changes it for good. */
class Chain implements StateMachine {
  nextOffset = 0;
  chain = 0;

  apply(head: EntryHead, body: FrozenBytes): void {
    expect(head.offset).toBe(this.nextOffset);
    const records = decodeBatch(body) ?? [];
    expect(records.length).toBe(head.count);
    for (const { value } of records) this.chain = crc32c(value, this.chain);
    this.nextOffset += head.count;
  }

  snapshot(): Uint8Array {
    return new TextEncoder().encode(JSON.stringify([this.nextOffset, this.chain]));
  }

  restore(snapshot: FrozenBytes): void {
    const [nextOffset, chain] = JSON.parse(new TextDecoder().decode(snapshot)) as number[];
    this.nextOffset = nextOffset ?? 0;
    this.chain = chain ?? 0;
  }
}

test.each(["42", "16", "3379"])("seed %s: the machines of all nodes end up equal", (seed) => {
  const living = new Map<string, Chain>();
  let lives = 0;
  const world = new World(drawPlan(seed), [], (name) => {
    const machine = new Chain();
    living.set(name, machine);
    lives++;
    return machine;
  });
  expect(world.run()).toEqual({ kind: "pass" });
  const running = world.nodes.filter(({ host, isLost, isOutside }) => {
    return host !== null && !isLost && !isOutside;
  });
  // Whoever was removed keeps what it had then.
  const known = running.map(({ host }) => host?.status());
  const best = known.toSorted((a, b) => (b?.commitIndex ?? 0) - (a?.commitIndex ?? 0))[0];
  const members = new Set(best?.members.map(({ id }) => id));
  const up = running.filter(({ name }) => members.has(name));
  const machines = up.map(({ name }) => living.get(name));
  const [first] = machines;
  expect(up.length).toBeGreaterThan(1);
  expect(lives).toBeGreaterThan(world.nodes.length);
  expect(first?.nextOffset).toBeGreaterThan(100);
  expect(machines.map((machine) => machine?.nextOffset)).toEqual(
    up.map(({ host }) => host?.status().endOffset),
  );
  for (const machine of machines) expect(machine).toEqual(first);
});
