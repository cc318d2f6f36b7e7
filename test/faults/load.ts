import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import path from "node:path";
import { type Client, connect } from "../../src/client/client.ts";
import { BusError } from "../../src/contract/errors.ts";
import type { AgentId, Delivery, MessageId } from "../../src/contract/messages.ts";
import type { Judge, Lease } from "../support/checker.ts";
import { messageId } from "../support/fixtures.ts";

/** Who writes and reads under load. */
export const crew = ["ada", "bob", "cleo", "dora"] as AgentId[];

type Sending = {
  readonly id: MessageId;
  readonly from_agent: AgentId;
  readonly to_agent: AgentId;
  readonly content: string;
};

/** What no answer has come for: it is sent again, with the same id, in the next life of the server. */
export type Doubtful = Sending[];

/** The client's side of one life of the server: many writers and a reader per agent, until told to stop. */
export type Load = { stop(): Promise<void> };

const writers = 32;

export function tokenOf(folder: string): string {
  return readFileSync(path.join(folder, "admin.token"), "utf8").trim();
}

export function clientOf(url: string, folder: string): Client {
  return connect(url, { token: tokenOf(folder), connect_timeout_ms: 60_000, request_timeout_ms: 60_000 });
}

/** @param judge Is told everything that is sent and seen. */
export async function startLoad(client: Client, judge: Judge, doubtful: Doubtful): Promise<Load> {
  let running = true;
  await startReaders(client, judge);
  const write = async (number: number) => {
    for (let count = 0; running; count++) {
      const again = doubtful.pop();
      const sending = again ?? freshSending(number + count);
      if (again) judge.resent(sending.id);
      else judge.sent({ id: sending.id, recipients: [sending.to_agent] });
      try {
        await client.sendMessage(sending);
        judge.accepted(sending.id);
      } catch (error) {
        assert.ok(isInterruption(error), `unexpected: ${error}`);
        doubtful.push(sending);
        return;
      }
    }
  };
  const writing = Promise.all(Array.from({ length: writers }, (_, number) => write(number)));
  return {
    async stop() {
      running = false;
      await writing;
    },
  };
}

/** Every agent's mail is acknowledged as it comes. */
export async function startReaders(client: Client, judge: Judge): Promise<void> {
  for (const agent_id of crew) {
    await client.subscribe({ agent_id, credit: 64 }, (delivery) => void take(client, judge, delivery));
  }
}

async function take(client: Client, judge: Judge, { message, agent_id, lease_id, attempt }: Delivery): Promise<void> {
  const lease: Lease = { message_id: message.id, agent_id, lease_id };
  const at_ms = performance.now();
  judge.delivered({ ...lease, attempt, at_ms, lease_until_ms: at_ms });
  judge.acknowledging(lease);
  try {
    const { acknowledged } = await client.acknowledgeMessage({ message_id: message.id, lease_id });
    if (acknowledged) judge.acknowledged(lease);
    else judge.leaseLost(lease, performance.now());
  } catch (error) {
    assert.ok(isInterruption(error), `unexpected: ${error}`);
  }
}

function freshSending(number: number): Sending {
  const from_agent = crew[number % crew.length] ?? ("ada" as AgentId);
  const to_agent = crew[(number + 1) % crew.length] ?? ("bob" as AgentId);
  return { id: messageId(), from_agent, to_agent, content: randomUUID().repeat(20) };
}

/** What a killed, stopping or full server makes of a request: not accepted, or nobody knows. */
function isInterruption(error: unknown): boolean {
  return error instanceof BusError && ["unreachable", "unavailable"].includes(error.code);
}
