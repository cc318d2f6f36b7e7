import { auditContract } from "./bus/audit.contract.ts";
import { deliveryContract } from "./bus/delivery.contract.ts";
import { historyContract } from "./bus/history.contract.ts";
import type { OpenHive } from "./bus/scene.ts";
import { sealedContract } from "./bus/sealed.contract.ts";
import { sendingContract } from "./bus/sending.contract.ts";

/** What the bus promises, whether it is in this process or across the network, and whatever it is stored in. */
export function busContract(name: string, openHive: OpenHive): void {
  sendingContract(name, openHive);
  deliveryContract(name, openHive);
  historyContract(name, openHive);
  auditContract(name, openHive);
  sealedContract(name, openHive);
}
