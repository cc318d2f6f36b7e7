import { describeDuration } from "../base/time.ts";
import { type Inbox, type Priority, priorities } from "../contract/messages.ts";
import { type Column, counted, shortened, table } from "./print.ts";
import type { WatchedAgent } from "./top-inboxes.ts";

type Counts = Readonly<Record<string, number>>;

/** What `health` tells with a token. */
export type HealthDetail = {
  readonly status: string;
  readonly version?: string;
  readonly uptime_ms?: number;
  readonly store?: {
    readonly depth: Readonly<Record<Priority, number>>;
    readonly oldest_age_ms: number;
    readonly leased: number;
    readonly dead: number;
    readonly counts: Counts;
  };
};

export type Snapshot = {
  readonly at_ms: number;
  readonly health: HealthDetail;
  readonly agents: readonly WatchedAgent[];
  /** The look before, for rates. */
  readonly before: { readonly at_ms: number; readonly counts: Counts } | undefined;
};

export type Frame = { readonly url: string; readonly columns: number; readonly rows: number };

/** The whole screen as text; at most `rows` lines of at most `columns`. */
export function screenOf(snapshot: Snapshot, { url, columns, rows }: Frame): string {
  const head = [...headOf(snapshot, url), ""].map((line) => shortened(line, columns));
  const room = Math.max(1, rows - head.length - 2);
  const shown = snapshot.agents.slice(0, room);
  const hidden = snapshot.agents.length - shown.length;
  const foot = hidden > 0 ? `… and ${counted(hidden, "more agent")}\n` : "";
  return `${head.join("\n")}\n${agentTable(shown, columns)}${foot}`;
}

function headOf({ health, before, at_ms, agents }: Snapshot, url: string): string[] {
  const { status, version, uptime_ms, store } = health;
  const up = uptime_ms === undefined ? "" : `, up ${describeDuration(uptime_ms)}`;
  const title = `hivepost ${version ?? ""} at ${url}: ${status}${up}, ${counted(agents.length, "agent")}`;
  if (!store) return [title, "the token lets nothing more be seen"];
  const waiting = priorities.map((it) => `${it} ${store.depth[it]}`).join("  ");
  const oldest = describeDuration(store.oldest_age_ms);
  return [
    title,
    `waiting     ${waiting}   oldest ${oldest}   leased ${store.leased}   dead ${store.dead}`,
    `per second  ${ratesOf(store.counts, at_ms, before).join("  ")}`,
  ];
}

function ratesOf(counts: Counts, at_ms: number, before: Snapshot["before"]): string[] {
  return Object.entries(counts).map(([name, count]) => {
    if (!before) return `${name} …`;
    const seconds = Math.max(0.001, (at_ms - before.at_ms) / 1_000);
    // Counters start anew with the server.
    const rate = Math.max(0, count - (before.counts[name] ?? 0)) / seconds;
    return `${name} ${rate >= 10 || rate === 0 ? Math.round(rate) : rate.toFixed(1)}`;
  });
}

const titles: readonly Column[] = [
  { title: "agent" },
  { title: "health" },
  { title: "status" },
  { title: "ready", align: "right" },
  { title: "leased", align: "right" },
  { title: "later", align: "right" },
  { title: "held", align: "right" },
  { title: "dead", align: "right" },
  { title: "oldest", align: "right" },
  { title: "last seen" },
  { title: "task" },
];

function agentTable(agents: readonly WatchedAgent[], columns: number): string {
  const rows = agents.map(({ agent, inbox }) => [
    agent.agent_id,
    agent.health,
    agent.status,
    ...(inbox ? depthsOf(inbox) : ["…", "…", "…", "…", "…", "…"]),
    agent.last_seen_at ?? "not yet",
    agent.current_task ?? "",
  ]);
  return table(titles, rows, columns);
}

function depthsOf({ depth, dead, oldest_age_ms }: Inbox): string[] {
  const sum = (state: keyof Inbox["depth"]["normal"]) => priorities.reduce((total, it) => total + depth[it][state], 0);
  const counts = [sum("ready"), sum("leased"), sum("scheduled"), sum("held"), dead];
  return [...counts.map(String), oldest_age_ms === undefined ? "" : describeDuration(oldest_age_ms)];
}
