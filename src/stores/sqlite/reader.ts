import { parentPort, workerData } from "node:worker_threads";
import { invariant } from "../../base/invariant.ts";
import type { CipherKeys } from "../../crypto/key-ring.ts";
import { createVault } from "../../crypto/vault.ts";
import { openConnection } from "./connection.ts";
import { toWireError } from "./failure.ts";
import { openIndexForReading } from "./index-reading.ts";
import type { FromReader, ReaderOptions, ReaderQuestion, ReaderQuestions, ToReader } from "./reader-protocol.ts";
import { createReads } from "./reads.ts";
import { createSearch } from "./search.ts";

/* The reader thread: lists, searches and the event stream, on connections that cannot write. */

invariant(parentPort, "this file is the start of a worker thread");
const port = parentPort;
const { file, index_file } = workerData as ReaderOptions; // The main thread starts this with just that.

const db = openConnection(file, "reader");
const index = openIndexForReading(index_file, (reason) => tell({ index_damaged: reason }));
const vault = createVault((bytes) => crypto.getRandomValues(bytes));
const reads = createReads(db, vault);
const search = createSearch(db, index, vault);

function use_keys(keys: CipherKeys): undefined {
  vault.use(keys);
}

type Answers = {
  readonly [Name in ReaderQuestion]: (
    question: ReaderQuestions[Name]["question"],
  ) => ReaderQuestions[Name]["answer"] | Promise<ReaderQuestions[Name]["answer"]>;
};
const answers: Answers = { ...reads, search, use_keys };

tell({ ready: true });

port.on("message", (message: ToReader) => {
  if ("close" in message) return close();
  void answer(message);
});

async function answer({ id, name, question }: Extract<ToReader, { id: number }>): Promise<void> {
  try {
    // The client pairs each name with its question.
    const one = answers[name] as (question: unknown) => unknown;
    tell({ id, answer: await one(question) });
  } catch (error) {
    tell({ id, error: toWireError(error) });
  }
}

function tell(message: FromReader): void {
  port.postMessage(message);
}

function close(): void {
  index.close();
  db.close();
  tell({ closed: true });
  port.close();
}
