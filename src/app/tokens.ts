import { actorOf } from "./agents.ts";
import type { Mailroom } from "./mailroom.ts";
import type { Office } from "./office.ts";

export function tokenOperations({ access }: Office): Pick<Mailroom, "createToken" | "listTokens" | "revokeToken"> {
  return {
    createToken: (wanted, call) => access.issue(wanted, actorOf(call)),
    listTokens: async ({ agent_id }) => ({ tokens: access.list(agent_id) }),
    revokeToken: ({ key_id }) => access.revoke(key_id),
  };
}
