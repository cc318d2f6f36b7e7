import { createAgentKeysCommand, rotateAgentKeysCommand, trustAgentKeysCommand } from "./agent-keys.ts";
import { verifyAuditCommand } from "./audit.ts";
import { backupCommand, restoreCommand } from "./backup.ts";
import type { Command } from "./command.ts";
import { configCommand } from "./config.ts";
import { doctorCommand } from "./doctor.ts";
import { callCommand } from "./generic.ts";
import { mcpCommand } from "./mcp.ts";
import { replayCommand } from "./replay/command.ts";
import { serveCommand } from "./serve.ts";
import { tailCommand } from "./tail.ts";
import { topCommand } from "./top.ts";
import { versionCommand } from "./version.ts";
import { whyCommand } from "./why.ts";

/** The commands that are more than one call of one operation. */
export const specialCommands: readonly Command[] = [
  serveCommand,
  configCommand,
  doctorCommand,
  backupCommand,
  restoreCommand,
  verifyAuditCommand,
  createAgentKeysCommand,
  rotateAgentKeysCommand,
  trustAgentKeysCommand,
  topCommand,
  tailCommand,
  whyCommand,
  replayCommand,
  callCommand,
  mcpCommand,
  versionCommand,
];
