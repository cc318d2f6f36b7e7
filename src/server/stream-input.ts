import { type TSchema, Type } from "typebox";
import { Compile } from "typebox/compile";
import { BusError } from "../contract/errors.ts";
import { limits } from "../contract/limits.ts";
import { AgentId, Cursor } from "../contract/messages.ts";
import type { StreamInput, StreamOperation } from "../contract/stream.ts";
import { describeMismatch } from "./describe-mismatch.ts";

const strict = { additionalProperties: false } as const;
const credit = Type.Integer({ minimum: 1, maximum: limits.credit });

const schemas: Readonly<Record<StreamOperation, TSchema>> = {
  subscribe: Type.Object({ agent_id: AgentId, credit, lease_ms: Type.Optional(Type.Integer(limits.lease_ms)) }, strict),
  unsubscribe: Type.Object({ agent_id: AgentId }, strict),
  credit: Type.Object({ agent_id: AgentId, credit }, strict),
  follow: Type.Object({ after: Type.Optional(Cursor) }, strict),
};

const validators = new Map(Object.entries(schemas).map(([name, schema]) => [name, Compile(schema)]));

export function isStreamOperation(name: string): name is StreamOperation {
  return validators.has(name);
}

/** @throws BusError `invalid_input` that names the field, what was expected there and what came. */
export function checkStreamInput<Name extends StreamOperation>(
  name: Name,
  input: unknown,
): asserts input is StreamInput[Name] {
  const validator = validators.get(name);
  if (validator?.Check(input)) return;
  const errors = validator?.Errors(input) ?? [];
  throw new BusError("invalid_input", `${name}: ${describeMismatch(schemas[name], input, errors)}`);
}
