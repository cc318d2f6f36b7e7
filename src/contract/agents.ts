import { type Static, Type } from "typebox";
import { limits } from "./limits.ts";
import { AgentId, Metadata, Name, Timestamp } from "./messages.ts";
import { PublicKeys } from "./public-keys.ts";

const strict = { additionalProperties: false } as const;

export type AgentStatus = "available" | "busy" | "blocked" | "draining";
export const AgentStatus = Type.Unsafe<AgentStatus>(Type.Enum(["available", "busy", "blocked", "draining"]));

/** Whether an agent has been heard of lately: by a heartbeat, a claim or an open subscription. */
export type Health = "alive" | "suspect" | "dead";
export const Health = Type.Unsafe<Health>(Type.Enum(["alive", "suspect", "dead"]));

export type Capability = Static<typeof Capability>;
export const Capability = Type.Object(
  { name: Name, level: Type.Optional(Type.Integer({ minimum: 1, maximum: 10 })) },
  strict,
);

export const Location = Type.Object(
  {
    tmux: Type.Optional(Type.String({ minLength: 1, maxLength: 256, description: "session:window" })),
    url: Type.Optional(Type.String({ minLength: 1, maxLength: 2_048 })),
    host: Type.Optional(Type.String({ minLength: 1, maxLength: 256 })),
    pid: Type.Optional(Type.Integer({ minimum: 1 })),
  },
  strict,
);

/** What an agent says of itself when it registers. */
const registration = {
  capabilities: Type.Optional(Type.Array(Capability, { maxItems: limits.capabilities })),
  groups: Type.Optional(Type.Array(Name, { maxItems: limits.groups })),
  max_concurrency: Type.Optional(Type.Integer({ minimum: 1, maximum: 10_000 })),
  location: Type.Optional(Location),
  aliases: Type.Optional(Type.Array(AgentId, { maxItems: limits.aliases })),
  program: Type.Optional(Type.String({ minLength: 1, maxLength: limits.name_length })),
  metadata: Type.Optional(Metadata),
  /** Those published before stay where none are given: only other keys take their place. */
  keys: Type.Optional(PublicKeys),
};

export type AgentRegistration = Static<typeof AgentRegistration>;
export const AgentRegistration = Type.Object({ agent_id: AgentId, ...registration }, strict);

const presence = {
  status: Type.Optional(AgentStatus),
  load: Type.Optional(Type.Number({ minimum: 0, description: "Own estimate; 1 is fully busy." })),
  current_task: Type.Optional(Type.String({ maxLength: limits.reason_length })),
};

export type Heartbeat = Static<typeof Heartbeat>;
export const Heartbeat = Type.Object({ agent_id: AgentId, ...presence }, strict);

export type Agent = Static<typeof Agent>;
export const Agent = Type.Object(
  {
    agent_id: AgentId,
    capabilities: Type.Array(Capability),
    groups: Type.Array(Name),
    aliases: Type.Array(AgentId),
    metadata: Metadata,
    max_concurrency: registration.max_concurrency,
    location: registration.location,
    program: registration.program,
    keys: registration.keys,
    registered_at: Timestamp,
    status: AgentStatus,
    load: presence.load,
    current_task: presence.current_task,
    health: Health,
    last_seen_at: Type.Optional(Timestamp),
  },
  { ...strict, $id: "Agent" },
);
