import { invariant } from "../base/invariant.ts";
import type { RandomBytes } from "../base/uuid.ts";
import { type BlindIndex, createBlindIndex } from "./blind-index.ts";
import { createFieldCipher, type FieldCipher } from "./field-cipher.ts";
import type { CipherKeys } from "./key-ring.ts";

/**
 * What a store needs so that nothing it keeps shows what was said: it seals fields, opens them, and hides the terms of the
 * search index. A store works in several threads, and each has a vault of its own, with the same keys.
 */
export type Vault = FieldCipher &
  BlindIndex & {
    /** Takes other keys, a newer epoch among them; the first time this unlocks it. */
    use(keys: CipherKeys): void;
    /** The key that is sealed with now. */
    newest(): CipherKeys["content"][number];
  };

/** A vault is locked until it is given keys; before that, whoever uses it has made a mistake. */
export function createVault(randomBytes: RandomBytes): Vault {
  let open: { readonly keys: CipherKeys; readonly cipher: FieldCipher; readonly index: BlindIndex } | undefined;
  const unlocked = () => {
    invariant(open, "the store is used before it was given its keys");
    return open;
  };
  return {
    use(keys) {
      // A hive has one index key for ever; what is remembered of its terms stays.
      const index = open?.keys.index.equals(keys.index) ? open.index : createBlindIndex(keys.index);
      open = { keys, cipher: createFieldCipher(keys, randomBytes), index };
    },
    newest() {
      const newest = unlocked().keys.content.at(-1);
      invariant(newest, "a hive has a content key");
      return newest;
    },
    seal: (place, text) => unlocked().cipher.seal(place, text),
    open: (place, sealed) => unlocked().cipher.open(place, sealed),
    term: (kind, value) => unlocked().index.term(kind, value),
  };
}
