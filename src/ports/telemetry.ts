// What a node has to say to people and dashboards. Never read back, so it cannot change a decision.

import type { Notice } from "../base/notice.ts";

export interface Telemetry {
  notice(notice: Notice): void;
}
