import { setTimeout as delay } from "node:timers/promises";
import { parseJson } from "../../src/base/json.ts";
import { openConnections } from "./connections.ts";
import { createPoster, type Post } from "./post.ts";

/** An agent that sends as fast as it can, to itself, whatever it is told. */
const agent_id = "flooder";

export type FloodResult = {
  readonly websocket: { readonly accepted: number; readonly refused: number };
  readonly rest: { readonly accepted: number; readonly refused: number };
};

const webSockets = 8;
const restConnections = 8;
/** Requests under way on each WebSocket. */
const window = 256;
const input = { to_agent: agent_id, content: "x".repeat(200) };

type FloodOptions = { readonly url: string; readonly token: string; readonly seconds: number };

/** Floods a server for so many seconds, with a token of the flooder's own. @param options `token` is an admin's. */
export async function runFlood({ url, token: admin, seconds }: FloodOptions): Promise<FloodResult> {
  const token = await enter(createPoster({ url, token: admin, connections: 1 }));
  const websocket = { accepted: 0, refused: 0 };
  const rest = { accepted: 0, refused: 0 };
  const frame = `{"id":1,"op":"sendMessage","input":${JSON.stringify(input)}}`;
  using connections = await openConnections({
    url,
    token,
    count: webSockets,
    onAnswer: ({ ok, id }) => {
      websocket[ok ? "accepted" : "refused"] += 1;
      connections.wires[id % webSockets]?.send(frame.replace('"id":1', `"id":${id}`));
    },
    onDelivery: () => undefined,
  });
  for (const [i, wire] of connections.wires.entries()) {
    for (let n = 0; n < window; n++) wire.send(frame.replace('"id":1', `"id":${i}`));
  }
  const run = { stopped: false };
  const post = createPoster({ url, token, connections: restConnections });
  const posting = Array.from({ length: restConnections }, async () => {
    while (!run.stopped) {
      const accepted = await post("POST", "/messages", JSON.stringify(input), 201).then(
        () => true,
        () => false,
      );
      rest[accepted ? "accepted" : "refused"] += 1;
    }
  });
  await delay(seconds * 1_000);
  run.stopped = true;
  await Promise.all(posting);
  return { websocket, rest };
}

async function enter(post: Post): Promise<string> {
  await post("PUT", `/agents/${agent_id}`, "{}", 200);
  const issued = await post("POST", "/tokens", JSON.stringify({ scopes: ["agent"], agent_id }), 201);
  return (parseJson(issued) as { readonly token: string }).token;
}
