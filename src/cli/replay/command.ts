import { jsonLine } from "../../core/rendering/visible.ts";
import { type Arguments, countOf, flagValue, quoted, UsageError } from "../arguments.ts";
import { openClient, serverFlags } from "../call.ts";
import type { Command, Run } from "../command.ts";
import type { ExitCode } from "../failure.ts";
import { showProgress } from "../progress.ts";
import { type CheckedHistory, checkHistory } from "./check-history.ts";
import { perform } from "./perform.ts";
import { createProblems, createScoreboard } from "./scoreboard.ts";
import { setStage } from "./stage.ts";
import { describeSummary, type ReplayFigures, replayFigures, type Summary, surveySummary } from "./summary.ts";
import { type Survey, surveyLog } from "./survey.ts";

/** The agents share connections: at least a few, and no more agents on one than a server lets subscribe there. */
const least_connections = 4;
const agents_per_connection = 500;

export const replayCommand: Command = {
  name: "replay",
  summary:
    "Send a recorded conversation log through the running bus as agents would, and verify that all of it arrived.",
  usage: "<file.jsonl[.gz]>",
  flags: [
    {
      name: "speed",
      takes: "value",
      placeholder: "TIMES",
      help: "Multiple of recorded time, e.g. 60 (default: as fast as it goes)",
    },
    {
      name: "agents",
      takes: "value",
      placeholder: "N",
      help: "Let the names of the file share N agents (default: each its own)",
    },
    { name: "limit", takes: "value", placeholder: "N", help: "The first N messages only" },
    { name: "prefix", takes: "value", placeholder: "TEXT", help: "Put before every agent's name" },
    { name: "strict", takes: "switch", help: "Stop at the first bad line instead of leaving it out" },
    { name: "check", takes: "switch", help: "Only read the file and say what is in it" },
    ...serverFlags,
  ],
  examples: [
    ["replay examples/fleet-day.jsonl", "a day of a small fleet, in a moment"],
    ["replay examples/fleet-day.jsonl --speed 3600", "an hour of it per second"],
    ["replay mail.jsonl.gz --check", "what is in it, and which lines are no messages"],
  ],
  about:
    "Each line is a JSON object: who (from, author), to whom (to, target), what (text, content, message), when (at, time,\n" +
    "timestamp) and where (conversation, or project and issue). The agents are registered as `hivepost replay`; a name that\n" +
    "an agent of this hive has already is refused, since a replay would receive its mail. Exit code 1 if anything is wrong.",
  run: replay,
};

async function replay(run: Run): Promise<ExitCode> {
  const { given, terminal, json } = run;
  const [file, extra] = given.words;
  if (!file || extra) throw new UsageError("replay wants one file, e.g. hivepost replay examples/fleet-day.jsonl");
  const options = readOptions(given);
  const reading = showProgress({ screen: terminal.stderr, label: "reading", total: undefined });
  const survey = await surveyLog(file.text, options, reading.update);
  reading.finish();
  if (survey.rows === 0)
    throw new Error(`${file.text} holds no message; hivepost help replay says what a line looks like`);
  const figures = given.flags.has("check") ? undefined : await play(survey, speedOf(given), run);
  const summary: Summary = { ...surveySummary(survey), ...(figures && { replay: figures }) };
  terminal.stdout.write(json ? `${jsonLine(summary)}\n` : describeSummary(summary));
  return figures === undefined || figures.verified ? 0 : 1;
}

function readOptions(given: Arguments) {
  const prefix = flagValue(given, "prefix") ?? "";
  if (prefix && !/^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$/.test(prefix)) {
    throw new UsageError(
      `--prefix ${quoted(prefix)} cannot begin an agent's name: letters, digits and . _ + - only, at most 64`,
    );
  }
  return {
    prefix,
    agents: countOf(given, "agents", { minimum: 1, maximum: 1_000_000 }),
    limit: countOf(given, "limit", { minimum: 1, maximum: Number.MAX_SAFE_INTEGER }) ?? Number.POSITIVE_INFINITY,
    strict: given.flags.has("strict"),
  };
}

function speedOf(given: Arguments): number | undefined {
  const text = flagValue(given, "speed");
  if (text === undefined) return undefined;
  const speed = Number(text);
  if (speed > 0 && Number.isFinite(speed)) return speed;
  throw new UsageError(`--speed wants a positive number such as 60, not ${quoted(text)}`);
}

async function play(survey: Survey, speed: number | undefined, run: Run): Promise<ReplayFigures> {
  const { terminal, signal } = run;
  await using clients = new AsyncDisposableStack();
  const open = async () => clients.use(await openClient(run));
  const sender = await open();
  const connections = Math.max(least_connections, Math.ceil(survey.names.agents.size / agents_per_connection));
  const receivers = await Promise.all(Array.from({ length: connections }, open));
  const show = (label: string, total: number) => showProgress({ screen: terminal.stderr, label, total });

  const staging = show("registering", survey.names.agents.size + survey.conversations.size);
  const conversations = await setStage(sender, survey, staging.update);
  staging.finish();

  const runId = crypto.randomUUID();
  const scoreboard = createScoreboard(createProblems());
  const sending = show("sending", survey.rows);
  const observer = await open();
  const played = await perform({
    ...{ survey, run: runId, conversations, scoreboard, sender, receivers, observer, speed, signal },
    onSent: sending.update,
  });
  sending.finish();

  let history: CheckedHistory | undefined;
  if (!played.stopped) {
    const asking = show("asking the history", survey.conversations.size);
    const sent = [...scoreboard.sent.values()].filter((it) => it.accept_ms !== undefined);
    const { problems } = scoreboard;
    history = await checkHistory({ client: sender, run: runId, sent, conversations, problems, onQuery: asking.update });
    asking.finish();
  }
  return replayFigures({ run: runId, scoreboard, played, history });
}
