import { parentPort, workerData } from "node:worker_threads";
import { createFieldCipher, type SealedPlace } from "../../src/crypto/field-cipher.ts";
import type { CipherKeys } from "../../src/crypto/key-ring.ts";
import { chance } from "./keys.ts";

/** Seals texts in a thread of its own, with keys it was sent. */
const { keys, place, texts } = workerData as { keys: CipherKeys; place: SealedPlace; texts: number };
const cipher = createFieldCipher(keys, chance);
parentPort?.postMessage(Array.from({ length: texts }, (_, i) => cipher.seal(place, `text ${i}`)));
