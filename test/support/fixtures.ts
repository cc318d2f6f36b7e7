import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import type { Publication } from "../../src/app/ports.ts";
import type { Clock } from "../../src/base/clock.ts";
import { createUuidV7 } from "../../src/base/uuid.ts";
import { type Config, deliveryPolicy, loadConfig } from "../../src/config.ts";
import type { AgentId, ConversationId, MessageId } from "../../src/contract/messages.ts";
import type { DeliveryPolicy } from "../../src/core/messaging/policy.ts";

export const ada = "ada" as AgentId;
export const bob = "bob" as AgentId;
export const cleo = "cleo" as AgentId;

/** A Monday morning: where test clocks start unless told otherwise. */
export const monday_ms = Date.parse("2026-01-05T09:00:00.000Z");

export type TestClock = Clock & {
  /** Lets time pass, on the wall and elapsed. */
  advance(ms: number): void;
  /** Sets the wall clock, forward or back; no time passes. */
  setWall(ms: number): void;
};

/** A clock that stands still until told. */
export function clockAt(start_ms: number = monday_ms): TestClock {
  let wall_ms = start_ms;
  let elapsed_ms = 0;
  return {
    now: () => wall_ms,
    elapsed: () => elapsed_ms,
    advance(ms) {
      wall_ms += ms;
      elapsed_ms += ms;
    },
    setWall(ms) {
      wall_ms = ms;
    },
  };
}

const uuidNow = createUuidV7(Date.now, (bytes) => crypto.getRandomValues(bytes));

/** A fresh message id, made now or at the time given. */
export function messageId(at_ms?: number): MessageId {
  return uuidAt(at_ms) as MessageId;
}

/** A fresh conversation id, made now or at the time given. */
export function conversationId(at_ms?: number): ConversationId {
  return uuidAt(at_ms) as ConversationId;
}

function uuidAt(at_ms: number | undefined): string {
  if (at_ms === undefined) return uuidNow();
  return createUuidV7(
    () => at_ms,
    (bytes) => crypto.getRandomValues(bytes),
  )();
}

/**
 * A valid message from ada to bob with fresh ids; say only what matters. Unless given, `recipients` is the `to_agent`, and
 * `participants` are the sender and the recipients.
 */
export function aPublication(overrides: Partial<Publication> = {}): Publication {
  const from_agent = overrides.from_agent ?? ada;
  const to_agent = overrides.to_agent ?? bob;
  const recipients = overrides.recipients ?? [to_agent as AgentId];
  return {
    id: messageId(),
    from_agent,
    to_agent,
    recipients,
    participants: [...new Set([from_agent, ...recipients])].sort(),
    content: "The build is green again.",
    priority: "normal",
    message_type: "task",
    metadata: {},
    when: "turn",
    offline: "hold",
    fresh_conversation_id: conversationId(),
    actor: from_agent,
    provenance: { actor: from_agent, token: "agent", trust: "agent" },
    ...overrides,
  };
}

/** The settings of a server that was told no more than this, whatever stands in this process's environment. */
export function testConfig({ retry, ...settings }: Partial<Config> = {}): Config {
  const flags = Object.entries(settings).map(([name, value]) => [name, String(value)]);
  const config = loadConfig(Object.fromEntries(flags), {});
  return retry ? { ...config, retry } : config;
}

/** The delivery rules of `testConfig()`. */
export function testPolicy(overrides: Partial<DeliveryPolicy> = {}): DeliveryPolicy {
  return { ...deliveryPolicy(testConfig()), ...overrides };
}

export type TemporaryFolder = AsyncDisposable & { readonly path: string };

/** An empty folder that is gone when disposed: `await using folder = await temporaryFolder()`. */
export async function temporaryFolder(): Promise<TemporaryFolder> {
  const folder = await mkdtemp(path.join(tmpdir(), "hivepost-test-"));
  return { path: folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}
