/*
 * How text that others wrote is shown. It is shown, never obeyed: control characters would move a terminal's cursor, change
 * its title or the clipboard; bidirectional overrides would make text read as something it is not; characters that nobody
 * sees would say to a model what no person reads.
 */

/**
 * C0 and C1 controls, DEL, line and paragraph separators, interlinear annotations, half surrogates, and whatever is not shown
 * by default: bidirectional and invisible formatting, tags, fillers. Joiners and the sixteen variation selectors may pass, for
 * emoji and several scripts are written with them.
 */
const unsafe =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is what this is for
  /[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufff9-\ufffb]|[\p{Default_Ignorable_Code_Point}--[\u200c\u200d\ufe00-\ufe0f]]|\p{Surrogate}/gv;

/** What `visible` itself writes: pictures of controls, and the beginning of a number. */
const spelling = /[\u2400-\u241f\u2421]|\\(?=u\{)/gv;

/** Text of several lines with everything else that could act on a terminal made visible. */
export function visible(text: string): string {
  const lines = text.replaceAll("\r\n", "\n");
  return lines.replace(unsafe, keepingLines);
}

/** The same on one line: line ends and tabs are made visible too. */
export function visibleLine(text: string): string {
  return text.replace(unsafe, shown);
}

/**
 * As `visible`, so that the text can be had back to the character: pictures of controls (␛) and what looks like a number
 * (\u{9b}) in the text itself are spelled by number too, and no line end is changed.
 */
export function visibleExactly(text: string): string {
  return text.replace(spelling, numbered).replace(unsafe, keepingLines);
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

function keepingLines(character: string): string {
  return character === "\n" || character === "\t" ? character : shown(character);
}

/** C0 controls and DEL as their pictures (␛), others by number (\u{9b}). */
function shown(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  if (code < 0x20) return String.fromCodePoint(0x2400 + code);
  return code === 0x7f ? "␡" : numbered(character);
}

/** By number. */
export function numbered(character: string): string {
  return `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`;
}
