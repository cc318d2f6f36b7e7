declare const brand: unique symbol;

/** A `T` that the compiler keeps apart from every other `T`: `Brand<string, "AgentId">`. */
export type Brand<T, Name extends string> = T & { readonly [brand]: Name };
