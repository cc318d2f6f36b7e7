import { connect } from "../../src/client/client.ts";

/** Takes one message and acknowledges it, but one that says "poison" kills it at once. Arguments: url, token, agent. */
const [url = "", token = "", agent_id = ""] = process.argv.slice(2);
await using bus = connect(url, { token });
const { deliveries } = await bus.claimMessages({ agent_id, wait_ms: 2_000 });
for (const { message, lease_id } of deliveries) {
  if (message.content.includes("poison")) process.kill(process.pid, "SIGKILL");
  await bus.acknowledgeMessage({ message_id: message.id, lease_id });
}
