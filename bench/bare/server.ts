import { randomUUID } from "node:crypto";
import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import path from "node:path";
import { Worker } from "node:worker_threads";
import { type WebSocket, WebSocketServer } from "ws";
import { parseJson } from "../../src/base/json.ts";

/*
 * The least that a durable bus on Node can be: it takes the same frames as Hivepost and answers and delivers after an
 * fsync, but checks nothing, orders nothing, and keeps no ledger, no conversations, no leases, no history that could be
 * asked, no index. How fast it is says what a machine can do at most. `node bench/bare/server.ts FOLDER`
 */

export type BareBatch = {
  /** Position of the first message sent. */
  readonly first: number;
  /** Recipient and content, by turns. */
  readonly sent: string[];
  /** Positions. */
  readonly acknowledged: number[];
};

type Request = {
  readonly id: number;
  readonly op: string;
  readonly input: {
    readonly agent_id: string;
    readonly from_agent: string;
    readonly to_agent: string;
    readonly priority: string;
    readonly content: string;
    readonly lease_id: string;
  };
};

const folder = process.argv[2] ?? ".";
const writer = new Worker(new URL("./writer.ts", import.meta.url), { workerData: path.join(folder, "bare.db") });
const subscribers = new Map<string, WebSocket>();
let positions = 0;
let batch = emptyBatch();
/** What to do when the batch that gathers, and the one under way, are on the disk. */
let gathered: (() => void)[] = [];
let underWay: (() => void)[] = [];
let frames = new Map<WebSocket, string[]>();

function emptyBatch(): BareBatch {
  return { first: positions + 1, sent: [], acknowledged: [] };
}

function whenWritten(callback: () => void): void {
  if (gathered.length === 0 && underWay.length === 0) setImmediate(write);
  gathered.push(callback);
}

function write(): void {
  if (underWay.length > 0 || gathered.length === 0) return;
  writer.postMessage(batch);
  underWay = gathered;
  gathered = [];
  batch = emptyBatch();
}

writer.on("message", () => {
  const done = underWay;
  underWay = [];
  write();
  for (const callback of done) callback();
});

/** Frames of one turn leave in one write each connection. */
function send(ws: WebSocket, text: string): void {
  if (frames.size === 0) setImmediate(sendAll);
  const waiting = frames.get(ws);
  if (waiting) waiting.push(text);
  else frames.set(ws, [text]);
}

function sendAll(): void {
  const due = frames;
  frames = new Map();
  for (const [ws, texts] of due) {
    const { _socket: socket } = ws as unknown as { _socket: Socket }; // The one below it, which the library keeps to itself.
    socket.cork();
    for (const text of texts) ws.send(text);
    socket.uncork();
  }
}

function receive(ws: WebSocket, { id, op, input }: Request): void {
  if (op === "sendMessage") takeMessage(ws, id, input);
  else if (op === "acknowledgeMessage") {
    batch.acknowledged.push(Number(input.lease_id));
    whenWritten(() => send(ws, `{"id":${id},"ok":true,"output":{"acknowledged":true}}`));
  } else {
    if (op === "subscribe") subscribers.set(input.agent_id, ws);
    send(ws, `{"id":${id},"ok":true,"output":{}}`);
  }
}

function takeMessage(ws: WebSocket, id: number, { from_agent, to_agent, priority, content }: Request["input"]): void {
  const position = ++positions;
  const timestamp = new Date().toISOString();
  const message = { id: randomUUID(), from_agent, to_agent, content, priority, timestamp, acknowledged: false };
  batch.sent.push(to_agent, content);
  whenWritten(() => {
    const text = JSON.stringify(message);
    send(ws, `{"id":${id},"ok":true,"output":${text}}`);
    const subscriber = subscribers.get(to_agent);
    const lease = `"agent_id":"${to_agent}","lease_id":"${position}"`;
    if (subscriber) send(subscriber, `{"event":"delivery","delivery":{"message":${text},${lease}}}`);
  });
}

const server = createServer();
const sockets = new WebSocketServer({ server, perMessageDeflate: false, handleProtocols: () => "hivepost.v1" });
sockets.on("connection", (ws) => {
  ws.on("message", (bytes: Buffer) => receive(ws, parseJson(bytes.toString()) as Request));
});
writeFileSync(path.join(folder, "admin.token"), "none\n");
server.listen(0, "127.0.0.1", () => {
  // A port was asked for, so the address is no path.
  process.stdout.write(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
});
process.on("SIGTERM", () => process.exit(0));
