/** Fills the array with random bytes: `crypto.getRandomValues`, or a seeded stand-in under test. */
export type RandomBytes = (bytes: Uint8Array<ArrayBuffer>) => unknown;

const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/**
 * Makes UUIDv7s that sort by time, also within one millisecond and when the wall clock is set back: the 12 bits after
 * the version count up within a millisecond, and the time never decreases. Source: RFC 9562, section 6.2, method 1.
 */
export function createUuidV7(now: () => number, randomBytes: RandomBytes): () => string {
  let lastMs = 0;
  let counter = 0;
  const pool = new Uint8Array(8 * 256);
  let used = pool.length;
  return () => {
    const ms = Math.floor(now());
    if (ms > lastMs) {
      lastMs = ms;
      counter = 0;
    } else if (++counter > 0xfff) {
      lastMs += 1;
      counter = 0;
    }
    if (used === pool.length) {
      randomBytes(pool);
      used = 0;
    }
    const tail = pool.subarray(used, used + 8);
    used += 8;
    const time = lastMs.toString(16).padStart(12, "0");
    const count = counter.toString(16).padStart(3, "0");
    const [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = tail;
    const clockSequence = `${hex[(a & 0x3f) | 0x80]}${hex[b]}`;
    const node = `${hex[c]}${hex[d]}${hex[e]}${hex[f]}${hex[g]}${hex[h]}`;
    return `${time.slice(0, 8)}-${time.slice(8)}-7${count}-${clockSequence}-${node}`;
  };
}

/** When a UUIDv7 was made: milliseconds since the Unix epoch. */
export function uuidV7Time(uuid: string): number {
  return Number.parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16);
}
