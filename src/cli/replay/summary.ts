import { describeDuration } from "../../base/time.ts";
import { visibleLine } from "../../core/rendering/visible.ts";
import { counted } from "../print.ts";
import type { CheckedHistory } from "./check-history.ts";
import type { Played } from "./perform.ts";
import type { Scoreboard } from "./scoreboard.ts";
import type { Survey } from "./survey.ts";

/** What `hivepost replay` says at its end, and prints with `--json`. */
export type Summary = {
  readonly file: string;
  readonly rows: number;
  readonly bad_rows: number;
  readonly bad: Survey["bad"];
  readonly agents: number;
  readonly conversations: number;
  /** Absent after `--check`, which sends nothing. */
  readonly replay?: ReplayFigures;
};

export type ReplayFigures = {
  /** `metadata.replay` of its messages. */
  readonly run: string;
  readonly sent: number;
  readonly accepted: number;
  readonly delivered: number;
  readonly acknowledged: number;
  readonly redelivered: number;
  readonly foreign: number;
  readonly duration_ms: number;
  readonly rate_per_s: number;
  readonly accept_ms: Latency;
  readonly end_to_end_ms: Latency;
  readonly history: CheckedHistory | undefined;
  readonly stopped: boolean;
  readonly verified: boolean;
  readonly problem_count: number;
  readonly problems: readonly string[];
};

export type Latency = { readonly p50: number; readonly p99: number };

export function surveySummary({ file, rows, bad_rows, bad, names, conversations }: Survey): Summary {
  return { file, rows, bad_rows, bad, agents: names.agents.size, conversations: conversations.size };
}

export type Outcome = {
  readonly run: string;
  readonly scoreboard: Scoreboard;
  readonly played: Played;
  readonly history: CheckedHistory | undefined;
};

export function replayFigures({ run, scoreboard, played, history }: Outcome): ReplayFigures {
  const { counts, problems } = scoreboard;
  const entries = [...scoreboard.sent.values()];
  const accepted = entries.flatMap((it) => it.accept_ms ?? []);
  const { duration_ms, stopped } = played;
  return {
    run,
    sent: entries.length,
    accepted: accepted.length,
    delivered: counts.handled,
    acknowledged: counts.acknowledged,
    redelivered: counts.redelivered,
    foreign: counts.foreign,
    duration_ms: Math.round(duration_ms),
    rate_per_s: Math.round(counts.acknowledged / Math.max(0.001, duration_ms / 1_000)),
    accept_ms: latencyOf(accepted),
    end_to_end_ms: latencyOf(entries.flatMap((it) => it.delivery_ms ?? [])),
    history,
    stopped,
    verified: problems.count === 0 && !stopped,
    problem_count: problems.count,
    problems: problems.texts,
  };
}

function latencyOf(observations: readonly number[]): Latency {
  const sorted = Float64Array.from(observations).sort();
  const at = (share: number) => Math.round((sorted[Math.ceil(share * sorted.length) - 1] ?? 0) * 100) / 100;
  return { p50: at(0.5), p99: at(0.99) };
}

export function describeSummary(summary: Summary): string {
  const { file, rows, bad_rows, bad, agents, conversations, replay } = summary;
  const head = `${visibleLine(file)}: ${counted(rows, "message")}, ${counted(agents, "agent")}, ${counted(conversations, "conversation")}\n`;
  const shown = bad.map(({ line, problem }) => `  line ${line}: ${visibleLine(problem)}\n`).join("");
  const more = bad_rows > bad.length ? `  and ${bad_rows - bad.length} more\n` : "";
  const badLines = bad_rows > 0 ? `${counted(bad_rows, "line")} left out:\n${shown}${more}` : "";
  return head + badLines + (replay ? describeFigures(replay) : "");
}

function describeFigures(figures: ReplayFigures): string {
  const { sent, accepted, delivered, acknowledged, redelivered, foreign, accept_ms, end_to_end_ms } = figures;
  const again = redelivered > 0 ? `, ${counted(redelivered, "redelivery", "redeliveries")}` : "";
  const other = foreign > 0 ? `${counted(foreign, "message")} of other origin were received as well\n` : "";
  return (
    `sent ${sent}, accepted ${accepted}, delivered ${delivered}, acknowledged ${acknowledged}${again}\n` +
    `${describeDuration(figures.duration_ms)}, ${counted(figures.rate_per_s, "message")} per second\n` +
    `accepted after p50 ${accept_ms.p50} ms, p99 ${accept_ms.p99} ms; delivered after p50 ${end_to_end_ms.p50} ms, p99 ${end_to_end_ms.p99} ms\n` +
    `${other}${describeHistory(figures)}${describeVerdict(figures)}`
  );
}

function describeHistory({ history }: ReplayFigures): string {
  if (!history) return "";
  const { conversations, pairs, words } = history;
  const asked = [counted(conversations, "conversation"), counted(pairs, "pair"), counted(words, "word")];
  return `asked the history for ${asked.join(", ")}\n`;
}

function describeVerdict({ verified, stopped, problem_count, problems, run }: ReplayFigures): string {
  const more = problem_count > problems.length ? `  and ${problem_count - problems.length} more\n` : "";
  const list = problems.map((it) => `  ${visibleLine(it)}\n`).join("") + more;
  if (problem_count > 0) return `NOT verified: ${counted(problem_count, "problem")}\n${list}`;
  if (stopped || !verified) return "stopped before the end; what was sent is right so far\n";
  return `verified: each accepted once, delivered to its recipient in order, acknowledged once; find it with --metadata.replay ${run}\n`;
}
