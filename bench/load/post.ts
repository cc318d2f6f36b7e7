import { once } from "node:events";
import { connect, type Socket } from "node:net";

/** One request over a kept connection; rejects where the status is not the expected one. Resolves with the body. */
export type Post = (method: string, path: string, body: string, expected: number) => Promise<string>;

/*
 * HTTP/1.1 as far as a load generator needs it, for the reason given in wire.ts: `node:http` took 249 µs of CPU a
 * request where this took 88 (November 2026, on a busy machine). One request at a time on each connection; bodies must be ASCII.
 */

/** @param connections Most connections to open; more requests at once wait for one. */
export function createPoster(server: { url: string; token: string; connections: number }): Post {
  const { host } = new URL(server.url);
  const fixed = `Host: ${host}\r\nAuthorization: Bearer ${server.token}\r\nContent-Type: application/json\r\n`;
  const idle: Line[] = [];
  const waiting: ((line: Line) => void)[] = [];
  let opened = 0;
  const take = async (): Promise<Line> => {
    for (let line = idle.pop(); line; line = idle.pop()) {
      if (line.isOpen()) return line;
      // The server closes connections on which nothing is asked for long.
      opened -= 1;
    }
    if (opened >= server.connections) return new Promise((resolve) => waiting.push(resolve));
    opened += 1;
    return openLine(server.url);
  };
  const giveBack = (line: Line) => {
    const next = waiting.shift();
    if (next) next(line);
    else idle.push(line);
  };
  return async (method, path, body, expected) => {
    const line = await take();
    const head = `${method} ${path} HTTP/1.1\r\n${fixed}Content-Length: ${body.length}\r\n\r\n`;
    const { status, text } = await line.ask(`${head}${body}`);
    giveBack(line);
    if (status !== expected) throw new Error(`${method} ${path} was answered with ${status}: ${text.slice(0, 500)}`);
    return text;
  };
}

type Answer = { readonly status: number; readonly text: string };
type Line = { isOpen(): boolean; ask(request: string): Promise<Answer> };

async function openLine(url: string): Promise<Line> {
  const { hostname, port } = new URL(url);
  const socket = connect({ host: hostname, port: Number(port), noDelay: true });
  await once(socket, "connect");
  return createLine(socket);
}

function createLine(socket: Socket): Line {
  let received = "";
  let pending: PromiseWithResolvers<Answer> | undefined;
  // latin1 keeps one character to a byte, so that lengths agree.
  socket.setEncoding("latin1");
  socket.on("data", (chunk: string) => {
    received += chunk;
    const answer = answerIn(received);
    if (!answer) return;
    received = "";
    pending?.resolve(answer);
  });
  socket.on("close", () => pending?.reject(new Error(`the server closed the connection after: ${received}`)));
  socket.on("error", (error) => pending?.reject(error));
  return {
    isOpen: () => socket.writable,
    ask(request) {
      pending = Promise.withResolvers();
      socket.write(request, "latin1");
      return pending.promise;
    },
  };
}

/** Undefined until all of it is there. */
function answerIn(received: string): Answer | undefined {
  const end = received.indexOf("\r\n\r\n");
  if (end < 0) return;
  const head = received.slice(0, end);
  const length = /^content-length: (\d+)$/im.exec(head)?.[1];
  if (length === undefined) throw new Error(`an answer without a length: ${head}`);
  const body = end + 4;
  if (received.length < body + Number(length)) return;
  const text = Buffer.from(received.slice(body), "latin1").toString();
  return { status: Number(received.slice(9, 12)), text };
}
