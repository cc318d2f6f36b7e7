import { Compile, type Validator } from "typebox/compile";
import { BusError } from "../contract/errors.ts";
import { limits } from "../contract/limits.ts";
import { type Input, operations } from "../contract/operations.ts";
import { type OperationName, operationNames } from "../contract/routes.ts";
import { describeMismatch } from "./describe-mismatch.ts";

const validators = new Map<OperationName, Validator>(
  operationNames.map((name) => [name, Compile(operations[name].input)]),
);

/**
 * Parses at the edge: what passes is exactly what the operation's schema says.
 *
 * @throws BusError `invalid_input` that names the field, what was expected there and what came.
 */
export function checkInput<Name extends OperationName>(name: Name, input: unknown): asserts input is Input<Name> {
  const validator = validators.get(name);
  if (!validator?.Check(input)) throw mismatch(name, input);
  metadataChecks[name]?.(input as never);
}

function mismatch(name: OperationName, input: unknown): BusError {
  const errors = validators.get(name)?.Errors(input) ?? [];
  return new BusError("invalid_input", `${name}: ${describeMismatch(operations[name].input, input, errors)}`);
}

/** `metadata` is the one place where the schema lets anything through, so it is looked at by hand. */
const metadataChecks: { readonly [Name in OperationName]?: (input: Input<Name>) => void } = {
  sendMessage: ({ metadata }) => checkMetadata(metadata, "/metadata"),
  registerAgent: ({ metadata }) => checkMetadata(metadata, "/metadata"),
  sendMessages: ({ messages }) => {
    for (const [i, { metadata }] of messages.entries()) checkMetadata(metadata, `/messages/${i}/metadata`);
  },
  importMessages: ({ messages }) => {
    for (const [i, { metadata }] of messages.entries()) checkMetadata(metadata, `/messages/${i}/metadata`);
  },
};

function checkMetadata(metadata: object | undefined, pointer: string): void {
  if (metadata) checkFreeForm(metadata, pointer, limits.metadata_depth);
}

function checkFreeForm(value: unknown, pointer: string, levels_left: number): void {
  if (typeof value === "number" && !Number.isFinite(value)) {
    throw new BusError("invalid_input", `${pointer}: expected a number that fits a 64-bit float`);
  }
  if (typeof value !== "object" || value === null) return;
  if (levels_left === 0) {
    throw new BusError("invalid_input", `${pointer}: nests deeper than ${limits.metadata_depth} levels`);
  }
  for (const key of Object.keys(value)) {
    if (key === "__proto__") {
      throw new BusError("invalid_input", `${pointer}: the field name __proto__ is not allowed`);
    }
    checkFreeForm((value as Record<string, unknown>)[key], `${pointer}/${key}`, levels_left - 1);
  }
}
