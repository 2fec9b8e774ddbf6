// A million crash images: workloads drawn from seeds, in every order of files, stopped at every
// effect, as test/log/crash.test.ts does with its few.
import { expect, test } from "vitest";

import { Prng } from "../../src/base/prng.ts";
import type { LogOptions } from "../../src/log/protocol.ts";
import { Enumeration } from "../log/crash-enumeration.ts";
import { drawnSteps, Workload } from "../log/crash-workload.ts";
import { OPTIONS } from "../log/driver.ts";

const IMAGES = 1_000_000;

test("a million crash images each open to a log that was asked for", ({ task }) => {
  let images = 0;
  let nested = 0;
  let seed = 1;
  for (; images < IMAGES; seed++) {
    const prng = new Prng(`crash ${seed}`);
    const options: LogOptions = {
      ...OPTIONS,
      segmentBytesMax: prng.pick([1400, 2500]),
      indexEntriesMax: prng.pick([5, 9]),
      preallocateBytes: prng.pick([0, 600]),
    };
    const enumeration = new Enumeration(`images ${seed}`, options, { everyMax: 16, drawn: 4 });
    const pick = (waiting: readonly string[]) => prng.pick(waiting);
    const steps = drawnSteps(prng.fork("steps"), 8);
    try {
      new Workload(options, pick, enumeration, prng.fork("losses")).run(steps);
    } catch (error) {
      throw new Error(`seed ${seed}: ${JSON.stringify(steps)}`, { cause: error });
    }
    images += enumeration.images;
    nested += enumeration.nested;
  }
  const said = `${images} crash images of ${seed - 1} workloads, ${nested} recoveries crashed`;
  Object.assign(task.meta, { said });
  process.stdout.write(`${said}\n`);
  expect(images).toBeGreaterThanOrEqual(IMAGES);
}, 7_200_000);
