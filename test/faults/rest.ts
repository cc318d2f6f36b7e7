import { parseJson } from "../../src/base/json.ts";
import type { Input, Output } from "../../src/contract/operations.ts";
import { fillRoute, type OperationName } from "../../src/contract/routes.ts";
import type { HiveProcess } from "../support/hive-process.ts";

export type Answer<Name extends OperationName> =
  | { readonly status: 200 | 201; readonly body: Output<Name> }
  | { readonly status: number; readonly body: { readonly code: string; readonly detail: string } };

/** One request over REST, answered or refused. */
export async function ask<Name extends OperationName>(
  { url, token }: Pick<HiveProcess, "url" | "token">,
  name: Name,
  input: Input<Name>,
): Promise<Answer<Name>> {
  const { method, path, rest } = fillRoute(name, input as Record<string, unknown>);
  const answer = await fetch(url + path, {
    method,
    headers: { authorization: `Bearer ${token}`, ...(method !== "GET" && { "content-type": "application/json" }) },
    ...(method !== "GET" && { body: JSON.stringify(rest) }),
    signal: AbortSignal.timeout(30_000),
  });
  // What the operation answers, or a problem document.
  return { status: answer.status, body: parseJson(await answer.text()) } as Answer<Name>;
}

/** The same, where nothing but success will do. */
export async function tell<Name extends OperationName>(
  hive: Pick<HiveProcess, "url" | "token">,
  name: Name,
  input: Input<Name>,
): Promise<Output<Name>> {
  const { status, body } = await ask(hive, name, input);
  if (status >= 300) throw new Error(`${name} answered ${status}: ${JSON.stringify(body)}`);
  return body as Output<Name>;
}
