import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createTicketOffice } from "../../src/server/tickets.ts";
import { clockAt } from "../support/fixtures.ts";

describe("a guess at a ticket", () => {
  it("lets nobody in, and leaves the ticket to its owner", () => {
    const caller = { actor: "ada", scopes: ["agent"] as const };
    const tickets = createTicketOffice(clockAt());
    const { ticket } = tickets.issue(caller);
    const flipped = Array.from(ticket, (letter, at) => {
      return `${ticket.slice(0, at)}${letter === "A" ? "B" : "A"}${ticket.slice(at + 1)}`;
    });
    for (const guess of [...flipped, "", ticket.slice(0, -1), `${ticket}=`, ticket.slice(0, 11), "\ud800"]) {
      assert.equal(tickets.redeem(guess), undefined, guess);
    }
    assert.equal(tickets.redeem(ticket), caller);
  });
});
