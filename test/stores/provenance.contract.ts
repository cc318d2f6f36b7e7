import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Message } from "../../src/contract/messages.ts";
import type { Provenance } from "../../src/contract/provenance.ts";
import { aPublication, bob, monday_ms } from "../support/fixtures.ts";
import { leaseOf, type OpenStore, openFor } from "./opened.ts";

export function provenanceContract(open: OpenStore): void {
  describe("the provenance of a message", () => {
    const provenances: readonly Provenance[] = [
      { actor: "ada", token: "agent", trust: "agent" },
      { actor: "operator:7Zk3QpX0a1B", token: "operate", trust: "operator" },
      { actor: "operator", token: "admin", trust: "imported" },
      { actor: "hivepost", token: "system", trust: "hivepost" },
      { actor: "a name with  spaces ", token: "agent", trust: "operator" },
    ];
    for (const provenance of provenances) {
      it(`goes with it wherever it is shown: ${provenance.trust}, ${provenance.actor}`, async () => {
        await using opened = await openFor(open);
        const { deliveries, history } = opened.store;
        const from = (message: Message | undefined) => message?.provenance;
        const { id } = await opened.send({ provenance, idempotency_key: "k" });
        const first = await opened.claimOne(bob);
        const [found] = (await history.search({ order: "newest", limit: 1 })).rows;
        const traced = await history.message(id);
        const again = await opened.trySend({ idempotency_key: "k", provenance: { ...provenance, trust: "operator" } });
        assert(again.outcome === "duplicate");
        await deliveries.release([leaseOf(first).lease_id], "closed");
        const [death] = await deliveries.retire(bob, "gone", "operator");
        const [letter] = (await history.deadLetters({ limit: 1 })).rows;
        await deliveries.redrive({ limit: 1, actor: "operator" });
        const second = await opened.claimOne(bob);
        const shown = [first.message, found, traced, again.message, death?.message, letter?.message, second.message];
        assert.deepEqual(shown.map(from), Array(7).fill(provenance));
      });
    }

    it("stays that of the import where it was imported", async () => {
      await using opened = await openFor(open);
      const provenance: Provenance = { actor: "operator", token: "operate", trust: "imported" };
      const row = aPublication({ provenance });
      await opened.store.history.import([{ ...row, timestamp_ms: monday_ms - 1_000 }]);
      assert.deepEqual((await opened.store.history.message(row.id))?.provenance, provenance);
    });
  });
}
