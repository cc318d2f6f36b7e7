/*
 * How anything reaches a terminal. What agents write is shown, never obeyed: control characters would move the cursor,
 * change the title or the clipboard, and bidirectional overrides would make text read as something it is not.
 */

/** C0 and C1 controls, DEL, line and paragraph separators, bidirectional and invisible formatting, tags, half surrogates. */
const unsafe =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is what this is for
  /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\u{e0000}-\u{e007f}]|\p{Surrogate}/gu;

/** Text of several lines with everything else that could act on a terminal made visible. */
export function visible(text: string): string {
  const lines = text.replaceAll("\r\n", "\n");
  return lines.replace(unsafe, (character) =>
    character === "\n" || character === "\t" ? character : shown(character),
  );
}

/** The same on one line: line ends and tabs are made visible too. */
export function visibleLine(text: string): string {
  return text.replace(unsafe, shown);
}

/** C0 controls and DEL as their pictures (␛), others by number (\u{9b}). */
function shown(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  return code === 0x7f ? "␡" : `\\u{${code.toString(16)}}`;
}

/** JSON on one line; the same value, spelled so that nothing in it can act on a terminal. */
export function jsonLine(value: unknown): string {
  const text = JSON.stringify(value) ?? "null";
  return text.replace(unsafe, (character) =>
    character
      .split("")
      .map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`)
      .join(""),
  );
}

export function indented(text: string, by = "  "): string {
  return text.replace(/^/gm, by);
}

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
