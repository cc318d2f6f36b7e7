import type { DatabaseSync } from "node:sqlite";
import { toTimestamp } from "../../base/time.ts";
import type { ConversationId } from "../../contract/messages.ts";
import type { FieldCipher } from "../../crypto/field-cipher.ts";
import type { FirstStanding, WirePublication } from "./protocol.ts";
import { recipientsColumn, sealBody } from "./rows.ts";
import { prepare } from "./statement.ts";

/** What the store says of a message besides what its sender said. */
export type Place = {
  readonly position: number;
  readonly conversation_id: ConversationId;
  readonly timestamp_ms: number;
  readonly reply_depth: number;
  readonly readable_ms: number;
};

export type Inserts = {
  message(publication: WirePublication, place: Place): void;
  /** One delivery per recipient, ready where no other standing is given. */
  deliveries(publication: WirePublication, position: number, standing: FirstStanding | undefined): void;
  acknowledgedDeliveries(publication: WirePublication, position: number): void;
};

export function createInserts(db: DatabaseSync, cipher: FieldCipher): Inserts {
  const message = prepare(db, `INSERT INTO messages VALUES (${Array(22).fill("?").join(", ")})`);
  const fresh = prepare(
    db,
    `INSERT INTO deliveries (message_position, recipient, agent_id, state, expires_ms) VALUES (?, ?, ?, ?, ?)`,
  );
  const waiting = prepare(
    db,
    `INSERT INTO deliveries (message_position, recipient, agent_id, state, expires_ms, available_ms, not_before_ms,
       delay_until_ms, reason, parked) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1)`,
  );

  function insertFresh(it: WirePublication, position: number, state: "ready" | "acknowledged"): void {
    for (const [recipient, agent_id] of it.recipients.entries()) {
      fresh.run(position, recipient, agent_id, state, it.expires_at_ms ?? null);
    }
  }

  return {
    message: (it, place) => message.run(...messageValues(it, place, sealBody(cipher, it))),
    deliveries(it, position, standing) {
      if (!standing) return insertFresh(it, position, "ready");
      const { state, reason } = standing;
      const waits = state === "scheduled" ? standing : undefined;
      const [available_ms, not_before_ms, delay_until_ms] = [
        waits?.available_ms ?? null,
        waits?.not_before_ms ?? null,
        waits?.delay_until_ms ?? null,
      ];
      for (const [recipient, agent_id] of it.recipients.entries()) {
        const expires_ms = it.expires_at_ms ?? null;
        const times = [expires_ms, available_ms, not_before_ms, delay_until_ms];
        waiting.run(position, recipient, agent_id, state, ...times, reason);
      }
    },
    acknowledgedDeliveries: (it, position) => insertFresh(it, position, "acknowledged"),
  };
}

/** In the order of the columns. */
function messageValues(
  it: WirePublication,
  place: Place,
  sealed: ReturnType<typeof sealBody>,
): (string | number | Uint8Array | null)[] {
  return [
    place.position,
    it.id,
    it.from_agent,
    it.to_agent,
    recipientsColumn(it.to_agent, it.recipients),
    it.to ? JSON.stringify(it.to) : null,
    it.priority,
    toTimestamp(place.timestamp_ms),
    it.provenance,
    place.conversation_id,
    it.message_type,
    it.when,
    it.offline,
    it.reply_to ?? null,
    timestampOrNull(it.deliver_at_ms),
    timestampOrNull(it.expires_at_ms),
    place.reply_depth,
    place.readable_ms,
    it.idempotency_key ?? null,
    it.sealed ?? null,
    sealed.metadata,
    sealed.content,
  ];
}

function timestampOrNull(ms: number | undefined): string | null {
  return ms === undefined ? null : toTimestamp(ms);
}
