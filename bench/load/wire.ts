import { createHash, randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";

/*
 * A WebSocket client that does only what a load generator needs, because it shares two cores with the server it measures:
 * against a server that answers at once, the same traffic over `ws` took 5 µs more CPU a send and 11 µs more a message end
 * to end (November 2026). What the server has to do is the same: frames are masked, each request is a frame of its own, and
 * frames that leave in the same turn of the event loop share a socket write.
 */

/** One connection to `/stream`. Text must be ASCII. */
export type Wire = Disposable & {
  /** Queues a text frame of `head`, then `body` (made by `masked`), then `tail`; it leaves at the end of this turn. */
  send(head: string, body?: Uint8Array, tail?: string): void;
};

export type WireOptions = {
  readonly url: string;
  readonly token: string;
  /** A text frame's payload; valid only during the call. */
  readonly onText: (payload: Buffer) => void;
  /** The connection ended without being disposed of, or the server broke the protocol. */
  readonly onLost: (why: Error) => void;
};

/**
 * Four equal bytes, so that the long filler of messages can be masked once and copied from then on. Any mask but zero
 * costs the server the same; that it can be guessed matters to proxies, of which there are none here.
 */
const maskByte = 0x5a;
const slabBytes = 1 << 20;
const readBytes = 1 << 18;

/** ASCII text, masked, as `send` takes it. */
export function masked(text: string): Uint8Array {
  return Buffer.from(text, "latin1").map((byte) => byte ^ maskByte);
}

/** Connects, and resolves once the server has agreed to speak hivepost.v1. */
export async function openWire(options: WireOptions): Promise<Wire> {
  let receive: ((chunk: Buffer) => void) | undefined;
  const socket = connectSocket(options.url, (chunk) => receive?.(chunk));
  socket.setNoDelay(true);
  socket.once("error", options.onLost);
  const early = await upgrade(socket, options, (take) => {
    receive = take;
  });
  let closed = false;
  socket.once("close", () => {
    if (!closed) options.onLost(new Error("the server closed the connection"));
  });
  const output = createOutput(socket);
  receive = createFrameReader({
    onText: options.onText,
    onPing: (payload) => output.frame(0x8a, payload.toString("latin1")),
    onBroken: options.onLost,
  });
  receive(early);
  return {
    send: (head, body, tail) => output.frame(0x81, head, body, tail),
    [Symbol.dispose]() {
      closed = true;
      socket.destroy();
    },
  };
}

/** Reads every chunk into one buffer, so that no garbage is made. */
function connectSocket(url: string, onChunk: (chunk: Buffer) => void): Socket {
  const { hostname, port } = new URL(url);
  const buffer = Buffer.allocUnsafeSlow(readBytes);
  const callback = (length: number) => {
    onChunk(buffer.subarray(0, length));
    return true;
  };
  return connect({ host: hostname, port: Number(port), onread: { buffer, callback } });
}

/** Shakes hands (RFC 6455, section 4). Resolves with what the server sent behind its answer. */
async function upgrade(socket: Socket, { url, token }: WireOptions, listen: (take: (chunk: Buffer) => void) => void) {
  const key = randomBytes(16).toString("base64");
  const { host } = new URL(url);
  socket.write(
    `GET /stream HTTP/1.1\r\nHost: ${host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
      `Sec-WebSocket-Key: ${key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: hivepost.v1\r\n` +
      `Authorization: Bearer ${token}\r\n\r\n`,
  );
  const { head, rest } = await readHead(socket, listen);
  const accept = createHash("sha1").update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest("base64");
  const agreed = head.startsWith("HTTP/1.1 101") && head.includes(accept) && head.includes("hivepost.v1");
  if (!agreed) throw new Error(`${url}/stream does not speak hivepost.v1; it answered: ${head}`);
  return rest;
}

function readHead(socket: Socket, listen: (take: (chunk: Buffer) => void) => void) {
  return new Promise<{ head: string; rest: Buffer }>((resolve, reject) => {
    let received = Buffer.alloc(0);
    socket.once("error", reject);
    socket.once("close", () => reject(new Error(`closed during the handshake: ${received.toString("latin1")}`)));
    listen((chunk) => {
      received = Buffer.concat([received, chunk]);
      const end = received.indexOf("\r\n\r\n");
      if (end >= 0) resolve({ head: received.toString("latin1", 0, end), rest: received.subarray(end + 4) });
    });
  });
}

/** Collects the frames of one turn of the event loop, and writes them at its end. */
function createOutput(socket: Socket) {
  let slab = Buffer.allocUnsafeSlow(slabBytes);
  let start = 0;
  let end = 0;
  const flush = () => {
    const from = start;
    start = end;
    if (!socket.destroyed) socket.write(slab.subarray(from, end));
  };
  const reserve = (length: number) => {
    if (end + length > slab.length) {
      if (end > start) flush();
      slab = Buffer.allocUnsafeSlow(Math.max(slabBytes, length));
      start = 0;
      end = 0;
    }
    if (start === end) setImmediate(() => end > start && flush());
  };
  return {
    frame(opcode: number, head: string, body?: Uint8Array, tail = "") {
      const length = head.length + (body?.length ?? 0) + tail.length;
      reserve(length + 14);
      end = writeHeader(slab, end, opcode, length);
      end = writeMasked(slab, end, head);
      if (body) {
        slab.set(body, end);
        end += body.length;
      }
      end = writeMasked(slab, end, tail);
    },
  };
}

function writeHeader(slab: Buffer, at: number, opcode: number, length: number): number {
  let next = slab.writeUInt8(opcode, at);
  if (length < 126) next = slab.writeUInt8(0x80 | length, next);
  else if (length < 65_536) next = slab.writeUInt16BE(length, slab.writeUInt8(0x80 | 126, next));
  else next = slab.writeBigUInt64BE(BigInt(length), slab.writeUInt8(0x80 | 127, next));
  return slab.fill(maskByte, next, next + 4) && next + 4;
}

function writeMasked(slab: Buffer, at: number, text: string): number {
  for (let i = 0; i < text.length; i++) slab[at + i] = text.charCodeAt(i) ^ maskByte;
  return at + text.length;
}

type FrameHandlers = {
  readonly onText: (payload: Buffer) => void;
  readonly onPing: (payload: Buffer) => void;
  readonly onBroken: (why: Error) => void;
};

/** Cuts chunks into frames; a frame that has not wholly arrived waits for the next chunk. */
function createFrameReader(handlers: FrameHandlers): (chunk: Buffer) => void {
  let waiting: Buffer | undefined;
  return (chunk) => {
    const bytes = waiting ? Buffer.concat([waiting, chunk]) : chunk;
    let at = 0;
    for (;;) {
      const frame = frameAt(bytes, at);
      if (!frame) break;
      at = frame.end;
      handleFrame(handlers, bytes[frame.start] ?? 0, bytes.subarray(frame.payload, frame.end));
    }
    waiting = at < bytes.length ? Buffer.from(bytes.subarray(at)) : undefined;
  };
}

/** Where a frame from the server, which is never masked, lies in `bytes`; undefined until all of it is there. */
function frameAt(bytes: Buffer, start: number) {
  if (bytes.length < start + 2) return;
  const short = (bytes[start + 1] ?? 0) & 0x7f;
  const payload = start + (short < 126 ? 2 : short === 126 ? 4 : 10);
  if (bytes.length < payload) return;
  const length =
    short < 126 ? short : short === 126 ? bytes.readUInt16BE(start + 2) : Number(bytes.readBigUInt64BE(start + 2));
  return bytes.length < payload + length ? undefined : { start, payload, end: payload + length };
}

function handleFrame(handlers: FrameHandlers, first: number, payload: Buffer): void {
  if (first === 0x81) handlers.onText(payload);
  else if (first === 0x89) handlers.onPing(payload);
  else if (first === 0x88) handlers.onBroken(new Error(`the server said goodbye: ${payload.toString("latin1", 2)}`));
  else if (first !== 0x8a)
    handlers.onBroken(new Error(`the server sent a frame beginning with 0x${first.toString(16)}`));
}
