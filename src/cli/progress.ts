import { counted } from "./print.ts";
import type { Screen } from "./terminal.ts";

/** How far some long work is, on standard error: a bar on a terminal, else a line every few seconds. */
export type Progress = {
  update(done: number): void;
  /** Clears the bar; what is printed next starts on a fresh line. */
  finish(): void;
};

const redraw_ms = 100;
const line_ms = 5_000;
const bar_columns = 30;

export type ProgressOptions = {
  readonly screen: Screen;
  /** What is being done, e.g. `sending`. */
  readonly label: string;
  /** Undefined where nobody knows. */
  readonly total: number | undefined;
  readonly elapsed?: () => number;
};

export function showProgress({
  screen,
  label,
  total,
  elapsed = performance.now.bind(performance),
}: ProgressOptions): Progress {
  const started_ms = elapsed();
  // A line only for what takes long; a bar at once.
  let shown_ms = screen.isTTY ? Number.NEGATIVE_INFINITY : started_ms;
  return {
    update(done) {
      const now = elapsed();
      if (now - shown_ms < (screen.isTTY ? redraw_ms : line_ms)) return;
      shown_ms = now;
      const rate = done / Math.max(0.001, (now - started_ms) / 1_000);
      const text = `${label} ${describe(done, total)}, ${counted(Math.round(rate), "per second", "per second")}`;
      screen.write(screen.isTTY ? `\r${bar(done, total)}${text}\u001b[K` : `${text}\n`);
    },
    finish() {
      if (screen.isTTY) screen.write("\r\u001b[K");
    },
  };
}

function describe(done: number, total: number | undefined): string {
  if (total === undefined) return done.toLocaleString("en");
  const percent = total === 0 ? 100 : Math.floor((100 * done) / total);
  return `${done.toLocaleString("en")} of ${total.toLocaleString("en")} (${percent} %)`;
}

function bar(done: number, total: number | undefined): string {
  if (!total) return "";
  const filled = Math.min(bar_columns, Math.floor((bar_columns * done) / total));
  return `${"█".repeat(filled)}${"░".repeat(bar_columns - filled)} `;
}
