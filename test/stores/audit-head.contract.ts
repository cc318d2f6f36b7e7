import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { type OpenStore, openFor } from "./opened.ts";

export function auditHeadContract(open: OpenStore): void {
  describe("the head of the audit log", () => {
    it("is unknown at first, and then the last that was written", async () => {
      await using opened = await openFor(open);
      const { auditHead } = opened.store;
      assert.equal(await auditHead.read(), undefined);
      await auditHead.write("one");
      assert.equal(await auditHead.read(), "one");
      await Promise.all([auditHead.write("two"), auditHead.write("three")]);
      assert.equal(await auditHead.read(), "three");
    });

    it("is kept as it is written, and apart from everything else", async () => {
      await using opened = await openFor(open);
      const { auditHead } = opened.store;
      const head = `${JSON.stringify({ seq: 7, mac: "'\u00e9\u2028" })}\n`;
      await auditHead.write(head);
      await opened.send();
      await opened.store.history.prune(opened.clock.now(), 10);
      assert.equal(await auditHead.read(), head);
    });
  });
}
