import { visibleLine } from "../core/rendering/visible.ts";

/* How tables and counts reach a terminal. */

/** Cuts to so many columns, with an ellipsis where something was lost. */
export function shortened(text: string, columns: number): string {
  if (widthOf(text) <= columns) return text;
  let kept = "";
  let width = 1;
  for (const character of text) {
    width += widthOf(character);
    if (width > columns) break;
    kept += character;
  }
  return `${kept}…`;
}

const wide =
  /\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{20000}-\u{3fffd}]/u;

/** Columns that text takes on a terminal, near enough for tables. */
export function widthOf(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{Mn}|\p{Me}/u.test(character)) continue;
    width += wide.test(character) ? 2 : 1;
  }
  return width;
}

export type Column = { readonly title: string; readonly align?: "right" };

/** Rows under their titles, each line at most `columns` wide. Cells are made safe here. */
export function table(titles: readonly Column[], rows: readonly (readonly string[])[], columns: number): string {
  const cells = [titles.map((it) => it.title), ...rows.map((row) => row.map(visibleLine))];
  const widths = titles.map((_, i) => Math.max(...cells.map((row) => widthOf(row[i] ?? ""))));
  const lines = cells.map((row) =>
    titles
      .map(({ align }, i) => padded(row[i] ?? "", widths[i] ?? 0, align))
      .join("  ")
      .trimEnd(),
  );
  return lines.map((line) => `${shortened(line, columns)}\n`).join("");
}

function padded(text: string, width: number, align: Column["align"]): string {
  const space = " ".repeat(Math.max(0, width - widthOf(text)));
  return align === "right" ? space + text : text + space;
}

/** `1 message`, `2 messages`, `12,345 messages`. */
export function counted(count: number, noun: string, plural = `${noun}s`): string {
  return `${count.toLocaleString("en")} ${count === 1 ? noun : plural}`;
}
