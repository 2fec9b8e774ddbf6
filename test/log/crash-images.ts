// The images that a crash may leave of a fake disk, just now: of a killed process, and of a power
// loss with every legal subset of what was not synced when they are few, else with drawn ones; and
// with index files in any state. Judges nothing.

import type { Prng } from "../../src/base/prng.ts";
import { baseOfIndex } from "../../src/log/file-names.ts";
import type { CrashChoices, DiskImage, FakeDisk } from "./fake-disk.ts";

export interface ImageBudget {
  /** Up to so many subsets, each is tried. */
  readonly everyMax: number;
  /** When there are more: so many drawn ones, besides none and all. */
  readonly drawn: number;
}

type Take = CrashChoices["take"];

export function* crashImages(
  disk: FakeDisk,
  prng: Prng,
  budget: ImageBudget,
): Generator<DiskImage> {
  yield disk.killImage();
  yield withAnyIndexes(
    disk.killImageWithin((length) => prng.below(length + 1)),
    prng,
  );
  const takes = isFew(disk, budget.everyMax)
    ? everyTake(disk)
    : [takeNone, takeAll, ...Array.from({ length: budget.drawn }, () => drawnTake(disk, prng))];
  for (const take of takes) {
    yield withAnyIndexes(disk.powerLossImage({ take, index: () => null }), prng);
  }
}

const takeNone: Take = () => 0;
const takeAll: Take = (count) => count;

/** Whether there are at most so many ways to take or lose what is not synced. */
function isFew(disk: FakeDisk, most: number): boolean {
  let ways = 1;
  const take: Take = (count) => {
    ways = Math.min(ways * (count + 1), most + 1);
    return count;
  };
  disk.powerLossImage({ take, index: () => null });
  return ways <= most;
}

/** Every way, one after another: which choices there are may depend on those made before. */
function* everyTake(disk: FakeDisk): Generator<Take> {
  let path: number[] = [];
  for (;;) {
    const counts: number[] = [];
    const along = path;
    const take: Take = (count) => {
      const chosen = along[counts.length] ?? 0;
      counts.push(count);
      return chosen;
    };
    disk.powerLossImage({ take, index: () => null });
    let depth = 0;
    const chosen = counts.map((_, n) => along[n] ?? 0);
    yield () => chosen[depth++] ?? 0;
    let last = counts.length - 1;
    while (last >= 0 && chosen[last] === counts[last]) last--;
    if (last < 0) return;
    path = [...chosen.slice(0, last), (chosen[last] as number) + 1];
  }
}

/** One way: evenly drawn, or mostly taken, or mostly lost, or all but one, or one alone. */
function drawnTake(disk: FakeDisk, prng: Prng): Take {
  const bias = prng.below(6);
  if (bias < 4) return (count) => (prng.below(4) < bias ? count : prng.below(count + 1));
  let choices = 0;
  disk.powerLossImage({
    take: (count) => {
      choices++;
      return count;
    },
    index: () => null,
  });
  let odd = prng.below(choices);
  return (count) => ((odd-- === 0) === (bias === 4) ? 0 : count);
}

/** The image with each index file left, gone, cut, stale or full of anything. */
function withAnyIndexes(image: Map<string, Uint8Array>, prng: Prng): DiskImage {
  for (const [file, bytes] of [...image]) {
    if (baseOfIndex(file) === null || prng.chance(1, 4)) continue;
    const at = prng.below(bytes.length + 1);
    switch (prng.below(6)) {
      case 0:
        image.delete(file);
        break;
      case 1:
        image.set(file, bytes.slice(0, at));
        break;
      case 2:
        image.set(file, bytes.slice().fill(0, at));
        break;
      case 3:
        image.set(file, bytes.slice().fill(prng.below(256), prng.below(at + 1), at));
        break;
      case 4:
        image.set(file, new Uint8Array(bytes.length + prng.below(25)));
        break;
      default:
        image.set(file, prng.bytes(bytes.length));
    }
  }
  return image;
}
