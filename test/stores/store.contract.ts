import { describe } from "node:test";
import { auditHeadContract } from "./audit-head.contract.ts";
import { conversationContract } from "./conversations.contract.ts";
import { failureContract } from "./failures.contract.ts";
import { fleetContract } from "./fleet.contract.ts";
import { historyContract } from "./history.contract.ts";
import { importContract } from "./import.contract.ts";
import { keysContract } from "./keys.contract.ts";
import { leaseContract } from "./leases.contract.ts";
import type { OpenStore } from "./opened.ts";
import { provenanceContract } from "./provenance.contract.ts";
import { publishContract } from "./publish.contract.ts";
import { retentionContract } from "./retention.contract.ts";
import { sealedContract } from "./sealed.contract.ts";
import { sweepContract } from "./sweep.contract.ts";
import { tokenContract } from "./tokens.contract.ts";

/**
 * Everything that a store promises, a test per rule. Call it once per kind of store:
 * `storeContract("SQLite store", ({ clock, policy }) => openUnlockedStore({ folder: aFreshFolder(), clock, policy, … }))`.
 *
 * @param open Opens an empty store; disposing the store frees what it used.
 */
export function storeContract(name: string, open: OpenStore): void {
  describe(name, { concurrency: false }, () => {
    publishContract(open);
    conversationContract(open);
    leaseContract(open);
    failureContract(open);
    sweepContract(open);
    historyContract(open);
    importContract(open);
    retentionContract(open);
    fleetContract(open);
    sealedContract(open);
    tokenContract(open);
    keysContract(open);
    auditHeadContract(open);
    provenanceContract(open);
  });
}
