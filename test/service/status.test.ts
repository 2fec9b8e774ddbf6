// The table from fault to gRPC status, row by row, and the texts that clients of the book compare.

import { describe, expect, test } from "vitest";
import { grpcStatusOf } from "../../src/adapters/grpc-status.ts";
import type { Fault, FaultCode } from "../../src/base/faults.ts";
import type { NodeId, Offset } from "../../src/base/ids.ts";
import { Malformed } from "../../src/proto/fields.ts";
import { decodeRpcStatus, type RpcStatus } from "../../src/proto/rpc-status.ts";
import { reasonOf, statusOf } from "../../src/service/status.ts";

const end = 9 as Offset;
const start = 2 as Offset;

/** One of each; a fault that is added to the union does not compile until it is here. */
const faults: { readonly [Code in FaultCode]: Extract<Fault, { code: Code }> } = {
  "not-leader": { code: "not-leader", leader: "n2" as NodeId, address: "127.0.0.1:8402" },
  overloaded: { code: "overloaded", what: "appends", retryAfterMs: 1250 },
  "outcome-unknown": { code: "outcome-unknown" },
  "offset-out-of-range": {
    code: "offset-out-of-range",
    offset: 12,
    startOffset: start,
    endOffset: end,
  },
  "sequence-gap": { code: "sequence-gap", expected: 3, sequence: 5 },
  "producer-fenced": { code: "producer-fenced", epoch: 1, currentEpoch: 2 },
  "duplicate-forgotten": { code: "duplicate-forgotten", sequence: 4 },
  "end-offset-mismatch": { code: "end-offset-mismatch", expected: 3, endOffset: end },
  "fenced-off": { code: "fenced-off" },
  "change-refused": { code: "change-refused", what: "no member is named z" },
  "backup-ended": { code: "backup-ended", what: "the disk is full" },
  "cursor-mismatch": { code: "cursor-mismatch", expected: 3, offset: start },
  "cursor-not-found": { code: "cursor-not-found", name: "mailer" },
  "record-too-large": { code: "record-too-large", bytes: 2_000_000, bytesMax: 1_048_576 },
  malformed: { code: "malformed", what: "ProduceRequest, byte 0: field 1 is missing" },
  "permission-denied": {
    code: "permission-denied",
    subject: "nobody",
    action: "produce",
    object: "*",
  },
  unauthenticated: { code: "unauthenticated", what: "no transport security being used" },
  "not-serving": { code: "not-serving", state: "opening" },
  "disk-failed": { code: "disk-failed", operation: "sync", message: "EIO" },
  "disk-full": { code: "disk-full" },
  damaged: { code: "damaged", file: "00.store", position: 128, what: "checksum" },
  cancelled: { code: "cancelled" },
  "deadline-exceeded": { code: "deadline-exceeded" },
};

/** What the trailer of a fault says, read back. */
function detailsOf(fault: Fault): RpcStatus {
  const { metadata } = grpcStatusOf(fault);
  const [bytes] = metadata.get("grpc-status-details-bin");
  const status = decodeRpcStatus(bytes as Buffer);
  if (status instanceof Malformed) throw new Error(status.what);
  return status;
}

describe("the status of a fault", () => {
  test("is what this table says, for every fault there is", () => {
    const rows = Object.values(faults).map((fault) => {
      const { code, message, retryAfterMs } = statusOf(fault);
      return `${fault.code}: ${code} ${message}${retryAfterMs === null ? "" : ` +${retryAfterMs}`}`;
    });
    expect(rows).toMatchInlineSnapshot(`
      [
        "not-leader: 9 node is not the leader: ask n2 at 127.0.0.1:8402",
        "overloaded: 8 overloaded: appends; nothing happened, try again in 1250 ms +1250",
        "outcome-unknown: 2 outcome unknown: the records may or may not be in the log",
        "offset-out-of-range: 404 offset out of range: 12",
        "sequence-gap: 10 sequence 5 is beyond the producer's next one, 3",
        "producer-fenced: 9 producer epoch 1 is fenced by epoch 2",
        "duplicate-forgotten: 6 sequence 4 is in the log already, too long ago to know its offset",
        "end-offset-mismatch: 10 the log ends at 9, not at the expected 3",
        "fenced-off: 9 the log is fenced with another token: somebody else writes now",
        "change-refused: 9 no member is named z",
        "backup-ended: 10 the backup has ended: the disk is full",
        "cursor-mismatch: 10 the cursor is at 2, not at the expected 3",
        "cursor-not-found: 5 no cursor is named mailer, or it has expired",
        "record-too-large: 3 record of 2000000 bytes is too large, the most is 1048576",
        "malformed: 3 malformed request: ProduceRequest, byte 0: field 1 is missing",
        "permission-denied: 7 nobody not permitted to produce to *",
        "unauthenticated: 16 no transport security being used",
        "not-serving: 14 node is opening: ask another one, or try again +250",
        "disk-failed: 13 the node's disk failed (sync: EIO): ask another node",
        "disk-full: 8 the node's disk is full: nothing was written, reads go on +5000",
        "damaged: 15 damage in 00.store at 128: checksum",
        "cancelled: 1 cancelled by the caller",
        "deadline-exceeded: 4 deadline exceeded",
      ]
    `);
  });

  test.each(Object.values(faults))(
    "$code carries its reason and facts in an ErrorInfo",
    (fault) => {
      const status = detailsOf(fault);
      const { code, ...facts } = fault;
      const info = status.details.find((detail) => detail.kind === "error-info");
      expect(info).toEqual({
        kind: "error-info",
        reason: reasonOf(code),
        domain: "cairnlog",
        metadata: Object.fromEntries(Object.entries(facts).map(([name, v]) => [name, String(v)])),
      });
      expect(status.code).toBe(statusOf(fault).code);
      expect(status.message).toBe(statusOf(fault).message);
    },
  );

  test("for an offset outside of the log is the book's, to the letter", () => {
    const fault = faults["offset-out-of-range"];
    const { code, details } = grpcStatusOf(fault);
    expect({ code, details }).toEqual({ code: 404, details: "offset out of range: 12" });
    expect(detailsOf(fault).details[0]).toEqual({
      kind: "localized-message",
      locale: "en-US",
      message: "The requested offset is outside of the log: 12",
    });
  });

  test("for a denied subject is the seeds': 7 and who may not do what to what", () => {
    const { code, details } = grpcStatusOf(faults["permission-denied"]);
    expect({ code, details }).toEqual({ code: 7, details: "nobody not permitted to produce to *" });
  });

  test("of a follower names the leader in a trailer", () => {
    const { metadata } = grpcStatusOf(faults["not-leader"]);
    expect(metadata.get("cairn-leader")).toEqual(["127.0.0.1:8402"]);
  });

  test("of a node without a leader is UNAVAILABLE, has a delay and no trailer", () => {
    const fault: Fault = { code: "not-leader", leader: null, address: null };
    const { code, metadata } = grpcStatusOf(fault);
    expect(code).toBe(14);
    expect(metadata.get("cairn-leader")).toEqual([]);
    expect(detailsOf(fault).details).toContainEqual({ kind: "retry-info", retryDelayMs: 100 });
  });

  test("leaves out a leader's address that no header can hold", () => {
    const leader = "n2" as NodeId;
    const { metadata } = grpcStatusOf({ code: "not-leader", leader, address: "höst:1\r\n" });
    expect(metadata.get("cairn-leader")).toEqual([]);
  });

  test("of an overloaded node says when to come back", () => {
    expect(detailsOf(faults.overloaded).details).toContainEqual({
      kind: "retry-info",
      retryDelayMs: 1250,
    });
  });
});
