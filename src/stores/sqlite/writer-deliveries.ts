import type { DeliveryWrite, WriterOperations } from "./protocol.ts";
import { prepare } from "./statement.ts";
import type { WriterState } from "./writer-state.ts";

/** What becomes of deliveries after their arrival. The main thread has decided it; here it is written. */
export function createDeliveryWrites(state: WriterState) {
  const { db } = state;
  const acknowledge = prepare(
    db,
    `UPDATE deliveries SET state = 'acknowledged', attempt = ?, lease_id = ?, reason = NULL
     WHERE message_position = ? AND recipient = ?`,
  );
  const isThere = prepare<object>(db, "SELECT 1 FROM deliveries WHERE message_position = ? AND recipient = ?");
  const update = prepare(
    db,
    `UPDATE deliveries SET state = ?, attempt = ?, expires_ms = ?, available_ms = ?, not_before_ms = ?,
       delay_until_ms = ?, reason = ?, dead_event = ?, parked = 1
     WHERE message_position = ? AND recipient = ?`,
  );

  function write(it: DeliveryWrite, last_event: number): void {
    update.run(
      it.state,
      it.attempt,
      it.expires_ms ?? null,
      it.available_ms ?? null,
      it.not_before_ms ?? null,
      it.delay_until_ms ?? null,
      it.reason ?? null,
      it.state === "dead" ? last_event : null,
      it.position,
      it.recipient,
    );
    if (it.depth_change !== 0) state.changeDepth(it.agent_id, it.depth_change);
  }

  return {
    acknowledge({ at_ms, actor, steps }: WriterOperations["acknowledge"]["request"]): undefined {
      for (const { position, recipient, agent_id, attempt, lease_id } of steps) {
        acknowledge.run(attempt, lease_id, position, recipient);
        state.note({ event: "acknowledged", at_ms, message_position: position, agent_id, actor });
        state.changeDepth(agent_id, -1);
      }
    },

    steps({ steps }: WriterOperations["steps"]["request"]): boolean[] {
      return steps.map(({ ledger, delivery }) => {
        if (delivery && !isThere.get(delivery.position, delivery.recipient)) return false;
        let last_event = 0;
        for (const { position: message_position, ...event } of ledger) {
          last_event = state.note({ ...event, message_position });
        }
        if (delivery) write(delivery, last_event);
        return true;
      });
    },
  };
}
