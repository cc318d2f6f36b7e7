import { systemClock } from "../base/clock.ts";
import { createUuidV7 } from "../base/uuid.ts";
import type { MessageId } from "../contract/messages.ts";

const newUuid = createUuidV7(systemClock.now, (bytes) => crypto.getRandomValues(bytes));

/** The id of a message that is made here. */
export function newMessageId(): MessageId {
  return newUuid() as MessageId;
}
