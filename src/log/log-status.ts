// What a log says of itself to who looks at it: numbers that its parts have, put together. Owns
// nothing that the log goes by.

import { LOG_START, type LogPoint } from "../base/entry.ts";
import type { LogIndex } from "../base/ids.ts";
import type { LogStatus } from "./protocol.ts";
import type { ResidentTail } from "./resident-tail.ts";
import type { Scrub } from "./scrub.ts";
import type { Segments } from "./segments.ts";
import type { Space } from "./space.ts";
import type { Upkeep } from "./upkeep.ts";
import type { Writer } from "./writer.ts";

const NEVER_SCRUBBED = { passes: 0, bytes: 0, baseIndex: 1 as LogIndex, position: 0 };

/** What there is to look at once the directory is open. */
export interface StatusParts {
  readonly segments: Segments;
  readonly resident: ResidentTail;
  readonly writer: Writer;
  readonly upkeep: Upkeep;
  readonly space: Space;
  readonly scrub: Scrub;
}

type OwnFacts = Pick<LogStatus, "state" | "room" | "durableIndex"> & { readonly end: LogPoint };

export function statusOf(own: OwnFacts, opened: StatusParts | null): LogStatus {
  const start = opened?.upkeep.start ?? LOG_START;
  return {
    ...own,
    segments: opened?.segments.count ?? 0,
    startIndex: (start.index + 1) as LogIndex,
    startOffset: start.endOffset,
    writtenIndex: opened?.segments.active.lastIndex ?? start.index,
    storeBytes: opened?.segments.storeBytes ?? 0,
    cachedBytes: opened?.resident.bytes ?? 0,
    backlogBytes: opened?.writer.backlogBytes ?? 0,
    isReserved: opened?.space.isReserved ?? false,
    scrub: opened?.scrub.status ?? NEVER_SCRUBBED,
  };
}
