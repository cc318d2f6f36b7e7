/** Limits that are part of the contract: a client may rely on them. What an operator can set lives in `config.ts`. */
export const limits = {
  /** Characters in an agent id, alias or group name. */
  name_length: 128,
  /** Characters of a message's content; the body limit in bytes (`config.ts`) applies besides. */
  content_length: 1_000_000,
  /** Messages in one `sendMessages`, acknowledgements in one `acknowledgeMessages`, rows in one `importMessages`. */
  batch: 1_000,
  /** Rows on one page of a list or search. */
  page: 500,
  /** Rows on a page where the caller names no limit. */
  default_page: 50,
  /** Deliveries in one claim. */
  claim: 1_000,
  lease_ms: { minimum: 1, maximum: 86_400_000 },
  wait_ms: 60_000,
  /** Deliveries a subscription may have outstanding. */
  credit: 10_000,
  /** Nesting of `metadata`. */
  metadata_depth: 16,
  path_length: 4_096,
  idempotency_key_length: 256,
  reason_length: 2_000,
  aliases: 32,
  groups: 64,
  capabilities: 128,
  query_length: 1_000,
  participants: 1_000,
  /** Characters of a sealed message's ciphertext: `content_length` at 3 bytes each, in base64url twice, with room to spare. */
  sealed_length: 6_000_000,
  /** Characters of a sealed message's protected header: its envelope, with names at their longest, takes about 900. */
  sealed_header_length: 2_048,
} as const;
