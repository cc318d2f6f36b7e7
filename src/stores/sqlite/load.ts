import type { DatabaseSync } from "node:sqlite";
import { type AgentId, moments } from "../../contract/messages.ts";
import { rankOf } from "../../core/messaging/order.ts";
import { type DeliveryRow, deliveryColumns } from "./delivery-rows.ts";
import type { Engine } from "./engine.ts";
import type { OpenDelivery, SteadyClock } from "./open-delivery.ts";
import { prepare } from "./statement.ts";

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
