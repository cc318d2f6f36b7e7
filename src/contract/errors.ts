/**
 * Every way a request can fail, and the HTTP status that carries it. Programs switch on the code; `docs/errors.md` has a
 * section for each, and a test sees to it.
 */
export const errorStatus = {
  invalid_input: 400,
  invalid_cursor: 400,
  unauthenticated: 401,
  forbidden: 403,
  operation_not_found: 404,
  agent_not_found: 404,
  group_empty: 404,
  capability_not_found: 404,
  conversation_not_found: 404,
  message_not_found: 404,
  token_not_found: 404,
  key_unknown: 404,
  agent_offline: 409,
  alias_taken: 409,
  confirmation_required: 409,
  conversation_closed: 409,
  idempotency_conflict: 409,
  token_limit: 409,
  key_changed: 409,
  sealed_invalid: 409,
  sealed_replayed: 409,
  sealed_only: 409,
  sealed_for_others: 409,
  cursor_expired: 410,
  message_id_expired: 410,
  body_too_large: 413,
  inbox_full: 429,
  lease_limit: 429,
  rate_limited: 429,
  internal: 500,
  content_damaged: 500,
  unavailable: 503,
  unreachable: 503,
  certificate_unusable: 503,
  data_dir_in_use: 503,
  database_damaged: 503,
  database_newer: 503,
  sqlite_unsafe: 503,
  key_unavailable: 503,
  storage_full: 507,
} as const;

export type ErrorCode = keyof typeof errorStatus;

/** An expected failure the caller can act on: the message names the thing and the way out. */
export class BusError extends Error {
  override readonly name = "BusError";
  readonly code: ErrorCode;
  /** When trying again may help, in milliseconds from now; becomes the `Retry-After` header. */
  readonly retry_after_ms: number | undefined;

  constructor(code: ErrorCode, message: string, options: ErrorOptions & { retry_after_ms?: number } = {}) {
    super(message, options);
    this.code = code;
    this.retry_after_ms = options.retry_after_ms;
  }
}
