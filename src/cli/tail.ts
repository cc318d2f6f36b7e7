import type { BusEvent } from "../contract/events.ts";
import { jsonLine, visibleLine } from "../core/rendering/visible.ts";
import { type Arguments, flagValue, UsageError } from "./arguments.ts";
import { openClient, serverFlags } from "./call.ts";
import type { Command } from "./command.ts";
import { programName } from "./program-name.ts";

export const tailCommand: Command = {
  name: "tail",
  also: ["follow", "events", "watch"],
  summary: "Follow what happens to messages, agents and conversations, as it happens.",
  usage: "",
  flags: [
    { name: "after", takes: "value", placeholder: "CURSOR", help: "From just after this event (default: from now)" },
    { name: "agent", takes: "value", placeholder: "AGENT", help: "Only what concerns this agent" },
    { name: "message", takes: "value", placeholder: "ID", help: "Only what happens to this message" },
    { name: "conversation", takes: "value", placeholder: "ID", help: "Only this conversation" },
    { name: "event", takes: "list", placeholder: "NAME", help: "Only these, e.g. dead,rejected; may be repeated" },
    ...serverFlags,
  ],
  examples: [
    ["tail", "until Ctrl-C, which names the cursor to go on from"],
    ["tail --event dead,rejected,lease_expired", "only what goes wrong"],
    ["tail --agent bob --json", "an event a line, for a program"],
  ],
  about: "Survives a restart of the server and misses nothing in between. At the end it says how to resume.",
  run: async (run) => {
    const { given, terminal, json, signal } = run;
    const [extra] = given.words;
    if (extra) throw new UsageError("tail takes flags only, e.g. hivepost tail --agent bob");
    await using client = await openClient(run);
    const wanted = filterOf(given);
    const after = flagValue(given, "after");
    const follower = await client.follow(after === undefined ? {} : { after }, (event) => {
      if (wanted(event)) terminal.stdout.write(json ? `${jsonLine(event)}\n` : eventLine(event));
    });
    const stop = () => void follower[Symbol.asyncDispose]();
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    const error = await follower.ended;
    if (error) throw error;
    if (follower.cursor && !json)
      terminal.stderr.write(`to go on from here: ${programName} tail --after ${follower.cursor}\n`);
    return 0;
  },
};

function filterOf(given: Arguments): (event: BusEvent) => boolean {
  const fields = { agent_id: "agent", message_id: "message", conversation_id: "conversation" } as const;
  const asked = Object.entries(fields).flatMap(([field, flag]) => {
    const value = flagValue(given, flag);
    return value === undefined ? [] : [[field as keyof typeof fields, value] as const];
  });
  const names = given.flags.get("event")?.flatMap((it) => it.split(","));
  return (event) =>
    (names === undefined || names.includes(event.event)) &&
    asked.every(([field, value]) => event[field] === value || (field === "agent_id" && event.actor === value));
}

/** One event on one line: when, what, to whom, by whom, why; the reason, which others may have written, in the quotes of JSON. */
export function eventLine({ at, event, actor, message_id, agent_id, conversation_id, reason }: BusEvent): string {
  const about = message_id ?? conversation_id ?? "";
  const whom = agent_id === undefined ? "" : ` for ${agent_id}`;
  const why = reason === undefined ? "" : `: ${jsonLine(reason)}`;
  return `${at}  ${event.padEnd(20)} ${visibleLine(`${about.padEnd(36)}${whom} by ${actor}`)}${why}\n`;
}
