// What `import ... from "cairnlog"` gives: the client. A node is run with `cairn agent`; the
// simulator is `cairnlog/sim`. This file is the package's door and holds nothing of its own.

export type {
  AppendOptions,
  AppendResult,
  CairnErrorCode,
  ClientCredentials,
  CommitCursorOptions,
  ConnectOptions,
  Cursor,
  MembershipChange,
  ProducerCounts,
  ReadCursorOptions,
  ReadOptions,
  ReadRecord,
  RecordToAppend,
  ServerInfo,
  ServerStatus,
} from "./client/client.ts";
export { CairnClient, CairnError, connect } from "./client/client.ts";
