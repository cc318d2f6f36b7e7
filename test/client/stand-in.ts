import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { type WebSocket, WebSocketServer } from "ws";
import type { RequestFrame } from "../../src/contract/stream.ts";

export type StandIn = AsyncDisposable & { readonly url: string };

type Reply = (answer: object) => void;

/** A server that speaks the protocol and does only what the test says: what a real one would not, or not when wanted. */
export async function startStandIn(
  answer: (frame: RequestFrame, reply: Reply, socket: WebSocket) => void,
): Promise<StandIn> {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1", path: "/stream" });
  server.on("connection", (socket) => {
    socket.on("message", (text) => {
      const frame = JSON.parse(text.toString()) as RequestFrame;
      answer(frame, (said) => socket.send(JSON.stringify({ id: frame.id, ...said })), socket);
    });
  });
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      for (const socket of server.clients) socket.terminate();
      server.close();
      await once(server, "close");
    },
  };
}
