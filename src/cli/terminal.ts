import { UsageError } from "./arguments.ts";

/** One of the two ways out. */
export type Screen = {
  readonly isTTY: boolean;
  readonly columns: number;
  readonly rows: number;
  write(text: string): void;
};

/** What a command sees of the world around it; tests bring their own. */
export type Terminal = {
  readonly stdout: Screen;
  readonly stderr: Screen;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readStdin(): Promise<string>;
};

/** Beyond what any request may carry: somebody piped the wrong thing. */
const stdin_limit_bytes = 64 * 1_024 * 1_024;

export function processTerminal(): Terminal {
  return {
    stdout: toScreen(process.stdout),
    stderr: toScreen(process.stderr),
    environment: process.env,
    readStdin: () => readText(process.stdin),
  };
}

function toScreen(stream: NodeJS.WriteStream): Screen {
  // Whoever reads us may leave early, as `head` does; then there is nobody left to tell.
  stream.on("error", (error: NodeJS.ErrnoException) => {
    process.exit(error.code === "EPIPE" ? 0 : 1);
  });
  return {
    isTTY: stream.isTTY === true,
    get columns() {
      return stream.columns ?? 100;
    },
    get rows() {
      return stream.rows ?? 40;
    },
    write: (text) => {
      stream.write(text);
    },
  };
}

/** @throws UsageError for what is no UTF-8, or far too long. */
export async function readText(stream: AsyncIterable<Uint8Array>): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size_bytes = 0;
  for await (const chunk of stream) {
    size_bytes += chunk.length;
    if (size_bytes > stdin_limit_bytes) throw new UsageError("standard input goes on beyond 64 MiB; nothing was sent");
    chunks.push(chunk);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(Buffer.concat(chunks));
  } catch (cause) {
    throw new UsageError("standard input is not UTF-8 text; nothing was sent", { cause });
  }
}
