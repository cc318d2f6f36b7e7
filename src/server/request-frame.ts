import { BusError } from "../contract/errors.ts";
import { parseJsonBytes, requireWellFormed } from "./parse-json.ts";

/** A request as it came: only the envelope is known to be right. */
export type ReceivedFrame = { readonly id: number; readonly op: string; readonly input: unknown };

/** A frame that is no request; `id` is set where it could be read, so that the caller learns which one failed. */
export class FrameError extends BusError {
  readonly id: number | null;
  /** Whether the text was not even JSON: the other side does not speak the protocol. */
  readonly unreadable: boolean;

  constructor(id: number | null, unreadable: boolean, message: string) {
    super("invalid_input", message);
    this.id = id;
    this.unreadable = unreadable;
  }
}

/** Reads `{"id": 1, "op": "sendMessage", "input": {…}}`. @throws FrameError */
export function readFrame(bytes: Buffer): ReceivedFrame {
  const frame = parseFrame(bytes);
  if (typeof frame !== "object" || frame === null || Array.isArray(frame)) {
    throw new FrameError(null, false, "a frame is an object: id, op, input");
  }
  const { id, op, input = {}, ...others } = frame as Readonly<Record<string, unknown>>;
  if (!isFrameId(id)) throw new FrameError(null, false, "id: expected a whole number from 0");
  if (typeof op !== "string") throw new FrameError(id, false, "op: expected the name of an operation");
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) {
    throw new FrameError(id, false, `${unknown.slice(0, 60)}: unknown field; a frame has id, op, input`);
  }
  try {
    requireWellFormed(input, bytes);
  } catch (error) {
    throw new FrameError(id, false, (error as Error).message);
  }
  return { id, op, input };
}

function parseFrame(bytes: Buffer): unknown {
  try {
    return parseJsonBytes(bytes);
  } catch (error) {
    throw new FrameError(leadingId(bytes), true, (error as Error).message);
  }
}

/** The id where it stands first, as it does in what `JSON.stringify` makes of a request. */
function leadingId(bytes: Buffer): number | null {
  const id = /^\s*\{\s*"id"\s*:\s*(\d{1,15})\s*[,}]/.exec(bytes.toString("latin1", 0, 64))?.[1];
  return id === undefined ? null : Number(id);
}

function isFrameId(id: unknown): id is number {
  return Number.isSafeInteger(id) && (id as number) >= 0;
}
