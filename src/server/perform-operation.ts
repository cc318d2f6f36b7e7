import type { Call, Mailroom } from "../app/mailroom.ts";
import type { RateLimits } from "../app/rate-limits.ts";
import type { OperationName } from "../contract/routes.ts";
import { checkInput } from "./check-input.ts";

/** What every transport carries out operations with. */
export type Counter = { readonly mailroom: Mailroom; readonly rates: RateLimits };

/**
 * Carries out an operation, whichever way it was asked for: counts it against the limits of the caller's token, checks its
 * input, and does it. Counted first, so that checking what nobody may ask costs nothing.
 *
 * @throws BusError `rate_limited`, `invalid_input`, and those of the operation.
 */
export async function performOperation(
  { mailroom, rates }: Counter,
  name: OperationName,
  input: unknown,
  call: Call,
): Promise<unknown> {
  const refusal = rates.admit(name, input, call);
  if (refusal !== undefined) return refusal;
  checkInput(name, input);
  // The validator has just proved that `input` fits; TypeScript cannot follow that across the table.
  const operation = mailroom[name] as (input: unknown, call: Call) => Promise<unknown>;
  return operation(input, call);
}
