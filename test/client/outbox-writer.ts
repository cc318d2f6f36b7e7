/*
 * A process that is killed: it queues messages as fast as they are accepted, hands over what it can, and prints the id of
 * each one accepted. Arguments: file of the outbox, file of its key, url, token, name of the sender, number of its first message.
 */
import { writeSync } from "node:fs";
import { connect } from "../../src/client/client.ts";
import { openOutbox } from "../../src/client/outbox.ts";

const [file = "", key_file = "", url = "", token = "", from_agent = "", first = "0"] = process.argv.slice(2);
/** What no byte of the folder may ever show: in words, and as it would stand in JSON within JSON. */
const canary = "CANARY-in-the-content";
const metadata = { note: "CANARY-in-the-metadata" };
const client = connect(url, { token });
const outbox = openOutbox({ file, key_file, client, retry_max_ms: 50 });

for (let n = Number(first); ; n++) {
  const { id } = await outbox.send({ from_agent, to_agent: "ada", content: `${from_agent} ${n} ${canary}`, metadata });
  // Synchronously, so that what was said was said also when the next moment is the last.
  writeSync(1, `${n} ${id}\n`);
  await new Promise((resolve) => setTimeout(resolve, 1));
}
