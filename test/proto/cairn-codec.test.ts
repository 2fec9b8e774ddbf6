// The codecs of cairn.v1's reads, cursors and administration against protobufjs, which reads the
// same .proto files: whatever one writes the other reads, and no bytes at all make the decoders
// throw.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { encodeBatch } from "../../src/base/record-batch.ts";
import {
  type AdminChange,
  type AdminStatus,
  decodeChange,
  decodeDeparture,
  decodeKeysRequest,
  decodeKeysResponse,
  decodeRoundTrip,
  decodeRoundTripRequest,
  decodeStatusResponse,
  decodeTransferRequest,
  decodeTrimRequest,
  decodeTrimResponse,
  encodeChange,
  encodeDeparture,
  encodeKeysRequest,
  encodeKeysResponse,
  encodeRoundTrip,
  encodeRoundTripRequest,
  encodeStatusResponse,
  encodeTransferRequest,
  encodeTrimRequest,
  encodeTrimResponse,
} from "../../src/proto/cairn-admin.ts";
import {
  type BackupResponse,
  decodeBackupResponse,
  encodeBackupResponse,
} from "../../src/proto/cairn-backup.ts";
import {
  decodeCommitCursorRequest,
  decodeCursors,
  decodeCursorsRequest,
  decodeDeleteCursorRequest,
  decodeFenceRequest,
  encodeCommitCursorRequest,
  encodeCursors,
  encodeCursorsRequest,
  encodeDeleteCursorRequest,
  encodeFenceRequest,
} from "../../src/proto/cairn-cursors.ts";
import {
  decodeReadRequest,
  decodeReadResponse,
  encodeReadRequest,
  encodeReadResponse,
  type ReadRequest,
  recordsOfBatch,
} from "../../src/proto/cairn-read.ts";
import { Malformed } from "../../src/proto/fields.ts";
import {
  blobs,
  newRecords,
  offsets,
  plain,
  plainRecord,
  texts,
  theirBytes,
  theirReading,
} from "./both-sides.ts";
import { messageType } from "./reference-proto.ts";

const readRequests: fc.Arbitrary<ReadRequest> = fc.record({
  from: fc.oneof(
    fc.record({ kind: fc.constant("offset" as const), offset: offsets }),
    fc.record({ kind: fc.constant("last" as const), count: offsets }),
    fc.record({ kind: fc.constant("timestamp" as const), timestampMs: offsets }),
    fc.record({ kind: fc.constantFrom("earliest" as const, "latest" as const) }),
  ),
  bytesMax: fc.nat(),
  maxWaitMs: fc.nat(),
  consistency: fc.constantFrom("local" as const, "leader" as const, "linearizable" as const),
  endOffset: fc.option(offsets, { nil: null }),
});
const batchesRead = fc.array(
  fc.record({
    offset: offsets,
    timestampMs: offsets,
    records: fc.array(newRecords, { minLength: 1, maxLength: 4 }),
  }),
  { maxLength: 4 },
);
const CONSISTENCY_OF = {
  local: "CONSISTENCY_LOCAL",
  leader: "CONSISTENCY_LEADER",
  linearizable: "CONSISTENCY_LINEARIZABLE",
} as const;

describe("cairn.v1 reads in batches", () => {
  test("a request reads the same on both sides, a place of 0 included", () => {
    fc.assert(
      fc.property(readRequests, (request) => {
        const message = messageType("cairn.v1.ReadRequest");
        const read = message.toObject(message.decode(encodeReadRequest(request)), {
          longs: Number,
          enums: String,
          defaults: false,
        });
        const { from, bytesMax, maxWaitMs, endOffset } = request;
        const value = from.kind === "offset" ? from.offset : from.kind === "last" && from.count;
        const want = {
          ...("timestampMs" in from
            ? { timestampMs: from.timestampMs }
            : { [from.kind]: value === false ? true : value }),
          ...(bytesMax === 0 ? {} : { bytesMax }),
          ...(maxWaitMs === 0 ? {} : { maxWaitMs }),
          consistency: CONSISTENCY_OF[request.consistency],
          ...(endOffset === null ? {} : { endOffset }),
        };
        expect(read).toEqual(want);
        expect(decodeReadRequest(theirBytes("cairn.v1.ReadRequest", want))).toEqual(request);
      }),
    );
  });

  test("an answer's batches are read by a stock library as the records that were appended", () => {
    fc.assert(
      fc.property(batchesRead, offsets, offsets, (appended, startOffset, endOffset) => {
        const batches = appended.map(({ offset, timestampMs, records }) => {
          return {
            offset,
            timestampMs,
            count: records.length,
            codec: 0,
            body: encodeBatch(records),
          };
        });
        const bytes = encodeReadResponse({ batches, startOffset, endOffset });
        const theirs = theirReading("cairn.v1.ReadResponse", bytes);
        const rows = (theirs["batches"] ?? []) as Record<string, unknown>[];
        expect(rows.map((row) => row["offset"] ?? 0)).toEqual(batches.map(({ offset }) => offset));
        for (const [at, row] of rows.entries()) {
          const { values } = row["records"] as { values?: Uint8Array };
          const want = (appended[at]?.records ?? []).flatMap(({ value }) => plain(value));
          expect(plain(values ?? new Uint8Array(0))).toEqual(want);
        }
        const read = decodeReadResponse(bytes);
        if (read instanceof Malformed) throw new Error(read.what);
        expect({ ...read, batches: read.batches.length }).toEqual({
          batches: batches.length,
          startOffset,
          endOffset,
        });
        for (const [at, batch] of read.batches.entries()) {
          const records = recordsOfBatch(batch);
          if (records instanceof Malformed) throw new Error(records.what);
          const want = (appended[at]?.records ?? []).map(plainRecord);
          expect(
            records.map(({ value, key, headers: all }) =>
              plainRecord({ value, ...(key === null ? {} : { key }), headers: all }),
            ),
          ).toEqual(want);
        }
      }),
    );
  });

  test.each([
    ["a consistency that does not exist", [0x40, 4], "the consistency is none of 0 to 3"],
    ["a place that says no to itself", [0x18, 0], "earliest is true or left out"],
  ])("%s is refused", (_what, bytes, reason) => {
    const read = decodeReadRequest(Uint8Array.from(bytes));
    if (!(read instanceof Malformed)) throw new Error("it was read");
    expect(read.what).toContain(reason);
  });
});

describe("cairn.v1 cursors", () => {
  const cursors = fc.array(
    fc.record({ name: texts, offset: offsets, ttlMs: offsets, timestampMs: offsets }),
    { maxLength: 4 },
  );
  const shown = (type: string, bytes: Uint8Array) =>
    messageType(type).toObject(messageType(type).decode(bytes), {
      longs: Number,
      enums: String,
      defaults: true,
    });

  test("commits and deletions read the same on both sides, with and without a condition", () => {
    const conditions = fc.oneof(offsets, fc.constantFrom(null, undefined));
    fc.assert(
      fc.property(texts, offsets, offsets, conditions, (name, offset, ttlMs, expected) => {
        const commit = { name, offset, ttlMs, expected };
        const { expectedOffset, ...read } = shown(
          "cairn.v1.CommitCursorRequest",
          encodeCommitCursorRequest(commit),
        );
        expect(read).toMatchObject({ name, offset, ttlMs, expectNone: expected === null });
        if (typeof expected === "number") expect(expectedOffset).toBe(expected);
        const condition =
          expected === null
            ? { expectNone: true }
            : expected === undefined
              ? {}
              : { expectedOffset: expected };
        const theirs = theirBytes("cairn.v1.CommitCursorRequest", {
          name,
          offset,
          ttlMs,
          ...condition,
        });
        expect(decodeCommitCursorRequest(theirs)).toEqual(commit);
        if (expected === null) return;
        const deletion = { name, expected };
        const deleted = theirBytes("cairn.v1.DeleteCursorRequest", { name, ...condition });
        expect(decodeDeleteCursorRequest(deleted)).toEqual(deletion);
        expect(decodeDeleteCursorRequest(encodeDeleteCursorRequest(deletion))).toEqual(deletion);
      }),
    );
  });

  test("lists of cursors read the same on both sides, and one is a list of one", () => {
    fc.assert(
      fc.property(cursors, (list) => {
        const bytes = encodeCursors(list);
        expect(shown("cairn.v1.ListCursorsResponse", bytes)).toEqual({
          cursors: list.map(({ name, offset, ttlMs, timestampMs }) => {
            return { name, offset, ttlMs, timestampMs };
          }),
        });
        expect(
          decodeCursors(theirBytes("cairn.v1.ListCursorsResponse", { cursors: list })),
        ).toEqual(list);
        const [first] = list;
        if (first === undefined) return;
        const one = shown("cairn.v1.FetchCursorResponse", encodeCursors([first]));
        expect(one).toEqual({ cursor: first });
      }),
    );
  });

  test("questions for cursors and fences read the same on both sides", () => {
    const freshness = fc.constantFrom("local" as const, "leader" as const, "linearizable" as const);
    fc.assert(
      fc.property(
        texts,
        freshness,
        fc.option(texts, { nil: undefined }),
        (name, consistency, expected) => {
          const request = { name, consistency };
          const bytes = encodeCursorsRequest(request);
          const wanted = CONSISTENCY_OF[consistency];
          expect(shown("cairn.v1.FetchCursorRequest", bytes)).toEqual({
            name,
            consistency: wanted,
          });
          expect(shown("cairn.v1.ListCursorsRequest", bytes)).toEqual({
            prefix: name,
            consistency: wanted,
          });
          expect(decodeCursorsRequest("FetchCursorRequest", bytes)).toEqual(request);
          const fence = { token: name, expected };
          const theirs = theirBytes("cairn.v1.FenceRequest", {
            token: name,
            ...(expected === undefined ? {} : { expectedToken: expected }),
          });
          expect(decodeFenceRequest(theirs)).toEqual(fence);
          expect(decodeFenceRequest(encodeFenceRequest(fence))).toEqual(fence);
        },
      ),
    );
  });
});

describe("cairn.v1.Admin", () => {
  const members = fc.record({
    name: texts,
    address: texts,
    isLeader: fc.boolean(),
    instance: texts,
    standing: texts,
    lag: fc.option(offsets),
    answersAs: fc.option(texts),
    replication: fc.option(texts),
  });
  const tagNames = texts.filter((name) => name !== "__proto__");
  const gossiped = fc.record({
    name: texts,
    address: texts,
    status: texts,
    tags: fc.dictionary(tagNames, texts, { maxKeys: 3, noNullPrototype: true }),
  });
  const disks = fc.record({
    room: texts,
    segments: offsets,
    storeBytes: offsets,
    isReserved: fc.boolean(),
    scrubPasses: offsets,
    scrubBytes: offsets,
    scrubIndex: offsets,
    digestsChecked: offsets,
    digestsUnchecked: offsets,
    damage: texts,
  });
  const statuses: fc.Arbitrary<AdminStatus> = fc.record({
    name: texts,
    clusterId: texts,
    state: texts,
    role: texts,
    term: offsets,
    leader: texts,
    commitIndex: offsets,
    lastIndex: offsets,
    durableIndex: offsets,
    startOffset: offsets,
    endOffset: offsets,
    members: fc.array(members, { maxLength: 4 }),
    gossip: fc.array(gossiped, { maxLength: 3 }),
    disk: fc.option(disks),
  });

  test("a member's state reads the same on both sides", () => {
    const type = messageType("cairn.v1.StatusResponse");
    fc.assert(
      fc.property(statuses, (status) => {
        const bytes = encodeStatusResponse(status);
        const read = type.toObject(type.decode(bytes), { longs: Number, defaults: true });
        const brief = (rows: readonly object[]) =>
          rows.map((row) =>
            Object.fromEntries(Object.entries(row).filter(([, is]) => is !== null)),
          );
        const optional = { lag: 0, answersAs: "", replication: "" };
        const shown = (read["members"] as Record<string, unknown>[]).map((row) => row);
        expect({ ...read, members: shown.length }).toEqual({
          ...status,
          members: status.members.length,
        });
        expect(shown.map((row) => ({ ...optional, ...row }))).toEqual(
          brief(status.members).map((row) => ({ ...optional, ...row })),
        );
        const { disk } = status;
        const theirs = { ...status, disk: disk ?? undefined, members: brief(status.members) };
        expect(decodeStatusResponse(theirBytes("cairn.v1.StatusResponse", theirs))).toEqual(status);
      }),
    );
  });

  test("keys of gossip read the same on both sides", () => {
    const acts = fc.constantFrom("list", "install", "use", "remove");
    fc.assert(
      fc.property(acts, texts, fc.array(texts, { maxLength: 4 }), (act, key, keys) => {
        const read = theirReading("cairn.v1.GossipKeysRequest", encodeKeysRequest({ act, key }));
        expect([read["act"], read["key"] ?? ""]).toEqual([act, key]);
        const theirs = theirBytes("cairn.v1.GossipKeysRequest", { act, key });
        expect(decodeKeysRequest(theirs)).toEqual({ act, key });
        const told = theirBytes("cairn.v1.GossipKeysResponse", { keys });
        expect(decodeKeysResponse(told)).toEqual(keys);
        expect(decodeKeysResponse(encodeKeysResponse(keys))).toEqual(keys);
      }),
    );
  });

  test("round trips read the same on both sides", () => {
    const names = texts.filter((name) => name !== "");
    fc.assert(
      fc.property(texts, names, fc.nat(), (from, to, micros) => {
        const read = theirReading(
          "cairn.v1.RoundTripRequest",
          encodeRoundTripRequest({ from, to }),
        );
        expect([read["from"] ?? "", read["to"]]).toEqual([from, to]);
        const asked = theirBytes("cairn.v1.RoundTripRequest", { from, to });
        expect(decodeRoundTripRequest(asked)).toEqual({ from, to });
        const told = theirBytes("cairn.v1.RoundTripResponse", { from, to, micros });
        expect(decodeRoundTrip(told)).toEqual({ from, to, micros });
        expect(decodeRoundTrip(encodeRoundTrip({ from, to, micros }))).toEqual({
          from,
          to,
          micros,
        });
      }),
    );
  });

  test("a change of membership reads the same on both sides", () => {
    const changes = fc.oneof(
      fc.record({
        kind: fc.constant("add" as const),
        name: texts,
        address: texts,
        asVoter: fc.boolean(),
      }),
      fc.record({ kind: fc.constantFrom("remove", "promote", "demote"), name: texts }),
      fc.record({
        kind: fc.constant("replace" as const),
        name: texts,
        withName: texts,
        withAddress: texts,
      }),
      fc.record({
        kind: fc.constant("set" as const),
        voters: fc.array(texts, { maxLength: 3 }),
        learners: fc.array(texts, { maxLength: 3 }),
      }),
    ) as fc.Arbitrary<AdminChange>;
    const theirChange = (change: AdminChange) => {
      const { kind, ...rest } = change;
      if (change.kind === "add") {
        const { name, address, asVoter } = change;
        return { add: { name, address, asLearner: !asVoter } };
      }
      return { [kind]: "name" in rest && Object.keys(rest).length === 1 ? rest.name : rest };
    };
    const type = messageType("cairn.v1.ChangeMembershipRequest");
    fc.assert(
      fc.property(changes, (change) => {
        const read = type.toObject(type.decode(encodeChange(change)), { defaults: true });
        expect(read).toEqual(theirChange(change));
        const theirs = theirBytes("cairn.v1.ChangeMembershipRequest", theirChange(change));
        expect(decodeChange(theirs)).toEqual(change);
      }),
    );
  });

  test("a request for no change at all is refused", () => {
    expect(decodeChange(new Uint8Array(0))).toBeInstanceOf(Malformed);
  });

  test("a transfer reads the same on both sides", () => {
    fc.assert(
      fc.property(texts, (to) => {
        const asked = theirReading("cairn.v1.TransferLeadershipRequest", encodeTransferRequest(to));
        expect(asked["to"] ?? "").toBe(to);
        expect(decodeTransferRequest(encodeTransferRequest(to))).toBe(to);
      }),
    );
  });

  test("a departure reads the same on both sides", () => {
    fc.assert(
      fc.property(texts, fc.boolean(), (name, prune) => {
        const bytes = encodeDeparture({ name, prune });
        const asked = theirReading("cairn.v1.ForceLeaveRequest", bytes);
        expect([asked["name"] ?? "", asked["prune"] ?? false]).toEqual([name, prune]);
        expect(decodeDeparture("ForceLeaveRequest", bytes)).toEqual({ name, prune });
        const leave = theirReading(
          "cairn.v1.LeaveRequest",
          encodeDeparture({ name, prune: false }),
        );
        expect(leave["name"] ?? "").toBe(name);
      }),
    );
  });

  test("a trim and its answer read the same on both sides", () => {
    fc.assert(
      fc.property(offsets, (offset) => {
        expect(decodeTrimRequest(theirBytes("cairn.v1.TrimRequest", { before: offset }))).toBe(
          offset,
        );
        const asked = theirReading("cairn.v1.TrimRequest", encodeTrimRequest(offset));
        const told = theirReading("cairn.v1.TrimResponse", encodeTrimResponse(offset));
        expect([asked["before"] ?? 0, told["startOffset"] ?? 0]).toEqual([offset, offset]);
        expect(decodeTrimResponse(encodeTrimResponse(offset))).toBe(offset);
      }),
    );
  });
});

const heads = fc.record({
  node: texts,
  address: texts,
  clusterId: texts,
  instanceId: texts,
  term: offsets,
  baseIndex: offsets,
  lastIndex: offsets,
  lastTerm: offsets,
  startOffset: offsets,
  endOffset: offsets,
  bytes: offsets,
  hasMachine: fc.boolean(),
});
const backupMessages: fc.Arbitrary<BackupResponse> = fc.oneof(
  heads.map((head) => ({ kind: "head" as const, head })),
  blobs.map((bytes) => ({ kind: "bytes" as const, bytes })),
  fc
    .record({ name: texts, length: offsets, crc: fc.nat(0xffff_ffff) })
    .map((file) => ({ kind: "file" as const, file })),
  offsets.map((files) => ({ kind: "end" as const, files })),
);

test("a part of a backup reads the same on both sides", () => {
  fc.assert(
    fc.property(backupMessages, (message) => {
      const bytes = encodeBackupResponse(message);
      const theirs = theirReading("cairn.v1.BackupResponse", bytes);
      expect(Object.keys(theirs)).toEqual([message.kind]);
      const own = decodeBackupResponse(theirBytes("cairn.v1.BackupResponse", theirs));
      const told = own as BackupResponse;
      if (message.kind === "bytes" && told.kind === "bytes") {
        expect(Array.from(told.bytes)).toEqual(Array.from(message.bytes));
      } else expect(told).toEqual(message);
    }),
  );
});

const decoders: Readonly<Record<string, (bytes: Uint8Array) => unknown>> = {
  decodeReadRequest,
  decodeReadResponse,
  decodeCommitCursorRequest,
  decodeDeleteCursorRequest,
  decodeCursors,
  decodeFenceRequest,
  decodeStatusResponse,
  decodeKeysRequest,
  decodeKeysResponse,
  decodeRoundTrip,
  decodeRoundTripRequest,
  decodeTrimRequest,
  decodeTrimResponse,
  decodeBackupResponse,
  decodeChange,
  decodeTransferRequest,
  decodeDeparture: (bytes) => decodeDeparture("ForceLeaveRequest", bytes),
  decodeCursorsRequest: (bytes) => decodeCursorsRequest("FetchCursorRequest", bytes),
};

test.each(Object.entries(decoders))("no bytes make %s throw", (_name, decode) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => void decode(bytes)));
});
