import { toTimestamp } from "../../src/base/time.ts";
import type { Agent } from "../../src/contract/agents.ts";
import { BusError } from "../../src/contract/errors.ts";
import type { AgentId, MessageId } from "../../src/contract/messages.ts";
import type { Input } from "../../src/contract/operations.ts";
import type { OperationName } from "../../src/contract/routes.ts";
import type { Registry } from "./sender.ts";
import { ask, type World } from "./world.ts";

/** Somebody who looks after the fleet: looks into everything, redrives, closes and reopens, imports, retires agents. */
export function startOperator(
  world: World,
  registry: Registry,
  { known, isOver }: { readonly known: () => readonly MessageId[]; readonly isOver: () => boolean },
): void {
  const { chance, plan } = world;
  const acts: readonly (() => void)[] = [
    () => request(world, "getInbox", { agent_id: anyone(world, registry) }),
    () => request(world, "listDeadLetters", chance.happens(0.5) ? { agent_id: anyone(world, registry) } : {}),
    () => request(world, "redriveDeadLetters", chance.happens(0.5) ? { agent_id: anyone(world, registry) } : {}),
    () => withMessage((message_id) => request(world, "getMessage", { message_id })),
    () => withMessage((message_id) => request(world, "getMessage", { message_id })),
    () => withMessage((id) => request(world, "redriveDeadLetters", { message_ids: [id] })),
    () => changeSomeConversation(world),
    () => request(world, "heartbeat", { agent_id: anyone(world, registry), status: "busy" }),
    () => importSomething(world, registry),
    () => retireSomebody(world, registry),
  ];
  const withMessage = (act: (id: MessageId) => void) => {
    const ids = known();
    if (ids.length > 0) act(chance.pick(ids));
  };
  const step = () => {
    if (isOver()) return;
    chance.pick(acts)();
    plan(chance.between(100, 3_000), step);
  };
  plan(500, step);
}

function anyone({ chance }: World, { registered }: Registry): AgentId {
  return chance.pick([...registered]);
}

function request<Name extends OperationName>(world: World, name: Name, input: Input<Name>): void {
  ask(world, name, input, {
    actor: "operator",
    onAnswered(answer) {
      const expected = answer.ok || (answer.error instanceof BusError && answer.error.code.endsWith("_not_found"));
      if (!expected) world.fail(answer.error);
    },
  });
}

function changeSomeConversation(world: World): void {
  const { chance } = world;
  ask(
    world,
    "listConversations",
    { limit: 5 },
    {
      actor: "operator",
      onAnswer(answer) {
        if (!answer.ok || answer.output.conversations.length === 0) return;
        const { id } = chance.pick(answer.output.conversations);
        // Mostly open: where everything is closed, nothing happens.
        const status = chance.pick(["active", "active", "archived", "closed"] as const);
        request(world, "updateConversation", { conversation_id: id, status });
      },
    },
  );
}

function importSomething(world: World, registry: Registry): void {
  const [from_agent, to_agent] = [anyone(world, registry), anyone(world, registry)];
  const timestamp = toTimestamp(world.clock.now() - world.chance.between(0, 3_600_000));
  const messages = [{ from_agent, to_agent, content: "from the old world", timestamp }];
  request(world, "importMessages", { messages });
}

/** Its mail becomes dead letters; a little later it is back. */
function retireSomebody(world: World, { registered }: Registry): void {
  const { chance } = world;
  if (registered.size < 3) return;
  const agent_id = chance.pick([...registered]);
  ask(
    world,
    "getAgent",
    { agent_id },
    {
      actor: "operator",
      onAnswer(answer) {
        if (!answer.ok) return;
        request(world, "removeAgent", { agent_id });
        world.plan(chance.between(500, 5_000), () => comeBack(world, answer.output));
      },
    },
  );
}

function comeBack(world: World, agent: Agent): void {
  const { agent_id, capabilities, groups } = agent;
  ask(
    world,
    "registerAgent",
    { agent_id, capabilities, groups },
    {
      actor: agent_id,
      onAnswered(answer) {
        if (!answer.ok) world.fail(answer.error);
      },
      onSilence: () => comeBack(world, agent),
    },
  );
}
