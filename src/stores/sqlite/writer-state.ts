import type { DatabaseSync } from "node:sqlite";
import type { EventName } from "../../contract/events.ts";
import type { AgentId, ConversationId } from "../../contract/messages.ts";
import type { DeliveryPolicy } from "../../core/messaging/policy.ts";
import type { FieldCipher } from "../../crypto/field-cipher.ts";
import { readMeta, writeMeta } from "./schema.ts";
import { prepare } from "./statement.ts";
import { type ConversationCache, createConversationCache } from "./writer-conversations.ts";

/** What the writer keeps in memory between operations. Whatever a rollback undoes on disk, `rollBack` undoes here. */
export type WriterState = {
  readonly db: DatabaseSync;
  readonly policy: DeliveryPolicy;
  readonly conversations: ConversationCache;
  readonly cipher: FieldCipher;
  /** Undelivered messages (ready, scheduled, leased, held) of an inbox. */
  depthOf(agent_id: AgentId): number;
  changeDepth(agent_id: AgentId, change: number): void;
  /** Adds to the event log; written to the disk by `writeEvents`. @returns Its position. */
  note(event: NewEvent): number;
  writeEvents(): void;
  lastEvent(): number;
  /** Position of the latest message that came by publish. */
  lastPublished(): number;
  setLastPublished(position: number): void;
  /** Notes that a message's position stands this far behind its time. */
  noteSkew(skew_ms: number): void;
  /** From here to `rollBack` or `keep`, everything can be undone. */
  begin(): void;
  keep(): void;
  rollBack(): void;
};

export type NewEvent = {
  readonly event: EventName;
  readonly at_ms: number;
  readonly actor: string;
  readonly message_position?: number;
  readonly agent_id?: AgentId;
  readonly conversation_id?: ConversationId;
  readonly reason?: string | undefined;
};

type Numbers = { last_event: number; last_published: number; skew_ms: number };

export function createWriterState(db: DatabaseSync, policy: DeliveryPolicy, cipher: FieldCipher): WriterState {
  const depths = loadDepths(db);
  const conversations = createConversationCache(db);
  const eventWriter = createEventWriter(db);
  let numbers = loadNumbers(db);
  let kept: Numbers = { ...numbers };
  let depthChanges: [agent_id: AgentId, change: number][] = [];

  function changeDepth(agent_id: AgentId, change: number): void {
    depths.set(agent_id, (depths.get(agent_id) ?? 0) + change);
  }

  return {
    db,
    policy,
    cipher,
    conversations,
    depthOf: (agent_id) => depths.get(agent_id) ?? 0,
    changeDepth(agent_id, change) {
      changeDepth(agent_id, change);
      depthChanges.push([agent_id, change]);
    },
    note(event) {
      numbers.last_event += 1;
      eventWriter.add(numbers.last_event, event);
      return numbers.last_event;
    },
    writeEvents: eventWriter.write,
    lastEvent: () => numbers.last_event,
    lastPublished: () => numbers.last_published,
    setLastPublished(position) {
      numbers.last_published = position;
    },
    noteSkew(skew_ms) {
      if (skew_ms <= numbers.skew_ms) return;
      // Twice as much as was seen, so that a crowded or set-back clock is not a write per message.
      numbers.skew_ms = skew_ms * 2;
      writeMeta(db, "skew_ms", numbers.skew_ms);
    },
    begin() {
      kept = { ...numbers };
      depthChanges = [];
      conversations.begin();
    },
    keep() {
      conversations.keep();
    },
    rollBack() {
      numbers = { ...kept };
      for (const [agent_id, change] of depthChanges) changeDepth(agent_id, -change);
      depthChanges = [];
      eventWriter.drop();
      conversations.rollBack();
    },
  };
}

function loadDepths(db: DatabaseSync): Map<AgentId, number> {
  const rows = prepare<{ agent_id: AgentId; depth: number }>(
    db,
    `SELECT agent_id, COUNT(*) AS depth FROM deliveries
     WHERE parked = 1 AND state IN ('ready', 'scheduled', 'held') GROUP BY agent_id`,
  ).all();
  return new Map(rows.map((it) => [it.agent_id, it.depth]));
}

function loadNumbers(db: DatabaseSync): Numbers {
  const last = prepare<{ position: number | null }>(db, "SELECT MAX(position) AS position FROM events").get();
  const published = prepare<{ message_position: number }>(
    db,
    "SELECT message_position FROM events WHERE event = 'accepted' ORDER BY position DESC LIMIT 1",
  ).get();
  return {
    last_event: Math.max(last?.position ?? 0, readMeta(db, "last_event") ?? 0),
    last_published: published?.message_position ?? 0,
    skew_ms: readMeta(db, "skew_ms") ?? 0,
  };
}

const eventColumns = 8;
const eventsPerInsert = 16;

/** Gathers the events of a batch and writes sixteen with one statement: measured 3 microseconds less per message. */
function createEventWriter(db: DatabaseSync) {
  const place = `(${Array(eventColumns).fill("?").join(", ")})`;
  const insertOne = db.prepare(`INSERT INTO events VALUES ${place}`);
  const insertMany = db.prepare(`INSERT INTO events VALUES ${Array(eventsPerInsert).fill(place).join(", ")}`);
  let values: (string | number | null)[] = [];
  return {
    add(position: number, it: NewEvent): void {
      const { message_position = null, agent_id = null, conversation_id = null, reason = null } = it;
      values.push(position, it.at_ms, it.event, message_position, agent_id, conversation_id, it.actor, reason);
    },
    write(): void {
      const width = eventColumns * eventsPerInsert;
      let from = 0;
      for (; from + width <= values.length; from += width) insertMany.run(...values.slice(from, from + width));
      for (; from < values.length; from += eventColumns) insertOne.run(...values.slice(from, from + eventColumns));
      values = [];
    },
    drop(): void {
      values = [];
    },
  };
}
