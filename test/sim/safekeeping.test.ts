// The safety of the log over time: entries that are wrong on one node and look whole are found by
// the leader's digests, rot in a sealed segment by scrubbing before a reader meets it; a leader
// without room hands over before anybody is refused, and so does one that cannot bring its base to
// who needs it; and a full disk is trimmed and serves again.

import { describe, expect, test } from "vitest";

import type { Computer, Observer, Stage } from "../../sim/observer.ts";
import { type PlanDraft, planOf } from "../../sim/plan.ts";
import { type RunReport, runPlan } from "../../sim/run.ts";
import type { SimDisk } from "../../sim/sim-disk.ts";
import { World } from "../../sim/world.ts";
import { freeze } from "../../src/base/bytes.ts";
import type { Answer, ClientRequest } from "../../src/base/client.ts";
import { controlDraft } from "../../src/base/control.ts";
import { crc32c } from "../../src/base/crc32c.ts";
import { FRAME_HEADER_BYTES } from "../../src/base/entry.ts";
import type { Instant, NodeId, Offset, RequestId, WallMs } from "../../src/base/ids.ts";
import { baseOfStore } from "../../src/log/file-names.ts";
import { sealFrame } from "../../src/log/frame.ts";
import type { LogStatus } from "../../src/log/protocol.ts";
import { scanStore } from "../../src/log/recovery.ts";

const APPENDS: PlanDraft["operations"] = [
  { kind: "append", client: 0, atMs: 600, times: 200, everyMs: 20, records: 3, bytes: 200 },
  { kind: "append", client: 1, atMs: 610, times: 200, everyMs: 20, records: 2, bytes: 300 },
];

function planWith(fate: Partial<PlanDraft> & { readonly seed: string }) {
  const { options, ...rest } = fate;
  return planOf({
    format: 1,
    nodes: 3,
    mishaps: [],
    options: { segmentBytesMax: 8192, preallocateBytes: 2048, cacheBytesMax: 4096, ...options },
    operations: APPENDS,
    healAtMs: 5000,
    ...rest,
  });
}

/** The last whole entry of the active store, with one bit of its body wrong and all sums right. */
function forge(image: ReadonlyMap<string, Uint8Array>): Map<string, Uint8Array> {
  const forged = new Map(image);
  const store =
    [...image.keys()]
      .filter((file) => baseOfStore(file) !== null)
      .sort()
      .at(-1) ?? "";
  const bytes = Uint8Array.from(image.get(store) ?? []);
  const scanned = scanStore(freeze(bytes.slice()))?.entries ?? [];
  const { entry, position } =
    scanned.filter(({ entry: { kind } }) => kind === "records").at(-1) ?? {};
  if (entry === undefined || position === undefined) throw new Error("nothing to forge");
  const frame = Uint8Array.from(entry.frame);
  frame[frame.length - 1] = (frame.at(-1) ?? 0) ^ 1;
  const bodyCrc = crc32c(frame, 0, FRAME_HEADER_BYTES);
  bytes.set(sealFrame({ ...entry, bodyCrc }, frame), position);
  return forged.set(store, bytes);
}

class Forger implements Observer {
  forged = 0;

  nodeCrashed({ disk }: Computer): void {
    this.forged++;
    (disk as SimDisk).replace(forge(disk.durableImage()));
  }
}

describe("an entry that is another one on one node, checksums and all", () => {
  test("is found by the leader's digest, and the node refuses to go on", () => {
    const forger = new Forger();
    const crash = { kind: "crash", node: 2, how: "power", atMs: 1500, downMs: 100 } as const;
    const world = new World(planWith({ seed: "forged", mishaps: [crash] }), [forger]);
    const verdict = world.run();
    expect(forger.forged).toBe(1);
    expect(verdict.kind).toBe("crash");
    const facts = verdict.kind === "crash" ? verdict.violation.facts.join(" ") : "";
    expect(facts).toMatch(
      /^n2 stopped by itself: the log is damaged in .*\.store at byte 0: entries/,
    );
    expect(facts).toContain("are not those that the cluster agreed on; keep the directory");
    const others = world.nodes.slice(0, 2).map(({ host }) => host?.status().disk);
    for (const disk of others) {
      expect(disk?.digests.checked).toBeGreaterThan(1);
      expect(disk?.damage).toBeNull();
    }
  });

  test("is not seen where none is, through crashes, rolls and other leaders", () => {
    const mishaps = [1200, 2000, 2900, 3800].map((atMs, at) => {
      const node = at % 2 === 0 ? ("leader" as const) : at % 3;
      const how = at % 2 === 0 ? ("power" as const) : ("process" as const);
      return { kind: "crash", node, how, atMs, downMs: 200 } as const;
    });
    const world = new World(planWith({ seed: "honest", mishaps }), []);
    expect(world.run()).toEqual({ kind: "pass" });
    const checked = world.nodes.map(({ host }) => host?.status().disk.digests.checked ?? 0);
    expect(Math.min(...checked)).toBeGreaterThan(3);
  });
});

/** Of one node: whether a read of a client's ever met the damage, and when it stopped. */
class Rot implements Observer {
  damagedReads = 0;
  rottedAt = 0;
  stoppedAt = 0;
  scrubbed: LogStatus["scrub"] | null = null;
  #stage: Stage | null = null;

  attach(stage: Stage): void {
    this.#stage = stage;
  }

  bitsRotted(): void {
    this.rottedAt ||= this.#stage?.now ?? 0;
  }

  answered(_: Computer, answer: Answer): void {
    if (answer.kind === "fault" && answer.fault.code === "damaged") this.damagedReads++;
  }

  nodeStopped({ host }: Computer): void {
    this.stoppedAt ||= this.#stage?.now ?? 0;
    this.scrubbed = host?.log().scrub ?? null;
  }
}

describe("rot in sealed segments", () => {
  const rot = { kind: "bit-rot", node: 1, file: "store", bits: 40, atMs: 2500 } as const;

  function rotting(scrubBytesPerSecond: number): [RunReport, Rot] {
    const observer = new Rot();
    const options = { scrubBytesPerSecond, scrubEveryMs: 500 };
    const plan = planWith({ seed: "rotting", options, mishaps: [rot] });
    return [runPlan(plan, [observer]), observer];
  }

  test("is found by scrubbing before anybody reads it, and the node stops", () => {
    const [report, seen] = rotting(400_000);
    expect([report.verdict, report.violation]).toEqual(["pass", null]);
    expect(seen.damagedReads).toBe(0);
    expect(seen.stoppedAt).toBeGreaterThan(seen.rottedAt);
    expect(seen.stoppedAt - seen.rottedAt).toBeLessThan(2_000_000);
    expect(seen.scrubbed?.bytes).toBeGreaterThan(8192);
  });

  test("stays unseen without scrubbing while nobody reads", () => {
    const [, seen] = rotting(0);
    expect(seen.rottedAt).toBeGreaterThan(0);
    expect(seen.stoppedAt === 0 || seen.stoppedAt > 5_000_000).toBe(true);
  });
});

/** Counts what appenders are told, and who led. */
class Appending implements Observer {
  readonly acked: Instant[] = [];
  diskFull = 0;
  readonly leaders: NodeId[] = [];
  handovers = 0;
  #stage: Stage | null = null;

  attach(stage: Stage): void {
    this.#stage = stage;
  }

  answered(_: Computer, answer: Answer): void {
    if (answer.kind === "appended" && this.#stage !== null) this.acked.push(this.#stage.now);
    if (answer.kind === "fault" && answer.fault.code === "disk-full") this.diskFull++;
  }

  afterTurn({ name, raft }: Computer): void {
    if (raft?.role === "leader" && this.leaders.at(-1) !== name) this.leaders.push(name);
  }

  ackedWithin(fromMs: number, toMs: number): number {
    return this.acked.filter((at) => at >= fromMs * 1000 && at < toMs * 1000).length;
  }
}

describe("a leader whose disk is full", () => {
  test("hands over, and the cluster keeps serving without refusing anybody", () => {
    const observer = new Appending();
    const full = {
      kind: "disk-error",
      node: "leader",
      error: "full",
      failPerMille: 1000,
      atMs: 1500,
      forMs: 3000,
      restartMs: 100,
    } as const;
    const report = runPlan(planWith({ seed: "full leader", mishaps: [full] }), [observer]);
    expect([report.verdict, report.violation]).toEqual(["pass", null]);
    expect(observer.leaders).toHaveLength(2);
    expect(observer.diskFull).toBe(0);
    for (let ms = 1500; ms < 4500; ms += 500) {
      expect(observer.ackedWithin(ms, ms + 500)).toBeGreaterThan(20);
    }
  });
});

test("a leader whose base rotted hands over to who can bring another its own (seed 90013)", () => {
  const mishaps: PlanDraft["mishaps"] = [
    { kind: "crash", node: 2, how: "power", atMs: 900, downMs: 2600 },
    { kind: "bit-rot", node: "leader", file: "checkpoint", bits: 64, atMs: 2800 },
  ];
  const operations: PlanDraft["operations"] = [
    { kind: "append", client: 0, atMs: 500, times: 250, everyMs: 16, records: 2, bytes: 200 },
    { kind: "trim", client: 1, atMs: 1000, times: 12, everyMs: 100, keep: 40 },
  ];
  const observer = new Appending();
  const plan = planWith({ seed: "leader-with-a-rotten-base", mishaps, operations });
  const options = { ...plan.options, segmentBytesMax: 4096 };
  const report = runPlan({ ...plan, options }, [observer]);
  expect([report.verdict, report.violation]).toEqual(["pass", null]);
  expect(observer.leaders).toHaveLength(2);
  expect(report.counts.rottenBits).toBe(64);
});

/** Asks whoever leads to trim all but the last records, from an instant on, once a second. */
class Trimmer implements Observer {
  readonly rooms = new Set<string>();
  #stage: Stage | null = null;
  #nextAt = 3_000_000;
  #asked = 0;

  attach(stage: Stage): void {
    this.#stage = stage;
  }

  afterTurn({ host, raft }: Computer): void {
    if (host === null || this.#stage === null) return;
    const { endOffset, disk } = host.status();
    this.rooms.add(disk.room);
    if (raft?.role !== "leader" || this.#stage.now < this.#nextAt) return;
    this.#nextAt = this.#stage.now + 1_000_000;
    const startOffset = Math.max(0, endOffset - 40) as Offset;
    const draft = controlDraft({ kind: "trim", startOffset }, 0 as WallMs);
    const requestId = (1_000_000 + this.#asked++) as RequestId;
    const request: ClientRequest = { kind: "append", requestId, draft, expectedEndOffset: null };
    host.offer(request);
  }
}

test("disks that are full everywhere are trimmed and serve again", () => {
  const [observer, trimmer] = [new Appending(), new Trimmer()];
  const disk = { capacityBytes: 120_000 };
  const world = new World(planWith({ seed: "small disks", disk }), [observer, trimmer]);
  expect(world.run()).toEqual({ kind: "pass" });
  expect(trimmer.rooms.has("full")).toBe(true);
  expect(observer.diskFull).toBeGreaterThan(0);
  expect(observer.ackedWithin(2800, 3000)).toBe(0);
  expect(observer.ackedWithin(3000, 5000)).toBeGreaterThan(20);
  for (const { host } of world.nodes) {
    expect(host?.status().startOffset).toBeGreaterThan(0);
    expect(host?.status().disk.room).toBe("plenty");
  }
});

/** Whether a node served again, in its second life, before an instant. */
class SecondLife implements Observer {
  servedAt = Number.POSITIVE_INFINITY;
  #stage: Stage | null = null;

  attach(stage: Stage): void {
    this.#stage = stage;
  }

  afterTurn({ life, host }: Computer): void {
    if (life < 2 || host?.status().state !== "serving" || this.#stage === null) return;
    this.servedAt = Math.min(this.servedAt, this.#stage.now);
  }
}

test("a node that is killed on a full disk starts again while the disk is full", () => {
  const observer = new SecondLife();
  const full = {
    kind: "disk-error",
    node: 1,
    error: "full",
    failPerMille: 1000,
    atMs: 1500,
    forMs: 2500,
    restartMs: 100,
  } as const;
  const crash = { kind: "crash", node: 1, how: "process", atMs: 2500, downMs: 200 } as const;
  const report = runPlan(planWith({ seed: "full follower", mishaps: [full, crash] }), [observer]);
  expect([report.verdict, report.violation]).toEqual(["pass", null]);
  expect(observer.servedAt).toBeLessThan(4_000_000);
});
