/** Thrown where our own reasoning was wrong. Never an answer to a caller: it is logged and told as "internal". */
class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/** Says what must be true here, to the compiler as well. */
export function invariant(condition: unknown, message: string): asserts condition {
  if (!condition) throw new InvariantError(message);
}
