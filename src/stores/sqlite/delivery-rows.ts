import type { AgentId, MessageId, MessageType, Moment, Priority } from "../../contract/messages.ts";

/* Apart from load.ts because the reader thread needs just this, and starts faster without the schemas behind the rest. */

/** A delivery and what its message says about handing it out, as `deliveryColumns` selects it. */
export type DeliveryRow = {
  readonly position: number;
  readonly recipient: number;
  readonly agent_id: AgentId;
  readonly state: "ready" | "scheduled" | "held" | "dead";
  readonly attempt: number;
  readonly expires_ms: number | null;
  readonly available_ms: number | null;
  readonly not_before_ms: number | null;
  readonly delay_until_ms: number | null;
  readonly reason: string | null;
  readonly id: MessageId;
  readonly priority: Priority;
  readonly message_type: MessageType;
  readonly when: Moment;
  readonly timestamp: string;
  readonly readable_ms: number;
  readonly aged: 0 | 1;
};

/** For `SELECT ${deliveryColumns} FROM deliveries AS d JOIN messages AS m ON m.position = d.message_position`. */
export function deliveryColumns({ with_aging }: { with_aging: boolean }): string {
  // Looked for only where aging is on: a search through the ledger for each.
  const aged = with_aging
    ? `EXISTS (SELECT 1 FROM events AS e WHERE e.message_position = d.message_position AND e.agent_id = d.agent_id
         AND e.event = 'ready' AND e.reason LIKE 'waited longer than %')`
    : "0";
  return `d.message_position AS position, d.recipient, d.agent_id, d.state, d.attempt, d.expires_ms, d.available_ms,
    d.not_before_ms, d.delay_until_ms, d.reason, m.id, m.priority, m.message_type, m."when", m.timestamp, m.readable_ms,
    ${aged} AS aged`;
}
