import { BusError } from "../contract/errors.ts";
import type { AgentId } from "../contract/messages.ts";
import { actorOf } from "./agents.ts";
import type { Mailroom } from "./mailroom.ts";
import type { Office } from "./office.ts";

type TokenOperations = Pick<Mailroom, "createToken" | "listTokens" | "revokeToken">;

export function tokenOperations(office: Office): TokenOperations {
  const { access } = office;
  return {
    async createToken(wanted, call) {
      if (wanted.agent_id !== undefined) await requireOwnName(office, wanted.agent_id);
      return access.issue(wanted, actorOf(call));
    },
    listTokens: async ({ agent_id }) => ({ tokens: access.list(agent_id) }),
    revokeToken: ({ key_id }) => access.revoke(key_id),
  };
}

/** What is an alias of another agent by now leads to that one: its mail would go there, and the token would open that inbox. */
async function requireOwnName({ store }: Office, name: AgentId): Promise<void> {
  const agent = await store.fleet.agent(name);
  if (agent === undefined || agent.agent_id === name) return;
  throw new BusError(
    "alias_taken",
    `the name ${name} means the agent ${agent.agent_id}, which has it as an alias; register that one without it first`,
  );
}
