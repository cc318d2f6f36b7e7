import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import path from "node:path";
import { parseJson } from "../../src/base/json.ts";
import type { LoopResult } from "../load/closed-loop.ts";
import { type HistogramCounts, upperEdgeMs } from "../load/histogram.ts";
import type { BenchResult, Figure } from "../measure/bench.ts";
import { renderLineChart, type Series } from "./line-chart.ts";

const begin = "<!-- results: written by npm run bench -->";
const end = "<!-- end of results -->";

/** Puts the kept results into docs/benchmarks.md, between its two markers, and draws the charts beside it. */
export function renderReport(resultsFolder: string, docsFolder: string): void {
  const results = readResults(resultsFolder);
  const charts = drawCharts(results);
  mkdirSync(path.join(docsFolder, "benchmarks"), { recursive: true });
  for (const { file, svg } of charts) writeFileSync(path.join(docsFolder, "benchmarks", file), svg);
  const images = charts.map(({ file, title }) => `![${title}](benchmarks/${file})`);
  const page = path.join(docsFolder, "benchmarks.md");
  const [before, rest] = readFileSync(page, "utf8").split(begin);
  const after = rest?.split(end)[1];
  if (before === undefined || after === undefined) throw new Error(`${page} lacks the line ${begin} or ${end}`);
  const sections = [...results.map(renderResult), ...images];
  writeFileSync(page, `${before}${begin}\n\n${sections.join("\n\n")}\n\n${end}${after}`);
}

function readResults(folder: string): BenchResult[] {
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder).filter((file) => file.endsWith(".json"));
  return files.sort().map((file) => parseJson(readFileSync(path.join(folder, file), "utf8")) as BenchResult);
}

function renderResult({ bench, question, machine, figures, rounds, rejected_rounds }: BenchResult): string {
  const rejected = rejected_rounds > 0 ? `, ${rejected_rounds} more rejected` : "";
  return [
    `### ${bench}`,
    "",
    `${question}. Median of ${rounds.length} round${rounds.length === 1 ? "" : "s"}${rejected}; ` +
      `${machine.date.slice(0, 10)}, fsync ${machine.fsync_ms} ms, load before ${machine.load_1min}.`,
    "",
    "| figure | median | lowest – highest | wanted |",
    "|---|---:|---:|---|",
    ...figures.map(renderFigure),
  ].join("\n");
}

function renderFigure({ what, unit, median, low, high, wanted, met }: Figure): string {
  const verdict = wanted === undefined ? "" : `${wanted} ${met ? "✓" : "✗ not met"}`;
  return `| ${what} | ${grouped(median)} ${unit} | ${grouped(low)} – ${grouped(high)} | ${verdict} |`;
}

function grouped(value: number | null): string {
  return value === null ? "–" : value.toLocaleString("en-US");
}

type Chart = { readonly file: string; readonly title: string; readonly svg: string };

function drawCharts(results: readonly BenchResult[]): Chart[] {
  const byName = new Map(results.map((result) => [result.bench, result]));
  return [throughputChart(byName.get("send-in-flight")), latencyChart(byName)].filter((it) => it !== undefined);
}

function throughputChart(result: BenchResult | undefined): Chart | undefined {
  if (!result) return;
  const points = result.figures.map(({ what, median }) => [Number.parseInt(what, 10), median] as const);
  const most = Math.max(...points.map(([, rate]) => rate));
  const title = "Durable sends per second by the number in flight";
  const svg = renderLineChart({
    title,
    x: { label: "messages in flight", scale: "log", ticks: points.map(([level]) => level) },
    y: { label: "messages/s", scale: "linear", ticks: ticksUpTo(most) },
    series: [{ name: "WebSocket send, 1 KiB", points }],
  });
  return { file: "send-in-flight.svg", title, svg };
}

/** Share of messages that were done within a time, from the middle round of each bench. */
function latencyChart(results: ReadonlyMap<string, BenchResult>): Chart | undefined {
  const series = [
    cumulative(results.get("send"), "answered", "send, 256 in flight"),
    cumulative(results.get("end-to-end"), "acknowledged", "end to end, 400 outstanding"),
    cumulative(results.get("fleet"), "acknowledged", "500 agents, 1,000/s"),
  ].filter((it) => it !== undefined);
  if (series.length === 0) return;
  const title = "Share of messages done within a time";
  const svg = renderLineChart({
    title,
    x: { label: "milliseconds", scale: "log", ticks: [0.5, 1, 2, 5, 10, 20, 50, 100, 200] },
    y: { label: "share", scale: "linear", ticks: [0, 0.25, 0.5, 0.75, 0.9, 1] },
    series,
  });
  return { file: "latency.svg", title, svg };
}

function cumulative(
  result: BenchResult | undefined,
  step: "answered" | "acknowledged",
  name: string,
): Series | undefined {
  const rounds = (result?.rounds ?? []) as LoopResult[];
  const ranked = rounds.toSorted((a, b) => a.per_second - b.per_second);
  const counts: HistogramCounts | undefined = ranked[Math.floor(ranked.length / 2)]?.latency[step]?.counts;
  if (!counts) return;
  const all = counts.reduce((sum, [, count]) => sum + count, 0);
  let passed = 0;
  const points = counts.map(([bucket, count]) => {
    passed += count;
    return [upperEdgeMs(bucket), passed / all] as const;
  });
  return { name, points };
}

/** Five round numbers from 0 to at least `most`. */
function ticksUpTo(most: number): number[] {
  const step = Math.max(1, Math.ceil(most / 4 / 1_000) * 1_000);
  return [0, 1, 2, 3, 4].map((i) => i * step);
}
