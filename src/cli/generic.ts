import { operations } from "../contract/operations.ts";
import { isOperationName, operationNames } from "../contract/routes.ts";
import { quoted, UsageError } from "./arguments.ts";
import { serverFlags } from "./call.ts";
import type { Command } from "./command.ts";
import { suggestion } from "./nearest.ts";
import { callAndPrint } from "./operation.ts";
import { readValue } from "./values.ts";

/** `hivepost call sendMessage '{…}'`: any operation by its name in the API. */
export const callCommand: Command = {
  name: "call",
  summary: "Call any operation of the API with JSON.",
  usage: "<operation> [json | @file | -]",
  flags: serverFlags,
  examples: [
    [`call sendMessage '{"to_agent": "bob", "content": "hello"}'`, "what `hivepost send bob hello` does"],
    ["call listAgents", "no input means {}"],
  ],
  about: `Operations:\n${operationNames.map((name) => `  ${name.padEnd(20)} ${operations[name].summary}\n`).join("")}`,
  run: async (run) => {
    const [operation, input, extra] = run.given.words;
    if (!operation) throw new UsageError("call wants an operation, e.g. hivepost call listAgents");
    if (extra) throw new UsageError(`call takes one JSON text; put it in quotes (${quoted(extra.text)} is left over)`);
    if (!isOperationName(operation.text)) {
      const hint = suggestion(operation.text, operationNames);
      throw new UsageError(`there is no operation ${quoted(operation.text)}${hint}; hivepost help call lists them`);
    }
    const field = { field: "input", label: "the input", texts: [input?.text ?? "{}"], schema: {} };
    const value = await readValue(field, { now: Date.now, readStdin: () => run.terminal.readStdin() });
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new UsageError(`the input of ${operation.text} is a JSON object, such as {"agent_id": "bob"}`);
    }
    return await callAndPrint(operation.text, value, run);
  },
};
