/** Fills the array with random bytes: `crypto.getRandomValues`, or a seeded stand-in under test. */
export type RandomBytes = (bytes: Uint8Array<ArrayBuffer>) => unknown;

const digits = "0123456789abcdef";
const hex = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/**
 * Makes UUIDv7s that sort by time, also within one millisecond and when the wall clock is set back: the 12 bits after
 * the version count up within a millisecond, and the time never decreases. Source: RFC 9562, section 6.2, method 1.
 */
export function createUuidV7(now: () => number, randomBytes: RandomBytes): () => string {
  let lastMs = -1;
  let counter = 0;
  /** The 48 bits of time and the version. */
  let start = "";
  const pool = new Uint8Array(8 * 256);
  let used = pool.length;
  const advance = (ms: number) => {
    lastMs = ms;
    counter = 0;
    const time = ms.toString(16).padStart(12, "0");
    start = `${time.slice(0, 8)}-${time.slice(8)}-7`;
  };
  const nextByte = () => pool[used++] ?? 0;
  const nextHex = () => hex[nextByte()];
  return () => {
    const ms = Math.floor(now());
    if (ms > lastMs) advance(ms);
    else if (++counter > 0xfff) advance(lastMs + 1);
    if (used === pool.length) {
      randomBytes(pool);
      used = 0;
    }
    const count = `${digits[counter >> 8]}${hex[counter & 0xff]}`;
    const clockSequence = `${hex[(nextByte() & 0x3f) | 0x80]}${nextHex()}`;
    return `${start}${count}-${clockSequence}-${nextHex()}${nextHex()}${nextHex()}${nextHex()}${nextHex()}${nextHex()}`;
  };
}

/** When a UUIDv7 was made: milliseconds since the Unix epoch. */
export function uuidV7Time(uuid: string): number {
  return Number.parseInt(uuid.slice(0, 8) + uuid.slice(9, 13), 16);
}
