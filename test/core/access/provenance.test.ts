import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { provenanceOfImported, provenanceOfSent, type Sender } from "../../../src/core/access/provenance.ts";
import { ada, bob } from "../../support/fixtures.ts";

const adas: Sender = { actor: "ada", scopes: ["agent"], agent_id: ada };
const operators: Sender = { actor: "operator:7Zk3QpX0a1B", scopes: ["observe", "operate"] };
const admins: Sender = { actor: "operator", scopes: ["admin"] };

describe("where a message comes from", () => {
  it("is an agent where its own token sent it under its own name, whatever else that token may do", () => {
    assert.deepEqual(provenanceOfSent(adas, ada), { actor: "ada", token: "agent", trust: "agent" });
    const both: Sender = { ...adas, scopes: ["agent", "operate"] };
    assert.deepEqual(provenanceOfSent(both, ada), { actor: "ada", token: "operate", trust: "agent" });
  });

  it("is an operator where the name was chosen by whoever sent it, also if the name is the bus's", () => {
    assert.deepEqual(provenanceOfSent(operators, ada), {
      actor: "operator:7Zk3QpX0a1B",
      token: "operate",
      trust: "operator",
    });
    assert.deepEqual(provenanceOfSent(admins, "hivepost" as typeof ada), {
      actor: "operator",
      token: "admin",
      trust: "operator",
    });
    assert.equal(provenanceOfSent({ ...adas, scopes: ["agent", "operate"] }, bob).trust, "operator");
  });

  it("is a claim where it was imported, by whomever", () => {
    assert.deepEqual(provenanceOfImported(admins), { actor: "operator", token: "admin", trust: "imported" });
    const both: Sender = { ...adas, scopes: ["agent", "operate"] };
    assert.deepEqual(provenanceOfImported(both), { actor: "ada", token: "operate", trust: "imported" });
  });
});
