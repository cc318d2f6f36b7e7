import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import path from "node:path";
import { createInterface } from "node:readline";

/** A Redis of its own that fsyncs before it answers; disposing of it stops it and removes its folder. */
export type Redis = AsyncDisposable & { readonly port: number; readonly pid: number };

export async function startRedis(): Promise<Redis> {
  const folder = mkdtempSync(path.join(tmpdir(), "redis-bench-"));
  const port = await freePort();
  const durable = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""];
  const flags = ["--port", String(port), "--bind", "127.0.0.1", "--dir", folder, ...durable];
  const child = spawn("redis-server", flags, { stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.includes("Ready to accept connections")) break;
  }
  child.stdout.resume();
  return {
    port,
    pid: child.pid ?? 0,
    async [Symbol.asyncDispose]() {
      const ended = once(child, "exit");
      child.kill("SIGTERM");
      await ended;
      rmSync(folder, { recursive: true });
    },
  };
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (typeof address === "string" || address === null) throw new Error("a TCP server has a port");
  return address.port;
}
