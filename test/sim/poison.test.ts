// While a run executes, the time of day and chance are out of reach; afterwards all is as before.

import { expect, test } from "vitest";

import { withPoison } from "../../sim/poison.ts";

const sources: Readonly<Record<string, () => unknown>> = {
  "Date.now": () => Date.now(),
  "new Date": () => new Date(),
  "Math.random": () => Math.random(),
  "performance.now": () => performance.now(),
  "process.hrtime": () => process.hrtime(),
  setTimeout: () => setTimeout(() => undefined, 0),
  setImmediate: () => setImmediate(() => undefined),
  queueMicrotask: () => queueMicrotask(() => undefined),
  "process.nextTick": () => process.nextTick(() => undefined),
  "crypto.randomUUID": () => crypto.randomUUID(),
  "crypto.getRandomValues": () => crypto.getRandomValues(new Uint8Array(1)),
};

test.each(Object.keys(sources))("%s throws inside a run and works after it", (name) => {
  const touch = sources[name] as () => unknown;
  withPoison(() => expect(touch).toThrow("out of reach inside a simulation"));
  expect(touch).not.toThrow();
});

test("what was poisoned is put back when the run throws", () => {
  const random = Math.random;
  const boom = () => {
    throw new Error("boom");
  };
  expect(() => withPoison(boom)).toThrow("boom");
  expect(Math.random).toBe(random);
});
