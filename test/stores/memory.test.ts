import { openMemoryStore } from "../../src/stores/memory/store.ts";
import { storeContract } from "./store.contract.ts";

storeContract("memory store", async (options) => openMemoryStore(options));
