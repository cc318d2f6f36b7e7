import { Agent, request } from "node:http";

/** One request over a kept connection; rejects where the status is not the expected one. Resolves with the body. */
export type Post = (method: string, path: string, body: string, expected: number) => Promise<string>;

/** @param connections Most connections to open; more requests at once wait for one. */
export function createPoster(server: { url: string; token: string; connections: number }): Post {
  const { hostname, port } = new URL(server.url);
  const agent = new Agent({ keepAlive: true, maxSockets: server.connections });
  const authorization = `Bearer ${server.token}`;
  return (method, path, body, expected) =>
    new Promise((resolve, reject) => {
      const headers = { authorization, "content-type": "application/json", "content-length": Buffer.byteLength(body) };
      const sending = request({ agent, hostname, port, method, path, headers }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(chunks).toString();
          if (response.statusCode === expected) resolve(text);
          else reject(new Error(`${method} ${path} was answered with ${response.statusCode}: ${text.slice(0, 500)}`));
        });
      });
      sending.on("error", reject);
      sending.end(body);
    });
}
