/** How patient the server is with the other side. Not settings: nobody needs to turn them, but tests are in a hurry. */
export type Timing = {
  /** Until a request's headers must have come. */
  readonly headers_ms: number;
  /** Until a whole request must have come; an answer may take longer, as a long poll does. */
  readonly request_ms: number;
  /** How often the two above are looked at. */
  readonly check_ms: number;
  /** How long a connection may stay open between two requests. */
  readonly keep_alive_ms: number;
  /** How often a silent WebSocket is asked whether it is there; after two such silences it is closed. */
  readonly ping_ms: number;
};

export const patience: Timing = {
  headers_ms: 10_000,
  request_ms: 60_000,
  check_ms: 5_000,
  keep_alive_ms: 30_000,
  ping_ms: 15_000,
};
