import { BusError } from "../contract/errors.ts";
import type { CallOperation } from "../mcp/tools.ts";
import { ask, findServer, serverFlags } from "./call.ts";
import type { Command } from "./command.ts";
import { NotReachable } from "./failure.ts";
import { version } from "./version.ts";

export const mcpCommand: Command = {
  name: "mcp",
  summary: "Serve the operations as MCP tools on standard input and output, for an agent's own configuration.",
  usage: "",
  flags: serverFlags,
  examples: [
    ["mcp", "what an MCP client starts; it ends with its standard input"],
    ["claude mcp add hivepost -- hivepost mcp", "for example"],
  ],
  about: "The server speaks MCP by itself as well: POST /mcp (streamable HTTP).",
  run: async ({ given, terminal, signal }) => {
    const server = await findServer(given, terminal);
    // Loaded here, so that every other command starts without it.
    const { createMcpServer } = await import("../mcp/tools.ts");
    const { StdioServerTransport } = await import("@modelcontextprotocol/sdk/server/stdio.js");
    const call: CallOperation = async (name, input, stopping) => {
      const either = AbortSignal.any([stopping, signal]);
      // The hive's server checks the input against the operation's schema.
      return await ask(server, name, input as never, either).catch(asBusError);
    };
    const mcp = createMcpServer(call, { version, randomBytes: (bytes) => crypto.getRandomValues(bytes) });
    const transport = new StdioServerTransport();
    const ended = Promise.withResolvers<void>();
    mcp.onclose = ended.resolve;
    process.stdin.once("end", ended.resolve);
    signal.addEventListener("abort", () => ended.resolve(), { once: true });
    await mcp.connect(transport);
    await ended.promise;
    await mcp.close();
    process.stdin.destroy();
    return 0;
  },
};

function asBusError(error: unknown): never {
  if (error instanceof NotReachable) throw new BusError("unreachable", error.message, { cause: error });
  throw error;
}
