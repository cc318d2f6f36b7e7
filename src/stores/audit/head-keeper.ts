import type { AuditHead } from "../../app/ports.ts";
import type { Log } from "../../base/log.ts";
import { type Link, sealHead } from "./chain.ts";

export type HeadKeeper = {
  /** Notes the head soon; of several that come while one is written, the last. */
  keep(link: Link): void;
  /** Resolves when nothing is left to be noted, or cannot be. */
  settled(): Promise<void>;
};

/** Keeps the head of the log apart from it, one step behind: a line must be on disk before a head tells of it. */
export function createHeadKeeper(head: AuditHead, key: Uint8Array, log: Log): HeadKeeper {
  let wanted: Link | undefined;
  let writing: Promise<void> | undefined;

  const write = async () => {
    while (wanted) {
      const link = wanted;
      wanted = undefined;
      // Where it fails, the file is ahead of its head until the next entry: only a cut of these lines would go unnoticed.
      await head.write(sealHead(key, link)).catch((error: unknown) => {
        log.error({ err: error }, "cannot note the end of the audit log in the database");
      });
    }
    // In the same turn in which nothing was wanted, lest a wish that comes between be forgotten.
    writing = undefined;
  };

  return {
    keep(link) {
      wanted = link;
      writing ??= write();
    },
    settled: async () => await writing,
  };
}
