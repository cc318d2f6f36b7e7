import type { BusEvent } from "../contract/events.ts";
import type { Delivery } from "../contract/messages.ts";
import type { FrameWriter } from "./frame-writer.ts";
import { deliveryText } from "./json-text.ts";

/** What is pushed over one connection, no faster than the other side reads. */
export type Outbound = {
  /** @param from Whose they are, for `drop`. */
  pushDeliveries(from: object, deliveries: readonly Delivery[]): void;
  /** Forgets what is held back from one source. */
  drop(from: object): void;
  /** Resolves when the other side has room for more. */
  pushEvents(events: readonly BusEvent[]): Promise<void>;
  /** There is room again: what was held back goes out. */
  resume(): void;
  /** Nothing more goes out. */
  end(): void;
};

type Options = {
  readonly writer: FrameWriter;
  /** Whether the other side is so far behind that nothing more should be sent. */
  readonly isBehind: () => boolean;
  /** The other side is hopelessly behind: its connection should be closed. */
  readonly onOverflow: () => void;
};

/** Characters of content held back for a reader that has stopped reading. */
const most_held_chars = 32 * 1_024 * 1_024;

type Held = { readonly from: object; readonly delivery: Delivery };

export function createOutbound({ writer, isBehind, onOverflow }: Options): Outbound {
  /** Deliveries that wait for the reader, in order. Emptied, not replaced, for the reason told in `frame-writer.ts`. */
  let held: Held[] = [];
  let held_chars = 0;
  /** Who waits for the reader to catch up. */
  let waiting: (() => void)[] = [];

  const sendHeld = () => {
    let sent = 0;
    for (const { delivery } of held) {
      if (isBehind()) break;
      writer.send(`{"event":"delivery","delivery":${deliveryText(delivery)}}`);
      held_chars -= delivery.message.content.length;
      sent += 1;
    }
    held.splice(0, sent);
  };

  const letWaitingGo = () => {
    const resolved = waiting;
    waiting = [];
    for (const resolve of resolved) resolve();
  };

  return {
    pushDeliveries(from, deliveries) {
      for (const delivery of deliveries) {
        held.push({ from, delivery });
        held_chars += delivery.message.content.length;
      }
      sendHeld();
      if (held_chars > most_held_chars) onOverflow();
    },
    drop(from) {
      held = held.filter((it) => it.from !== from);
      held_chars = held.reduce((chars, { delivery }) => chars + delivery.message.content.length, 0);
    },
    async pushEvents(events) {
      for (const event of events) writer.send(JSON.stringify(event));
      if (isBehind()) await new Promise<void>((resolve) => waiting.push(resolve));
    },
    resume() {
      if (held.length > 0) sendHeld();
      if (waiting.length > 0 && !isBehind()) letWaitingGo();
    },
    end() {
      held = [];
      letWaitingGo();
    },
  };
}
