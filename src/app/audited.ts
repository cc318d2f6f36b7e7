import type { Log } from "../base/log.ts";
import type { AuditDetail } from "../contract/audit.ts";
import { BusError } from "../contract/errors.ts";
import type { Operation } from "../contract/operation.ts";
import { operations } from "../contract/operations.ts";
import { type OperationName, operationNames } from "../contract/routes.ts";
import type { Audited, AuditLog } from "./audit.ts";
import type { Call, Caller, Mailroom } from "./mailroom.ts";

type Perform = (input: object, call: Call) => Promise<object>;
type Around = { readonly audit: AuditLog; readonly log: Log };

/**
 * The same mailroom, with everything noted that the table of operations wants to be noted. It goes around whatever checks
 * permissions, so that what is refused there is noted too.
 */
export function auditedMailroom<Room extends Mailroom>(mailroom: Room, around: Around): Room {
  const performers = operationNames.map((name) => {
    // Each operation by its own name; TypeScript cannot follow that across the table.
    return [name, auditedOperation(name, mailroom[name] as unknown as Perform, around)] as const;
  });
  return {
    ...mailroom,
    ...Object.fromEntries(performers),
    subscribe: (input, push, call) =>
      notingRefusal("subscribe", () => mailroom.subscribe(input, push, call), call, around),
    follow: (input, push, call) => notingRefusal("follow", () => mailroom.follow(input, push, call), call, around),
  };
}

function auditedOperation(name: OperationName, perform: Perform, around: Around): Perform {
  const { audited }: Operation = operations[name];
  if (audited === "refusals") {
    return (input, call) => notingRefusal(name, () => perform(input, call), call, around);
  }
  const { event, withdraws, fields = [] } = audited;
  if (audited.entries === "each") {
    return async (input, call) => {
      if (!withdraws) await around.audit.requireWritable();
      const output = await notingRefusal(name, () => perform(input, call), call, around);
      await noteDone({ event, ...whoOf(call.caller), detail: detailOf(fields, input, output) }, around);
      return output;
    };
  }
  return async (input, call) => {
    const output = await notingRefusal(name, () => perform(input, call), call, around);
    if (isAgent(call.caller)) return output;
    await around.audit.count({
      event,
      ...whoOf(call.caller),
      detail: { operation: name, ...detailOf(fields, input, output) },
    });
    return output;
  };
}

async function notingRefusal<Result>(
  operation: string,
  perform: () => Promise<Result>,
  { caller }: Call,
  { audit }: Around,
): Promise<Result> {
  try {
    return await perform();
  } catch (error) {
    if (error instanceof BusError && error.code === "forbidden") {
      await audit.count({ event: "access_denied", ...whoOf(caller), detail: { operation } });
    }
    throw error;
  }
}

/** It is done, whatever becomes of the note: one that cannot be written now is written as soon as it can. */
export async function noteDone(audited: Audited, { audit, log }: Around): Promise<void> {
  await audit.note(audited).catch(async (error: unknown) => {
    log.error({ err: error, event: audited.event, actor: audited.actor }, "done, and not yet in the audit log");
    await audit.count(audited);
  });
}

function whoOf({ actor, key_id }: Caller): Pick<Audited, "actor" | "key_id"> {
  return { actor, key_id };
}

/** An agent sees what is its own. */
function isAgent({ scopes }: Caller): boolean {
  return scopes.every((it) => it === "agent" || it === "open");
}

/** The named fields of input and output: scalars as they are, of lists the length. */
function detailOf(fields: readonly string[], input: object, output: object): AuditDetail {
  const known: Readonly<Record<string, unknown>> = { ...input, ...output };
  return Object.fromEntries(
    fields.flatMap((name): [string, string | number | boolean][] => {
      const value = known[name];
      if (Array.isArray(value)) return [[name, value.length]];
      if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return [[name, value]];
      return [];
    }),
  );
}
