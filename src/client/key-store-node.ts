import path from "node:path";
import { type Static, type TSchema, Type } from "typebox";
import { Check } from "typebox/value";
import { invariant } from "../base/invariant.ts";
import { sameJson } from "../base/json.ts";
import { parseTimestamp } from "../base/time.ts";
import { BusError } from "../contract/errors.ts";
import { AgentId } from "../contract/messages.ts";
import { PublicKeys } from "../contract/public-keys.ts";
import { type AgentKeys, areGenuine, fingerprint, makeAgentKeys } from "../crypto/sealed/keys.ts";
import { changePrivateFile, readPrivateFile } from "./private-file-node.ts";
import type { KeyStore } from "./sealed/key-store.ts";

/*
 * The keys of this machine's agents, a file each, and what they have seen of others' keys. Private keys leave this folder
 * never; the bus gets their public halves only.
 */

const strict = { additionalProperties: false } as const;
const Secret = Type.String({ pattern: "^[A-Za-z0-9_-]{43}$" });
const { encryption, signing, created_at } = PublicKeys.properties;

const OwnKeys = Type.Object(
  {
    encryption: Type.Object({ ...encryption.properties, d: Secret }, strict),
    signing: Type.Object({ ...signing.properties, d: Secret }, strict),
    created_at,
  },
  strict,
);
const OwnFile = Type.Object({ agent_id: AgentId, keys: Type.Array(OwnKeys) }, strict);
const PinFile = Type.Object({ agent_id: AgentId, trusted: Type.Array(PublicKeys) }, strict);

/**
 * Opens the keys in a folder, which is made when the first are. Several processes may share it.
 *
 * @param folder `<folder>/<agent id>.json` holds an agent's own keys, `<folder>/known/<agent id>.json` what is known of another.
 * @throws BusError From every call: `invalid_input` where a file was damaged or others may read it.
 */
export function openKeyStore(folder: string, now: () => number): KeyStore {
  const own = (agent_id: AgentId) => fileOf(folder, agent_id);
  const known = (agent_id: AgentId) => fileOf(path.join(folder, "known"), agent_id);
  const keysOf = async (agent_id: AgentId) => readKeys(await readPrivateFile(own(agent_id)), agent_id);
  const trusted = async (agent_id: AgentId) => readPins(await readPrivateFile(known(agent_id)), agent_id);
  return {
    keysOf,
    trusted,
    async ensure(agent_id) {
      const [present] = await keysOf(agent_id);
      if (present) return present;
      const made = await makeAgentKeys(now());
      // Another process may have been faster: the keys that were there first are the agent's.
      return first(await changeKeys(own(agent_id), agent_id, (before) => (before.length > 0 ? before : [made])));
    },
    async rotate(agent_id) {
      const made = await makeAgentKeys(now());
      return first(await changeKeys(own(agent_id), agent_id, (before) => [made, ...before]));
    },
    async forget(agent_id, before_ms) {
      const { length } = await keysOf(agent_id);
      if (length === 0) return 0;
      let dropped = 0;
      await changeKeys(own(agent_id), agent_id, (before) => {
        const kept = before.filter((_, at) => !wasReplacedBefore(before, at, before_ms));
        dropped = before.length - kept.length;
        return kept;
      });
      return dropped;
    },
    async verify(agent_id, published) {
      await requireGenuine(agent_id, published);
      const before = await trusted(agent_id);
      if (before.length === 0)
        await changePins(known(agent_id), agent_id, (pins) => (pins.length > 0 ? pins : [published]));
      const [pin = published, ...earlier] = await trusted(agent_id);
      if (sameKeys(pin, published)) return [pin, ...earlier];
      throw await keyChanged(agent_id, pin, published);
    },
    async trust(agent_id, published) {
      await requireGenuine(agent_id, published);
      return changePins(known(agent_id), agent_id, (pins) => [
        published,
        ...pins.filter((it) => !sameKeys(it, published)),
      ]);
    },
    async distrust(agent_id) {
      await changePins(known(agent_id), agent_id, () => []);
    },
  };
}

/** An agent's id is a file's name as it stands: it has no separator and begins with a letter or digit. */
function fileOf(folder: string, agent_id: AgentId): string {
  if (Check(AgentId, agent_id)) return path.join(folder, `${agent_id}.json`);
  throw new BusError("invalid_input", `${agent_id} is no agent's id: letters, digits and . _ + - only`);
}

function readKeys(value: unknown, agent_id: AgentId): readonly AgentKeys[] {
  return value === undefined ? [] : read(OwnFile, value, agent_id).keys;
}

function readPins(value: unknown, agent_id: AgentId): readonly PublicKeys[] {
  return value === undefined ? [] : read(PinFile, value, agent_id).trusted;
}

function read<Schema extends TSchema>(schema: Schema, value: unknown, agent_id: AgentId): Static<Schema> {
  // File systems that do not tell A from a would give one agent another's keys.
  if (Check(schema, value) && (value as { agent_id?: unknown }).agent_id === agent_id) return value;
  throw new BusError(
    "invalid_input",
    `the file of ${agent_id}'s keys was damaged or belongs to another agent; restore it from a copy or move it away`,
  );
}

async function changeKeys(
  file: string,
  agent_id: AgentId,
  change: (keys: readonly AgentKeys[]) => readonly AgentKeys[],
) {
  const after = await changePrivateFile(file, (before) => ({ agent_id, keys: change(readKeys(before, agent_id)) }));
  return after.keys;
}

async function changePins(
  file: string,
  agent_id: AgentId,
  change: (pins: readonly PublicKeys[]) => readonly PublicKeys[],
) {
  const after = await changePrivateFile(file, (before) => ({ agent_id, trusted: change(readPins(before, agent_id)) }));
  return after.trusted;
}

function first(keys: readonly AgentKeys[]): AgentKeys {
  const [present] = keys;
  invariant(present, "keys just written are there");
  return present;
}

/** Keys are replaced when the ones before them in the list, the next younger, are made. */
function wasReplacedBefore(keys: readonly AgentKeys[], at: number, before_ms: number): boolean {
  const successor = keys[at - 1];
  return successor !== undefined && (parseTimestamp(successor.created_at) ?? Number.NaN) < before_ms;
}

/** The same two keys; when they were made is only said of them. */
function sameKeys(a: PublicKeys, b: PublicKeys): boolean {
  return sameJson(a.encryption, b.encryption) && sameJson(a.signing, b.signing);
}

async function requireGenuine(agent_id: AgentId, published: PublicKeys): Promise<void> {
  if (Check(PublicKeys, published) && (await areGenuine(published))) return;
  throw new BusError(
    "invalid_input",
    `what is published for ${agent_id} are no keys; let ${agent_id} publish them again`,
  );
}

async function keyChanged(agent_id: AgentId, pin: PublicKeys, published: PublicKeys): Promise<BusError> {
  const [trusted, shown] = await Promise.all([fingerprint(pin), fingerprint(published)]);
  return new BusError(
    "key_changed",
    `${agent_id} publishes the key ${shown}, but the one trusted is ${trusted}; ask ${agent_id} by another way which is right, and trust the new one explicitly if it is`,
  );
}
