import { randomBytes } from "node:crypto";
import { connect, type Socket } from "node:net";
import type { HiveProcess } from "../support/hive-process.ts";

type Place = Pick<HiveProcess, "url" | "token">;

/** A connection on which anything can be said. */
export type RawSocket = Disposable & {
  write(bytes: string | Uint8Array): void;
  /** Everything that the server has sent so far. */
  received(): string;
  /** Resolves with all of that when the connection has ended, however it did. */
  readonly closed: Promise<string>;
};

export async function openRaw({ url }: Place): Promise<RawSocket> {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let received = "";
  socket.setEncoding("latin1").on("data", (text: string) => {
    received += text;
  });
  const closed = new Promise<string>((resolve) => socket.on("close", () => resolve(received)));
  await opened(socket);
  return {
    write: (bytes) => void socket.write(bytes),
    received: () => received,
    closed,
    [Symbol.dispose]: () => void socket.destroy(),
  };
}

/** A server that has had enough may reset the connection, which is one way of ending it. */
function opened(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.once("connect", resolve);
    socket.on("error", () => resolve());
  });
}

/** The head of an authenticated request. */
export function requestHead({ token }: Place, method: string, path: string, headers: readonly string[] = []): string {
  const all = [`${method} ${path} HTTP/1.1`, "Host: 127.0.0.1", `Authorization: Bearer ${token}`, ...headers];
  return `${all.join("\r\n")}\r\n\r\n`;
}

/** A connection that has been upgraded to the stream; what is written are frames, or what pretends to be. */
export async function openRawStream(place: Place): Promise<RawSocket> {
  const raw = await openRaw(place);
  raw.write(
    requestHead(place, "GET", "/stream", [
      "Upgrade: websocket",
      "Connection: Upgrade",
      `Sec-WebSocket-Key: ${randomBytes(16).toString("base64")}`,
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Protocol: hivepost.v1",
    ]),
  );
  while (!raw.received().includes("\r\n\r\n")) {
    const ended = await Promise.race([raw.closed.then(() => true), turn()]);
    if (ended) throw new Error(`the stream was not opened: ${raw.received()}`);
  }
  return raw;
}

function turn(): Promise<false> {
  return new Promise((resolve) => setTimeout(() => resolve(false), 5));
}

export type FrameOptions = { readonly fin?: boolean; readonly masked?: boolean; readonly opcode?: number };

/** A frame as a client sends it (RFC 6455, section 5.2), or wrong in the way asked for. */
export function frame(payload: string | Uint8Array, options: FrameOptions = {}): Buffer {
  const { fin = true, masked = true, opcode = 1 } = options;
  const bytes = Buffer.from(payload);
  const length = Buffer.alloc(bytes.length < 126 ? 1 : 3);
  if (bytes.length < 126) length[0] = bytes.length;
  else length.writeUInt16BE(bytes.length, 1);
  if (bytes.length >= 126) length[0] = 126;
  if (masked) length[0] = (length[0] ?? 0) | 0x80;
  const mask = randomBytes(4);
  const body = masked ? Buffer.concat([mask, bytes.map((byte, i) => byte ^ (mask[i % 4] ?? 0))]) : bytes;
  return Buffer.concat([Buffer.from([(fin ? 0x80 : 0) | opcode]), length, body]);
}
