// Where a node's answers to clients go: the service in production, the workload in simulation.

import type { Answer } from "../base/client.ts";

export interface Clients {
  /** Called exactly once for each accepted request. */
  answer(answer: Answer): void;
}
