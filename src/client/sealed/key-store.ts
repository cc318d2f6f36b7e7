import type { AgentId } from "../../contract/messages.ts";
import type { PublicKeys } from "../../contract/public-keys.ts";
import type { AgentKeys } from "../../crypto/sealed/keys.ts";

/** Where an agent's own keys are kept, and what it has seen of others'. Private halves never leave it but for use. */
export type KeyStore = {
  /** The agent's present keys, made now where it has none. */
  ensure(agent_id: AgentId): Promise<AgentKeys>;
  /** All keys it still has, the present ones first; none where it never had any. */
  keysOf(agent_id: AgentId): Promise<readonly AgentKeys[]>;
  /** Makes new keys. The old ones stay, so that mail sealed for them can be opened. */
  rotate(agent_id: AgentId): Promise<AgentKeys>;
  /** Drops keys that were replaced before a moment, in milliseconds since the Unix epoch; returns how many. */
  forget(agent_id: AgentId, before_ms: number): Promise<number>;
  /**
   * Trusts what is published for an agent when it is seen first, and only the same from then on. Gives all that was ever
   * trusted, the latest first: what `open` wants as `sender_keys`.
   *
   * @throws BusError `key_changed` with both fingerprints, `invalid_input` where a `kid` belongs to another key
   */
  verify(agent_id: AgentId, published: PublicKeys): Promise<readonly PublicKeys[]>;
  /** Trusts a changed key, after somebody has compared the fingerprints. Mail signed with the earlier one still opens. */
  trust(agent_id: AgentId, published: PublicKeys): Promise<readonly PublicKeys[]>;
  /** Trusts nothing for the agent any more: as if it had never been seen. */
  distrust(agent_id: AgentId): Promise<void>;
  /** What is trusted of an agent, the latest first. */
  trusted(agent_id: AgentId): Promise<readonly PublicKeys[]>;
};
