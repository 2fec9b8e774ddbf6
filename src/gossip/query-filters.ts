// Whom a query is for: whether its filters, as they came, match a name and tags. All must match.
// Owns the bounds of what is looked at; the bytes are query-payloads.ts.

import type { FrozenBytes } from "../base/bytes.ts";
import type { NodeId } from "../base/ids.ts";
import type { QueryFilter } from "./messages.ts";
import type { Tags } from "./protocol.ts";
import { decodeFilter } from "./query-payloads.ts";
import { RegularExpression } from "./regular-expression.ts";

/** A query with more matches nobody. */
export const FILTERS_MAX = 16;

/** "unreadable" where nobody can tell: then nobody is meant. */
export type Match = "matches" | "differs" | "unreadable";

/** Whether `self` with these `tags` is meant. */
export function matchFilters(filters: readonly FrozenBytes[], self: NodeId, tags: Tags): Match {
  if (filters.length > FILTERS_MAX) return "unreadable";
  for (const bytes of filters) {
    const filter = decodeFilter(bytes);
    const match = filter === null ? "unreadable" : matchOne(filter, self, tags);
    if (match !== "matches") return match;
  }
  return "matches";
}

function matchOne(filter: QueryFilter, self: NodeId, tags: Tags): Match {
  if (filter.kind === "nodes") return filter.nodes.includes(self) ? "matches" : "differs";
  const expression = RegularExpression.parse(filter.expression);
  if (expression === null) return "unreadable";
  return expression.isFoundIn(tags.get(filter.tag) ?? "") ? "matches" : "differs";
}
