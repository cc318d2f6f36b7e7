import type { Brand } from "../base/brand.ts";

/** `T` with every branded text in it as plain text: what a caller may pass, since the server checks it anyway. */
export type Plain<T> =
  T extends Brand<string, string>
    ? string
    : T extends readonly (infer Item)[]
      ? readonly Plain<Item>[]
      : T extends object
        ? { readonly [Field in keyof T]: Plain<T[Field]> }
        : T;
