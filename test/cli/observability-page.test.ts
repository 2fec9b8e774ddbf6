// docs/observability.md, the dashboard and the alert rules against the metrics that there are.

import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";

import { Metrics } from "../../src/adapters/metrics.ts";
import { NodeMetrics } from "../../src/adapters/node-metrics.ts";

const metrics = new Metrics("1");
const nothing = () => {
  throw new Error("only names are asked for");
};
new NodeMetrics(metrics.registry, {
  host: { status: nothing, raft: nothing, log: nothing, mail: nothing },
  clients: nothing,
  gossip: nothing,
  certificates: nothing,
});

interface Described {
  readonly name: string;
  readonly help: string;
  readonly type: string;
  readonly labels: readonly string[];
}

const described = (await metrics.registry.getMetricsAsJSON())
  .filter(({ name }) => name.startsWith("cairn_"))
  .map(({ name, help, type }): Described => {
    const metric = metrics.registry.getSingleMetric(name) as unknown as { labelNames: string[] };
    return { name, help, type: String(type), labels: metric.labelNames };
  });

/** Names as a query may say them. */
const known = new Map(
  described.flatMap((metric) =>
    metric.type === "histogram"
      ? ["_bucket", "_sum", "_count"].map((end) => [`${metric.name}${end}`, metric] as const)
      : [[metric.name, metric] as const],
  ),
);

const GIVEN_BY_PROMETHEUS = ["le", "instance", "job"];

/** What a query says that no metric of ours has. */
function unknownIn(query: string): string[] {
  const names = query.match(/\bcairn_\w+/g) ?? [];
  const metricsOf = names.map((name) => known.get(name));
  const wrong = names.filter((name) => !known.has(name));
  const inBraces = [...query.matchAll(/\{([^}]*)\}/g)].flatMap(([, inner = ""]) =>
    [...inner.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)].map(([, label = ""]) => label),
  );
  const by = [...query.matchAll(/\bby \(([^)]*)\)/g)].flatMap(([, inner = ""]) =>
    inner.split(",").map((label) => label.trim()),
  );
  const labels = new Set(metricsOf.flatMap((metric) => metric?.labels ?? []));
  const strange = [...inBraces, ...by].filter(
    (label) => !labels.has(label) && !GIVEN_BY_PROMETHEUS.includes(label),
  );
  return [...wrong, ...strange];
}

const dashboard = JSON.parse(readFileSync("docs/monitoring/dashboard.json", "utf8")) as {
  panels: { title: string; targets: { expr: string; legendFormat: string }[] }[];
};
const alerts = parse(readFileSync("docs/monitoring/alerts.yaml", "utf8")) as {
  groups: { rules: { alert: string; expr: string; annotations: Record<string, string> }[] }[];
};

describe("a query", () => {
  test.each([
    ["rate(cairn_made_up[1m])", ["cairn_made_up"]],
    ['cairn_raft_role{place="x"}', ["place"]],
    ["sum by (made) (cairn_raft_term)", ["made"]],
    ["cairn_disk_operation_seconds", ["cairn_disk_operation_seconds"]],
  ])("that is wrong is found: %s", (query, wrong) => {
    expect(unknownIn(query)).toEqual(wrong);
  });

  const panels = dashboard.panels.flatMap(({ title, targets }) =>
    targets.map(({ expr }) => [title, expr] as const),
  );
  test.each(panels)("of the dashboard's “%s” has names that there are: %s", (_title, expr) => {
    expect(expr).toMatch(/cairn_/);
    expect(unknownIn(expr)).toEqual([]);
  });

  const rules = alerts.groups.flatMap((group) => group.rules);
  test.each(rules.map(({ alert, expr }) => [alert, expr] as const))(
    "of the alert %s has names that there are: %s",
    (_alert, expr) => {
      expect(unknownIn(expr)).toEqual([]);
    },
  );

  test("of an alert comes with what to do", () => {
    for (const { alert, annotations } of rules) {
      expect(annotations["summary"], alert).toBeTruthy();
      expect(annotations["what_to_do"], alert).toBeTruthy();
    }
  });
});

test("the dashboard shows every metric but those that a probe or a table is for", () => {
  const shown = new Set(
    dashboard.panels
      .flatMap(({ targets }) => targets.map(({ expr }) => expr))
      .concat(alerts.groups.flatMap(({ rules }) => rules.map(({ expr }) => expr)))
      .flatMap((expr) => expr.match(/\bcairn_\w+/g) ?? [])
      .map((name) => known.get(name)?.name),
  );
  const rest = described.map(({ name }) => name).filter((name) => !shown.has(name));
  expect(rest.sort()).toEqual([
    "cairn_build_info",
    "cairn_gossip_rumors_evicted_total",
    "cairn_log_cached_bytes",
    "cairn_log_scrub_passes_total",
    "cairn_log_segments",
    "cairn_members",
    "cairn_rpc_messages_total",
    "cairn_rpc_started_total",
  ]);
});

test("the page has every metric with its labels and its meaning", () => {
  const page = readFileSync("docs/observability.md", "utf8");
  const rows = [...page.matchAll(/^\| `(cairn_\w+)` \|([^|]*)\| (.*) \|$/gm)];
  const said = rows.map(([, name, labels = "", help]) => [name, labels.trim(), help]);
  const want = described.map(({ name, labels, help }) => [name, labels.join(", "), help]);
  expect(said).toEqual(want);
});
