import type { CipherKeys } from "../../crypto/key-ring.ts";
import type { WireError } from "./failure.ts";

export type IndexerOptions = { readonly file: string; readonly index_file: string };

export type ToIndexer =
  /** Opens with these from now on; it begins to work once it has some. */
  | { readonly use: CipherKeys }
  /** There are new events. */
  | { readonly wake: true }
  /** The database has forgotten this many messages. */
  | { readonly forgotten: number }
  /** A reader could not read the index. */
  | { readonly rebuild: string }
  | { readonly close: true };

export type FromIndexer =
  | { readonly ready: { readonly backlog: number } }
  /** It has taken the keys it was given. */
  | { readonly unlocked: true }
  /** So many messages have got into the index. */
  | { readonly indexed: number }
  /** It has everything there was, and sleeps until it is woken. */
  | { readonly asleep: true }
  /** The index is being made anew, and why. */
  | { readonly rebuilding: string }
  /** It could not go on for now. */
  | { readonly error: WireError }
  | { readonly closed: true };
