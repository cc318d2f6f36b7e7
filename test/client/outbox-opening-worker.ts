/*
 * A process that opens an outbox and is killed while it does, or says when it has. Arguments: file of the outbox, file of its key.
 */
import { writeSync } from "node:fs";
import { openOutbox } from "../../src/client/outbox.ts";
import { createPostOffice } from "./post-office.ts";

const [file = "", key_file = ""] = process.argv.slice(2);
const office = createPostOffice();
office.state.up = false;
writeSync(1, "opening\n");
const outbox = openOutbox({ file, key_file, client: office.client });
writeSync(1, "opened\n");
await outbox[Symbol.asyncDispose]();
