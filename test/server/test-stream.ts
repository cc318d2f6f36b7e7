import { once } from "node:events";
import { WebSocket } from "ws";
import { token } from "./test-hive.ts";

// biome-ignore lint/suspicious/noExplicitAny: tests look into any frame.
type Frame = any;

export type TestStream = AsyncDisposable & {
  readonly ws: WebSocket;
  /** Sends a request, padded with so many spaces, and resolves with its answer. */
  ask(op: string, input?: unknown, padding?: number): Promise<Frame>;
  /** The next frame that is not an answer to `ask`, now or when it comes. */
  next(): Promise<Frame>;
  /** Resolves with the close code and reason. */
  readonly closed: Promise<{ code: number; reason: string }>;
};

type Options = {
  readonly headers?: Record<string, string>;
  readonly protocols?: string[];
  readonly query?: string;
  readonly autoPong?: boolean;
};

/** A WebSocket to a hive that speaks frames and nothing more. */
export async function openStream(url: string, options: Options = {}): Promise<TestStream> {
  const {
    headers = { authorization: `Bearer ${token}` },
    protocols = ["hivepost.v1"],
    query = "",
    autoPong = true,
  } = options;
  const ws = new WebSocket(`${url.replace("http", "ws")}/stream${query}`, protocols, { headers, autoPong });
  const asked = new Map<number, (frame: Frame) => void>();
  const frames: Frame[] = [];
  const wanted: ((frame: Frame) => void)[] = [];
  let last_id = 0;
  ws.on("message", (bytes: Buffer) => {
    const frame = JSON.parse(bytes.toString());
    const resolve = asked.get(frame.id) ?? wanted.shift();
    asked.delete(frame.id);
    if (resolve) resolve(frame);
    else frames.push(frame);
  });
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    ws.on("close", (code, reason) => resolve({ code, reason: reason.toString() }));
  });
  await once(ws, "open");
  return {
    ws,
    closed,
    ask(op, input = {}, padding = 0) {
      const id = ++last_id;
      ws.send(JSON.stringify({ id, op, input }) + " ".repeat(padding));
      return new Promise((resolve) => asked.set(id, resolve));
    },
    next() {
      const frame = frames.shift();
      return frame ? Promise.resolve(frame) : new Promise((resolve) => wanted.push(resolve));
    },
    async [Symbol.asyncDispose]() {
      ws.terminate();
      await closed;
    },
  };
}

/** What a server answers that refuses to open a stream. */
export async function refusalOf(url: string, options: Options = {}): Promise<{ status: number; body: Frame }> {
  const { headers = { authorization: `Bearer ${token}` }, protocols = ["hivepost.v1"], query = "" } = options;
  const ws = new WebSocket(`${url.replace("http", "ws")}/stream${query}`, protocols, { headers });
  const [, response] = await once(ws, "unexpected-response");
  let text = "";
  for await (const chunk of response) text += chunk;
  return { status: response.statusCode, body: JSON.parse(text) };
}
