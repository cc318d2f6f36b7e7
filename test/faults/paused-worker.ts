import { once } from "node:events";
import { connect } from "../../src/client/client.ts";

/** Claims one message, says so, waits for a line, acknowledges and prints the answer. Arguments: url, token. */
const [url = "", token = ""] = process.argv.slice(2);
await using bus = connect(url, { token });
const { deliveries } = await bus.claimMessages({ agent_id: "bob", lease_ms: 1_000 });
const [delivery] = deliveries;
console.log("claimed", delivery?.attempt);
await once(process.stdin, "data");
const lease = { message_id: delivery?.message.id ?? "", lease_id: delivery?.lease_id ?? "" };
console.log(JSON.stringify(await bus.acknowledgeMessage(lease)));
process.stdin.destroy();
