import { parseJson } from "../../src/base/json.ts";
import { type Incoming, readFrame } from "./incoming.ts";
import { openWire, type Wire } from "./wire.ts";

/** Several connections to one server, which share one way of handling what comes in. */
export type Connections = Disposable & {
  readonly wires: readonly Wire[];
  /** Any operation, over one of the connections. Rejects where the server refuses. */
  call(op: string, input: object, connection?: number): Promise<unknown>;
};

export type ConnectionsOptions = {
  readonly url: string;
  readonly token: string;
  readonly count: number;
  /** Answers to what was sent on a wire directly; the frame is valid only during the call. */
  readonly onAnswer: (answer: Extract<Incoming, { kind: "answer" }>, frame: Buffer) => void;
  readonly onDelivery: (connection: number, delivery: Extract<Incoming, { kind: "delivery" }>, frame: Buffer) => void;
  /** A connection ended by itself; unless given, that ends the run. */
  readonly onLost?: (connection: number, why: Error) => void;
};

/** Ids of requests made by `call`: above all that others use. */
const firstCallId = 2 ** 50;

export async function openConnections(options: ConnectionsOptions): Promise<Connections> {
  const calls = createCalls();
  const onText = (connection: number) => (frame: Buffer) => {
    const incoming = readFrame(frame);
    if (incoming.kind === "delivery") options.onDelivery(connection, incoming, frame);
    else if (incoming.kind === "answer" && incoming.id >= firstCallId) calls.settle(incoming.id, frame);
    else if (incoming.kind === "answer") options.onAnswer(incoming, frame);
  };
  const { url, token } = options;
  const wires: Wire[] = [];
  for (let i = 0; i < options.count; i++) {
    const onLost = (why: Error) => (options.onLost ? options.onLost(i, why) : failRun(why));
    wires.push(await openWire({ url, token, onText: onText(i), onLost }));
  }
  return {
    wires,
    call: (op, input, connection = 0) => calls.make(wires[connection], op, input),
    [Symbol.dispose]: () => {
      for (const wire of wires) wire[Symbol.dispose]();
    },
  };
}

/** A run that lost a connection has measured nothing: the process ends with the reason. */
function failRun(why: Error): never {
  throw why;
}

function createCalls() {
  const pending = new Map<number, PromiseWithResolvers<unknown>>();
  let nextId = firstCallId;
  return {
    make(wire: Wire | undefined, op: string, input: object): Promise<unknown> {
      const id = nextId++;
      const call = Promise.withResolvers<unknown>();
      pending.set(id, call);
      wire?.send(JSON.stringify({ id, op, input }));
      return call.promise;
    },
    settle(id: number, frame: Buffer): void {
      const answer = parseJson(frame.toString()) as { ok: boolean; output: unknown; error?: unknown };
      const call = pending.get(id);
      pending.delete(id);
      if (answer.ok) call?.resolve(answer.output);
      else call?.reject(new Error(`the server refused: ${JSON.stringify(answer.error)}`));
    },
  };
}
