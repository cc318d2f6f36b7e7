import { parseJsonBytes, requireWellFormed } from "./parse-json.ts";

/** A request as it came: only the envelope is known to be right. */
export type ReceivedFrame = { readonly id: number; readonly op: string; readonly input: unknown };

/** Why a frame is no request. */
export type RefusedFrame = {
  /** Set where it could be read, so that the caller learns which request failed. */
  readonly id: number | null;
  readonly refused: string;
  /** Whether the text was not even JSON: the other side does not speak the protocol. */
  readonly unreadable: boolean;
};

/** Reads `{"id": 1, "op": "sendMessage", "input": {…}}`. */
export function readFrame(bytes: Buffer): ReceivedFrame | RefusedFrame {
  let frame: unknown;
  try {
    frame = parseJsonBytes(bytes);
  } catch (error) {
    return { id: leadingId(bytes), refused: (error as Error).message, unreadable: true };
  }
  return readEnvelope(frame, bytes);
}

function readEnvelope(frame: unknown, bytes: Buffer): ReceivedFrame | RefusedFrame {
  if (typeof frame !== "object" || frame === null || Array.isArray(frame)) {
    return refuse(null, "a frame is an object: id, op, input");
  }
  const { id, op, input = {}, ...others } = frame as Readonly<Record<string, unknown>>;
  if (!isFrameId(id)) return refuse(null, "id: expected a whole number from 0");
  if (typeof op !== "string") return refuse(id, "op: expected the name of an operation");
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) return refuse(id, `${unknown.slice(0, 60)}: unknown field; a frame has id, op, input`);
  try {
    requireWellFormed(input, bytes);
  } catch (error) {
    return refuse(id, (error as Error).message);
  }
  return { id, op, input };
}

function refuse(id: number | null, refused: string): RefusedFrame {
  return { id, refused, unreadable: false };
}

/** The id where it stands first, as it does in what `JSON.stringify` makes of a request. */
function leadingId(bytes: Buffer): number | null {
  const id = /^\s*\{\s*"id"\s*:\s*(\d{1,15})\s*[,}]/.exec(bytes.toString("latin1", 0, 64))?.[1];
  return id === undefined ? null : Number(id);
}

function isFrameId(id: unknown): id is number {
  return Number.isSafeInteger(id) && (id as number) >= 0;
}
