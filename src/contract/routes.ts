export type Route = `${"GET" | "POST" | "PUT" | "PATCH" | "DELETE"} /${string}`;

/** Where each operation lives. Apart from the schemas, so that a browser need not load them. */
export const routes = {
  sendMessage: "POST /messages",
  sendMessages: "POST /messages/batch",
  importMessages: "POST /messages/import",
  claimMessages: "POST /agents/{agent_id}/inbox/claim",
  acknowledgeMessages: "POST /messages/acknowledge",
  acknowledgeMessage: "POST /messages/{message_id}/acknowledge",
  rejectMessage: "POST /messages/{message_id}/reject",
  extendLease: "POST /messages/{message_id}/extend",
  recordEvidence: "POST /messages/{message_id}/evidence",
  getMessage: "GET /messages/{message_id}",
  searchMessages: "GET /messages",
  createConversation: "POST /conversations",
  listConversations: "GET /conversations",
  getConversation: "GET /conversations/{conversation_id}",
  updateConversation: "PATCH /conversations/{conversation_id}",
  getInbox: "GET /agents/{agent_id}/inbox",
  listDeadLetters: "GET /dead-letters",
  redriveDeadLetters: "POST /dead-letters/redrive",
  registerAgent: "PUT /agents/{agent_id}",
  listAgents: "GET /agents",
  getAgent: "GET /agents/{agent_id}",
  getAgentKeys: "GET /agents/{agent_id}/keys",
  removeAgent: "DELETE /agents/{agent_id}",
  heartbeat: "POST /agents/{agent_id}/heartbeat",
  createToken: "POST /tokens",
  listTokens: "GET /tokens",
  revokeToken: "DELETE /tokens/{key_id}",
  getKeys: "GET /keys",
  rotateKeys: "POST /keys/rotate",
  rewrapKeys: "POST /keys/rewrap",
  reencryptMessages: "POST /keys/reencrypt",
  readAudit: "GET /audit",
  health: "GET /health",
} as const satisfies Record<string, Route>;

export type OperationName = keyof typeof routes;
export const operationNames = Object.keys(routes) as OperationName[];

export function isOperationName(name: string): name is OperationName {
  return Object.hasOwn(routes, name);
}

type Fields = Readonly<Record<string, unknown>>;

export type FilledRoute = { readonly method: string; readonly path: string; readonly rest: Fields };

/** Puts an operation's input where its route wants it: some fields in the path, the others in `rest`. */
export function fillRoute(name: OperationName, input: Fields): FilledRoute {
  const { method, template } = splitRoute(name);
  const rest = { ...input };
  const path = template.replace(/\{(\w+)\}/g, (_, field: string) => {
    delete rest[field];
    return encodeURIComponent(String(input[field]));
  });
  return { method, path, rest };
}

/** Method, path template and the names of the fields that stand in the path. */
export function splitRoute(name: OperationName): { method: string; template: string; pathFields: readonly string[] } {
  const [method = "", template = ""] = routes[name].split(" ");
  return { method, template, pathFields: [...template.matchAll(/\{(\w+)\}/g)].map(([, field = ""]) => field) };
}
