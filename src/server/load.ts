/** What is under way for one connection. */
export type Load = {
  readonly count: number;
  readonly bytes: number;
  begin(bytes: number): void;
  end(bytes: number): void;
  /** Requests whose refusal is held back; as long as there are any, no more should be read. */
  readonly held: number;
  hold(): void;
  letGo(): void;
  /** Resolves as soon as nothing is under way. */
  idle(): Promise<void>;
};

/** @param onRelief Called whenever something has ended. */
export function createLoad(onRelief: () => void = () => undefined): Load {
  let count = 0;
  let bytes = 0;
  let held = 0;
  let whenIdle: (() => void)[] = [];
  return {
    get count() {
      return count;
    },
    get bytes() {
      return bytes;
    },
    begin(size) {
      count += 1;
      bytes += size;
    },
    end(size) {
      count -= 1;
      bytes -= size;
      onRelief();
      if (count > 0) return;
      for (const resolve of whenIdle) resolve();
      whenIdle = [];
    },
    get held() {
      return held;
    },
    hold() {
      held += 1;
    },
    letGo() {
      held -= 1;
      onRelief();
    },
    idle() {
      if (count === 0) return Promise.resolve();
      return new Promise((resolve) => whenIdle.push(resolve));
    },
  };
}
