import assert from "node:assert/strict";
import { once } from "node:events";
import { PassThrough } from "node:stream";
import { describe, it } from "node:test";
import fc from "fast-check";
import { WebSocket } from "ws";
import { createFrameWriter } from "../../src/server/frame-writer.ts";

/** What a WebSocket client makes of the bytes. */
function receiver(socket: PassThrough): WebSocket {
  const ws = new WebSocket(null as never, undefined, {});
  // The library's own way to attach a socket after a handshake; not in its types.
  Object.assign(ws, { _isServer: false });
  (ws as unknown as { setSocket(socket: unknown, head: Buffer, options: object): void }).setSocket(
    Object.assign(socket, { setTimeout: () => undefined, setNoDelay: () => undefined }),
    Buffer.alloc(0),
    { allowSynchronousEvents: true, maxPayload: 0, skipUTF8Validation: false },
  );
  return ws;
}

describe("the frame writer", () => {
  it("writes what a WebSocket reads, whatever the text and its length, in order", async () => {
    const edges = [0, 1, 41, 42, 125, 126, 127, 21_845, 21_846, 65_535, 65_536, 70_000];
    const text = fc.oneof(
      fc.string({ unit: "grapheme", maxLength: 200 }),
      fc
        .record({ length: fc.constantFrom(...edges), char: fc.constantFrom("x", "é", "→", "🐝") })
        .map(({ length, char }) => char.repeat(length)),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(text, { minLength: 1, maxLength: 8 }), async (texts) => {
        const sent = texts.map((it) => it.toWellFormed());
        const socket = new PassThrough();
        const ws = receiver(socket);
        const received: string[] = [];
        ws.on("message", (bytes: Buffer) => received.push(bytes.toString()));
        const writer = createFrameWriter(socket, () => undefined);
        for (const it of sent) writer.send(it);
        while (received.length < sent.length) await once(ws, "message");
        assert.deepEqual(received, sent);
        ws.terminate();
      }),
      { numRuns: 150 },
    );
  });

  it("writes once per turn, however many frames are sent in it", async () => {
    const socket = new PassThrough();
    let writes = 0;
    const write = socket.write.bind(socket);
    socket.write = (chunk: unknown) => {
      writes += 1;
      return write(chunk);
    };
    const writer = createFrameWriter(socket, () => undefined);
    for (let i = 0; i < 100; i++) writer.send("one of many");
    assert.equal(writes, 0);
    assert.equal(writer.waiting_bytes, 1_100);
    await new Promise(setImmediate);
    assert.equal(writes, 1);
    assert.equal(socket.read().length, 100 * ("one of many".length + 2));
  });
});
