import { createReadStream } from "node:fs";
import path from "node:path";
import { createInterface } from "node:readline";

/** What strace saw of one server: which messages were written to the log, synced, and answered, in the order it happened. */
export type DurabilityTrace = {
  /** fsyncs of the write-ahead log. */
  readonly fsyncs: number;
  readonly answered: number;
  /** Answers that left although the fsync that covers their message had not returned; there must be none. */
  readonly answered_too_early: readonly number[];
  /** Messages covered by each fsync that covered any. */
  readonly batches: readonly number[];
};

/** strace with what `readTrace` needs: descriptors by name, whole buffers, all threads. */
export function straceCommand(file: string): readonly string[] {
  const calls = "trace=fsync,fdatasync,pwrite64,write,writev,sendto,sendmsg";
  return ["strace", "-f", "-y", "-qq", "-s", "262144", "-e", "signal=none", "-e", calls, "-o", file];
}

/*
 * A line is `PID call(FD<path>, …) = result`. Where another thread's call comes in between, it is cut into
 * `PID call(FD<path>, … <unfinished ...>` and `PID <... call resumed>…`: the first part stands where the call began, the
 * second where it returned.
 */
const wholeOrBegun = /^(\d+) +(\w+)\(\d+<([^>]*)>(.*)$/;
const resumed = /^(\d+) +<\.\.\. (\w+) resumed>(.*)$/;
const mark = /#(\d{9}) /g;
const answer = /\{\\"id\\":(\d+),\\"ok\\":true/g;
/** Ids from here on belong to requests that send nothing (bench/load/connections.ts). */
const firstOtherId = 2 ** 50;

type Call = { readonly thread: string; readonly name: string; readonly target: string; readonly rest: string };

export async function readTrace(file: string): Promise<DurabilityTrace> {
  const book = createBook();
  const underWay = new Map<string, Call>();
  for await (const text of createInterface({ input: createReadStream(file, "latin1") })) {
    const begun = wholeOrBegun.exec(text);
    const returned = resumed.exec(text);
    if (begun) {
      const [, thread = "", name = "", target = "", rest = ""] = begun;
      const call = { thread, name, target, rest };
      enter(book, call);
      if (rest.endsWith("<unfinished ...>")) underWay.set(thread, call);
      else leave(book, call, rest);
    } else if (returned) {
      const [, thread = "", , rest = ""] = returned;
      const call = underWay.get(thread);
      if (call) leave(book, call, rest);
      underWay.delete(thread);
    }
  }
  return book.trace();
}

function enter(book: Book, { thread, name, target, rest }: Call): void {
  if (isLogSync(name, target)) book.syncBegan(thread);
  else if (target.startsWith("socket:")) for (const n of answeredIn(rest)) book.answered(n);
}

function leave(book: Book, { thread, name, target, rest }: Call, result: string): void {
  if (isLogSync(name, target)) book.syncEnded(thread, result);
  else if (name === "pwrite64" && isLog(target)) for (const [, n] of rest.matchAll(mark)) book.written(Number(n));
}

function isLogSync(name: string, target: string): boolean {
  return (name === "fsync" || name === "fdatasync") && isLog(target);
}

/** The write-ahead log of the messages; the full-text index, which can be rebuilt, has one of its own. */
function isLog(target: string): boolean {
  return target.endsWith("-wal") && !path.basename(target).includes("index");
}

/** Numbers of the messages whose sends are answered here: sends have even ids, twice the message's number. */
function answeredIn(text: string): number[] {
  const ids = [...text.matchAll(answer)].map(([, id]) => Number(id));
  return ids.filter((id) => id % 2 === 0 && id < firstOtherId).map((id) => id / 2);
}

type Book = ReturnType<typeof createBook>;

function createBook() {
  /** Written to the log, by no finished fsync covered. */
  const written = new Set<number>();
  /** What each fsync under way will have covered: all that was written when it began. Threads may overlap. */
  const syncing = new Map<string, readonly number[]>();
  const durable = new Set<number>();
  const tooEarly: number[] = [];
  const batches: number[] = [];
  let fsyncs = 0;
  let answered = 0;
  return {
    written(n: number) {
      if (!durable.has(n)) written.add(n);
    },
    syncBegan(thread: string) {
      syncing.set(thread, [...written]);
    },
    syncEnded(thread: string, result: string) {
      if (!result.trimEnd().endsWith("= 0")) throw new Error(`an fsync of the log failed: ${result}`);
      fsyncs += 1;
      const covered = (syncing.get(thread) ?? []).filter((n) => written.delete(n));
      syncing.delete(thread);
      if (covered.length > 0) batches.push(covered.length);
      for (const n of covered) durable.add(n);
    },
    answered(n: number) {
      answered += 1;
      if (!durable.has(n)) tooEarly.push(n);
    },
    trace: (): DurabilityTrace => ({ fsyncs, answered, answered_too_early: tooEarly, batches }),
  };
}
