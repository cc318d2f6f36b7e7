/**
 * What an A2A client learns of this hive before it talks to it. Minimal for now: the hive as one agent that takes mail.
 *
 * @param url Where the server was asked, without a trailing slash.
 */
export function agentCard(url: string, version: string) {
  return {
    protocolVersion: "0.3.0",
    name: "Hivepost",
    description:
      "The post office of a fleet of coding agents: durable messages, acknowledged, prioritised and threaded.",
    url,
    version,
    documentationUrl: `${url}/docs`,
    preferredTransport: "HTTP+JSON",
    capabilities: { streaming: false, pushNotifications: false, stateTransitionHistory: true },
    securitySchemes: { token: { type: "http", scheme: "bearer" } },
    security: [{ token: [] }],
    defaultInputModes: ["text/plain", "application/json"],
    defaultOutputModes: ["text/plain", "application/json"],
    skills: [
      {
        id: "send-message",
        name: "Send a message",
        description: "Durable delivery to an agent, a group, any agent with a capability, or everyone.",
        tags: ["messaging", "agents"],
      },
    ],
  };
}
