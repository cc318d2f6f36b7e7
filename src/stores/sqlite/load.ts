import type { DatabaseSync } from "node:sqlite";
import {
  type AgentId,
  type MessageId,
  type MessageType,
  type Moment,
  moments,
  type Priority,
} from "../../contract/messages.ts";
import { rankOf } from "../../core/messaging/order.ts";
import type { Engine } from "./engine.ts";
import type { OpenDelivery, SteadyClock } from "./open-delivery.ts";
import { prepare } from "./statement.ts";

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

export function fromRow({ clock, engine }: { clock: SteadyClock; engine: Engine }, row: DeliveryRow): OpenDelivery {
  return {
    position: row.position,
    recipient: row.recipient,
    inbox: engine.inbox(row.agent_id),
    message_id: row.id,
    message_type: row.message_type,
    rank: rankOf(row.priority),
    moment: moments.indexOf(row.when),
    accepted_ms: Date.parse(row.timestamp),
    readable_ms: row.readable_ms,
    message: undefined,
    state: row.state,
    attempt: row.attempt,
    expires_ms: row.expires_ms ?? Number.POSITIVE_INFINITY,
    reason: row.state === "ready" ? undefined : (row.reason ?? undefined),
    available_ms: row.available_ms ?? 0,
    not_before_ms: row.not_before_ms ?? Number.NEGATIVE_INFINITY,
    delay_ends_ms: row.delay_until_ms === null ? Number.NEGATIVE_INFINITY : clock.toElapsed(row.delay_until_ms),
    lease_id: undefined,
    lease_ends_ms: 0,
    lease_expires_ms: 0,
    settling: false,
    aged: row.aged === 1,
    ready_rank: 0,
  };
}

/** Brings back to memory what was open when the server stopped. Leases are not: what was leased is ready. */
export function loadOpenDeliveries(
  db: DatabaseSync,
  context: { readonly clock: SteadyClock; readonly engine: Engine },
  options: { with_aging: boolean },
): void {
  const statement = db.prepare(
    `SELECT ${deliveryColumns(options)} FROM deliveries AS d JOIN messages AS m ON m.position = d.message_position
     WHERE d.parked = 1 AND d.state IN ('ready', 'scheduled', 'held') ORDER BY d.message_position, d.recipient`,
  );
  // Selected by the columns of DeliveryRow.
  for (const row of statement.iterate()) context.engine.enter(fromRow(context, row as unknown as DeliveryRow));
  const dead = prepare<{ agent_id: AgentId; dead: number }>(
    db,
    "SELECT agent_id, COUNT(*) AS dead FROM deliveries WHERE state = 'dead' GROUP BY agent_id",
  );
  for (const row of dead.all()) context.engine.inbox(row.agent_id).dead = row.dead;
}
