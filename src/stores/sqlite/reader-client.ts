import { fromWireError, unavailable } from "./failure.ts";
import type { FromReader, ReaderQuestion, ReaderQuestions, ToReader } from "./reader-protocol.ts";

/** Asks the reader thread. */
export type ReaderClient = {
  ask<Name extends ReaderQuestion>(
    name: Name,
    question: ReaderQuestions[Name]["question"],
  ): Promise<ReaderQuestions[Name]["answer"]>;
  receive(message: Extract<FromReader, { id: number }>): void;
  /** The thread is gone. */
  breakDown(error: Error): void;
};

/** Questions that may wait; a reader that cannot keep up should not fill the memory with them. */
const mostWaiting = 10_000;

type Waiting = { readonly resolve: (answer: unknown) => void; readonly reject: (error: Error) => void };

export function createReaderClient(post: (message: ToReader) => void): ReaderClient {
  const waiting = new Map<number, Waiting>();
  let last = 0;
  let broken: Error | undefined;
  return {
    ask(name, question) {
      return new Promise((resolve, reject) => {
        if (broken) throw unavailable(`The reader has stopped: ${broken.message}`, { cause: broken });
        if (waiting.size >= mostWaiting) throw unavailable("Too many searches are waiting; try again shortly.");
        last += 1;
        // The reader answers under the id of the question, with what belongs to its name.
        waiting.set(last, { resolve: resolve as Waiting["resolve"], reject });
        post({ id: last, name, question });
      });
    },
    receive(message) {
      const one = waiting.get(message.id);
      waiting.delete(message.id);
      if ("error" in message) one?.reject(fromWireError(message.error));
      else one?.resolve(message.answer);
    },
    breakDown(error) {
      broken = error;
      for (const { reject } of waiting.values())
        reject(unavailable(`The reader has stopped: ${error.message}`, { cause: error }));
      waiting.clear();
    },
  };
}
