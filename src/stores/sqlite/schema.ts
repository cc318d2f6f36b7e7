import type { DatabaseSync } from "node:sqlite";
import { BusError } from "../../contract/errors.ts";

/**
 * The tables, one step per released change; `user_version` counts the steps taken. Columns are named as on the wire.
 * A step that has been released is never edited: a change is a new step.
 *
 * What a message costs is mostly COMMIT, and COMMIT costs by the pages it changes. So everything here grows at its end,
 * or nearly: what looks messages up by agent, pair or conversation lives in index.db, off the writer's path.
 */
const migrations: readonly string[] = [
  `
  CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;

  -- What was said. Never changed; position as in core/messaging/positions.ts. Content last, so that the columns before it
  -- are read without its overflow pages.
  CREATE TABLE messages (
    position INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    from_agent TEXT NOT NULL,
    to_agent TEXT NOT NULL,
    recipients TEXT,                 -- JSON; NULL where it is just to_agent
    "to" TEXT,                       -- JSON
    priority TEXT NOT NULL,
    timestamp TEXT NOT NULL,
    provenance TEXT NOT NULL,        -- trust, token and, where it is not the sender, actor: "agent agent"
    conversation_id TEXT NOT NULL,
    message_type TEXT NOT NULL,
    "when" TEXT NOT NULL,
    offline TEXT NOT NULL,
    reply_to TEXT,
    deliver_at TEXT,
    expires_at TEXT,
    reply_depth INTEGER NOT NULL,
    readable_ms INTEGER NOT NULL,
    idempotency_key TEXT,
    sealed TEXT,                     -- JSON; its content and metadata are empty then
    metadata BLOB,                   -- JSON, sealed as crypto/field-cipher.ts has it; NULL where there is none
    content BLOB NOT NULL            -- likewise sealed
  ) STRICT;
  CREATE INDEX messages_by_key ON messages (from_agent, idempotency_key, position) WHERE idempotency_key IS NOT NULL;

  -- Its way to each recipient, recipients numbered in the order of the message. There is no state 'leased': leases live in
  -- the memory of the one server, and what was leased when it stopped is ready.
  CREATE TABLE deliveries (
    message_position INTEGER NOT NULL,
    recipient INTEGER NOT NULL,
    agent_id TEXT NOT NULL,
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL DEFAULT 0,
    expires_ms INTEGER,
    available_ms INTEGER,            -- as shown while scheduled
    not_before_ms INTEGER,           -- wall time to wait for
    delay_until_ms INTEGER,          -- steady time to wait for: wall time as it would be had nobody set the clock
    reason TEXT,
    lease_id TEXT,                   -- that acknowledged it
    dead_event INTEGER,              -- position of the event of its death
    parked INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (message_position, recipient)
  ) STRICT, WITHOUT ROWID;
  -- Finds the open deliveries at a start. Entering and leaving an index costs as much as a whole delivery, and most
  -- deliveries end soon: so a fresh one is not in it until it has stood for long ("parked"); a start finds those by going
  -- through the newest rows, from meta.parked_before on. Measured: 8 of 36 microseconds of the writer per message.
  CREATE INDEX deliveries_open ON deliveries (message_position, recipient)
    WHERE parked = 1 AND state IN ('ready', 'scheduled', 'held');
  CREATE INDEX deliveries_dead ON deliveries (message_position, recipient) WHERE state = 'dead';
  CREATE INDEX deliveries_dead_latest ON deliveries (dead_event) WHERE state = 'dead';
  CREATE INDEX deliveries_dead_by_agent ON deliveries (agent_id, dead_event) WHERE state = 'dead';

  -- Everything that happened, in order: the ledger of every message, and the stream that followers read. Append only.
  CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    event TEXT NOT NULL,
    message_position INTEGER,
    agent_id TEXT,
    conversation_id TEXT,            -- only where no message names it
    actor TEXT NOT NULL,
    reason TEXT
  ) STRICT;
  CREATE INDEX events_of_message ON events (message_position) WHERE message_position IS NOT NULL;
  CREATE INDEX events_without_message ON events (position) WHERE message_position IS NULL;

  CREATE TABLE conversations (
    position INTEGER PRIMARY KEY,    -- in the order of opening
    id TEXT NOT NULL UNIQUE,
    participants TEXT NOT NULL,      -- JSON, sorted
    created_at TEXT NOT NULL,
    last_activity TEXT NOT NULL,     -- written late: see writer-conversations.ts
    status TEXT NOT NULL,
    implicit INTEGER NOT NULL,       -- opened by a message that named none, and found again by the next such message
    sealed INTEGER NOT NULL          -- takes sealed messages only
  ) STRICT;
  CREATE INDEX conversations_implicit ON conversations (participants, position) WHERE implicit = 1 AND status = 'active';
  CREATE INDEX conversations_by_activity ON conversations (status, last_activity, id);
  CREATE TABLE conversation_participants (
    agent_id TEXT NOT NULL,
    conversation_position INTEGER NOT NULL,
    PRIMARY KEY (agent_id, conversation_position)
  ) STRICT, WITHOUT ROWID;

  CREATE TABLE agents (agent_id TEXT PRIMARY KEY, registered_at TEXT NOT NULL, registration TEXT NOT NULL) STRICT, WITHOUT ROWID;

  -- Who may ask. Of the token itself only its hash is kept.
  CREATE TABLE tokens (
    position INTEGER PRIMARY KEY,    -- in the order of making
    key_id TEXT NOT NULL UNIQUE,
    hash TEXT NOT NULL,
    scopes TEXT NOT NULL,            -- JSON
    agent_id TEXT,
    created_at TEXT NOT NULL,
    created_by TEXT NOT NULL,
    expires_at TEXT,
    last_used_at TEXT,
    revoked_at TEXT
  ) STRICT;

  -- The keys that content is sealed with, wrapped by a key that is kept elsewhere: crypto/key-ring.ts.
  CREATE TABLE keys (
    purpose TEXT NOT NULL,
    epoch INTEGER NOT NULL,
    key_id TEXT NOT NULL UNIQUE,
    wrapped TEXT NOT NULL,           -- base64
    provider TEXT NOT NULL,
    created_at TEXT NOT NULL,
    seals INTEGER NOT NULL DEFAULT 0, -- fields sealed with it, written down now and then: writer-seals.ts
    PRIMARY KEY (purpose, epoch)
  ) STRICT, WITHOUT ROWID;
  `,
];

/** Version of the schema that this program writes. */
export const schemaVersion = migrations.length;

/** The name of the database in the data folder. */
export const databaseName = "hivepost.db";

export function schemaVersionOf(db: DatabaseSync): number {
  return Number(db.prepare("PRAGMA user_version").get()?.["user_version"]);
}

/** Takes the steps that are missing, each in a transaction of its own. @throws BusError `database_newer`. */
export function migrate(db: DatabaseSync, file: string): void {
  const version = schemaVersionOf(db);
  if (version > schemaVersion) {
    throw new BusError(
      "database_newer",
      `${file} has schema version ${version}, and this Hivepost knows versions up to ${schemaVersion}. ` +
        "Start the newer Hivepost that wrote it, or restore a backup made before the upgrade with `hivepost restore`.",
    );
  }
  for (const [index, step] of migrations.entries()) {
    if (index < version) continue;
    db.exec(`BEGIN IMMEDIATE; ${step}; PRAGMA user_version = ${index + 1}; COMMIT`);
  }
}

/** A number kept in the meta table. */
export type MetaName =
  /** How often the hive has been opened: makes lease ids of different starts differ. */
  | "generation"
  /** Position of the latest event, written where the event itself may be gone. */
  | "last_event"
  /** Position of the latest event that was forgotten. */
  | "forgotten_event"
  /** Messages accepted before this may have been forgotten; milliseconds, wall time. */
  | "kept_since_ms"
  /** Conversations' last_activity is right for messages up to this position. */
  | "activity_position"
  /** Open deliveries of messages before this position are in their index. */
  | "parked_before"
  /** The most that a message's position stands behind its time. */
  | "skew_ms"
  /** Where sealing anew under a newer key has got to, and the epoch it seals under; neither while there is nothing to do. */
  | "reencrypted_position"
  | "reencrypted_epoch";

export function readMeta(db: DatabaseSync, name: MetaName): number | undefined {
  const row = db.prepare("SELECT value FROM meta WHERE name = ?").get(name);
  return row ? Number(row["value"]) : undefined;
}

export function writeMeta(db: DatabaseSync, name: MetaName, value: number): void {
  putMeta(db, name, value);
}

export function removeMeta(db: DatabaseSync, name: MetaName | MetaText): void {
  db.prepare("DELETE FROM meta WHERE name = ?").run(name);
}

/** A text kept in the meta table. */
export type MetaText =
  /** Names the hive for ever, copies of it included. */
  | "hive_id"
  /** Where the audit log of the folder ends, in the words of whoever keeps that log. */
  | "audit_head";

export function readMetaText(db: DatabaseSync, name: MetaText): string | undefined {
  const row = db.prepare("SELECT value FROM meta WHERE name = ?").get(name);
  return row ? String(row["value"]) : undefined;
}

export function writeMetaText(db: DatabaseSync, name: MetaText, value: string): void {
  putMeta(db, name, value);
}

function putMeta(db: DatabaseSync, name: string, value: number | string): void {
  db.prepare("INSERT INTO meta VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value").run(name, value);
}
