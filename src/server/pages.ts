import { createHash } from "node:crypto";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import type { Caller } from "../app/mailroom.ts";
import { streamPath, streamProtocol, ticketPath } from "../contract/stream.ts";
import { agentCard } from "./agent-card.ts";
import { requireObserver } from "./authenticate.ts";
import { renderDocs } from "./docs-page.ts";
import { pageStyle } from "./docs-style.ts";
import { readErrorsFile, renderErrors } from "./errors-page.ts";
import type { Metrics } from "./metrics.ts";
import { openApiDocument } from "./openapi.ts";
import { HttpError } from "./problem.ts";
import { jsonType } from "./rest.ts";
import type { TicketOffice } from "./tickets.ts";

type PagesOptions = {
  readonly authenticate: (request: FastifyRequest) => Caller;
  readonly metrics: Metrics;
  readonly tickets: TicketOffice;
  readonly version: string;
  /** `http://name:port`, as a request asked for it. */
  readonly addressOf: (request: FastifyRequest) => string;
};

/** Everything that is not an operation. */
export function addPages(
  app: FastifyInstance,
  { authenticate, metrics, tickets, version, addressOf }: PagesOptions,
): void {
  const document = openApiDocument(version);
  const documentText = JSON.stringify(document);
  const docs = renderDocs(document);
  const errors = renderErrors(readErrorsFile());

  app.get("/openapi.json", (_, reply) => reply.header("content-type", jsonType).send(documentText));
  app.get("/docs", (_, reply) => sendPage(reply, docs));
  app.get("/docs/errors", (_, reply) => sendPage(reply, errors));
  app.get("/.well-known/agent-card.json", (request, reply) =>
    reply.header("content-type", jsonType).send(JSON.stringify(agentCard(addressOf(request), version))),
  );
  app.get("/metrics", async (request, reply) => {
    requireObserver(authenticate(request));
    return reply.header("content-type", metrics.contentType).send(await metrics.render());
  });
  app.post(ticketPath, (request, reply) =>
    reply
      .code(201)
      .header("content-type", jsonType)
      .send(JSON.stringify(tickets.issue(authenticate(request)))),
  );
  app.get(streamPath, () => {
    throw new HttpError(426, "invalid_input", `open a WebSocket here, with the subprotocol ${streamProtocol}`, {
      upgrade: "websocket",
      connection: "upgrade",
    });
  });
}

/** The one style sheet stands in the page, allowed by its hash; there are no scripts and nothing is loaded. */
const styleHash = createHash("sha256").update(pageStyle).digest("base64");
const pagePolicy = `default-src 'none'; style-src 'sha256-${styleHash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`;

function sendPage(reply: FastifyReply, html: string): FastifyReply {
  return reply
    .header("content-type", "text/html; charset=utf-8")
    .header("content-security-policy", pagePolicy)
    .header("cache-control", "no-cache")
    .send(html);
}
