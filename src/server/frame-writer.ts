import type { Duplex } from "node:stream";

/** Sends text frames over one WebSocket; what is sent in one turn of the event loop leaves in one write. */
export type FrameWriter = {
  send(text: string): void;
  /** Writes what waits, now. */
  flush(): void;
  /** Bytes (near enough) that the other side has not taken yet. */
  readonly waiting_bytes: number;
};

/**
 * Frames are put together here rather than by `ws`, which makes two writes of each, corked or not. CPU per frame at 100
 * frames a turn, measured 2026-11: 0.3 µs instead of 1.4 µs for an answer of 51 bytes, 1.4 µs instead of 2.2 µs for 1.3 KiB.
 *
 * @param socket The socket under an open WebSocket without compression; only whole frames are written, so that the
 * library's own control frames fit between them.
 * @param onRoom Called after writing, as soon as the socket takes more.
 * @param isOpen Whether text may still be sent; nothing may follow a Close frame (RFC 6455, section 5.5.1).
 */
export function createFrameWriter(socket: Duplex, onRoom: () => void, isOpen: () => boolean = () => true): FrameWriter {
  // Emptied, never replaced: a list that has lain still grows old, and until the garbage collector looks through what is old,
  // it keeps what was last put in alive, every frame of a connection that speaks now and then.
  const texts: string[] = [];
  let waiting_chars = 0;

  const flush = () => {
    if (texts.length === 0) return;
    const bytes = socket.writable && isOpen() ? encode(texts) : undefined;
    texts.length = 0;
    waiting_chars = 0;
    // A large write that the system takes at once announces no "drain", whatever its size.
    if (bytes && socket.write(bytes)) onRoom();
  };
  socket.on("drain", onRoom);

  return {
    send(text) {
      if (texts.length === 0) flushSoon(flush);
      texts.push(text);
      waiting_chars += text.length;
    },
    flush,
    get waiting_bytes() {
      return socket.writableLength + waiting_chars;
    },
  };
}

let due: (() => void)[] = [];

/** One immediate serves all connections: it runs when all that has arrived in this turn has been worked on. */
function flushSoon(flush: () => void): void {
  if (due.length === 0) setImmediate(flushAll);
  due.push(flush);
}

function flushAll(): void {
  const batch = due;
  due = [];
  for (const flush of batch) flush();
}

const slab_bytes = 64 * 1_024;
const most_header_bytes = 10;
/** Bytes a UTF-16 unit takes at most in UTF-8. */
const bytes_per_char = 3;

let slab = Buffer.allocUnsafeSlow(slab_bytes);
let used = 0;

/** Cuts the frames out of a slab that all connections share; the socket keeps the slab alive while it still writes. */
function encode(texts: readonly string[]): Buffer {
  let need = 0;
  for (const text of texts) need += text.length * bytes_per_char + most_header_bytes;
  if (need > slab_bytes) return writeFrames(Buffer.allocUnsafeSlow(exactBytes(texts)), 0, texts);
  if (used + need > slab_bytes) {
    slab = Buffer.allocUnsafeSlow(slab_bytes);
    used = 0;
  }
  const bytes = writeFrames(slab, used, texts);
  used += bytes.length;
  return bytes;
}

function exactBytes(texts: readonly string[]): number {
  let bytes = 0;
  for (const text of texts) bytes += Buffer.byteLength(text) + most_header_bytes;
  return bytes;
}

function writeFrames(target: Buffer, start: number, texts: readonly string[]): Buffer {
  let at = start;
  for (const text of texts) at = writeFrame(target, at, text);
  return target.subarray(start, at);
}

const final_text_frame = 0x81;

/** RFC 6455, section 5.2: a frame whose header says its length in 7, 16 or 64 bits, the fewest that hold it. */
function writeFrame(target: Buffer, at: number, text: string): number {
  // Most texts are ASCII, so the header is guessed from the number of characters, and set right where that was wrong.
  const guess = headerBytes(text.length);
  let length = target.write(text, at + guess);
  const header = headerBytes(length);
  if (header !== guess) length = target.write(text, at + header);
  target[at] = final_text_frame;
  if (header === 2) target[at + 1] = length;
  else if (header === 4) {
    target[at + 1] = 126;
    target.writeUInt16BE(length, at + 2);
  } else {
    target[at + 1] = 127;
    target.writeUInt32BE(0, at + 2);
    target.writeUInt32BE(length, at + 6);
  }
  return at + header + length;
}

function headerBytes(length: number): number {
  if (length <= 125) return 2;
  return length <= 0xffff ? 4 : most_header_bytes;
}
