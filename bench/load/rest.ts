import { setTimeout as delay } from "node:timers/promises";
import { parseJson } from "../../src/base/json.ts";
import { createAccount } from "./account.ts";
import type { LoopResult } from "./closed-loop.ts";
import { createFiller } from "./filler.ts";
import { latencyOf } from "./latency.ts";
import { createPoster, type Post } from "./post.ts";
import { agentName } from "./traffic.ts";
import { watchWindow } from "./window.ts";

export type RestOptions = {
  readonly url: string;
  readonly token: string;
  readonly agents: number;
  readonly content_bytes: number;
  /** Requests under way at any moment, each on a connection that is kept. */
  readonly in_flight: number;
  readonly warmup_s: number;
  readonly seconds: number;
  readonly server_pid: number;
};

const fillerCount = 64;

/** Sends over `POST /messages` on kept connections; a message counts when it was answered with 201 and its own content. */
export async function runRest(options: RestOptions): Promise<LoopResult> {
  const account = createAccount(20_000 * (options.warmup_s + options.seconds + 2));
  const post = createPoster({ ...options, connections: options.in_flight });
  for (let agent = 0; agent < options.agents; agent++) await post("PUT", `/agents/${agentName(agent)}`, "{}", 200);
  const run = { stopped: false };
  const senders = Array.from({ length: options.in_flight }, () => sendUntilStopped(options, account, post, run));
  await delay(options.warmup_s * 1_000);
  account.resetLatency();
  const window = await watchWindow(options.seconds, options.server_pid, () => account.countOf("answered"));
  const latency = latencyOf(account);
  run.stopped = true;
  await Promise.all(senders);
  const answered = account.countOf("answered");
  if (answered !== account.opened) throw new Error(`${account.opened} sent, but ${answered} answered`);
  const books = { sent: account.opened, answered, delivered: 0, acknowledged: 0, delivered_again: 0 };
  return { ...window, latency, books };
}

async function sendUntilStopped(
  { agents, content_bytes }: RestOptions,
  account: ReturnType<typeof createAccount>,
  post: Post,
  run: { readonly stopped: boolean },
): Promise<void> {
  const filler = createFiller(account.opened + 1);
  const texts = Array.from({ length: fillerCount }, () => filler(content_bytes - 10));
  while (!run.stopped) {
    const n = account.open(performance.now());
    const content = `${String(n).padStart(9, "0")} ${texts[n % fillerCount]}`;
    const message = { from_agent: agentName(n % agents), to_agent: agentName((n + 1) % agents), content };
    const answer = parseJson(await post("POST", "/messages", JSON.stringify(message), 201)) as { content: string };
    if (answer.content !== content) throw new Error(`message ${n} was answered with another's content`);
    account.note(n, "answered");
  }
}
