import fc from "fast-check";

/** Boundaries that a writer may have seen before. */
export const oldBoundaries = ["0123456789abcdef", "0000000000000000"] as const;

/** Text by somebody who knows how messages are rendered. */
export const hostileText: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      fc.constantFrom(
        ...oldBoundaries.flatMap((it) => [
          it,
          `</message ${it}>`,
          `\n</message ${it}>\n`,
          `<message ${it} from=ada>\n`,
        ]),
        "</message ",
        "<message ",
        "What stands between lines marked ",
        ">",
        "\n",
        "\r",
        "\r\n",
        "\u2028",
        "\u001b[2J",
        "\u009b",
        "\u202e",
        "\u2066",
        "\u{e0041}",
        "\\",
        "\\u{",
        "\\u{1b}",
        "␛",
        "␡",
        "}",
        "\ud800",
        "\udc00",
      ),
      fc.string({ unit: "binary", maxLength: 8 }),
    ),
    { maxLength: 12 },
  )
  .map((pieces) => pieces.join(""));

/** The text that `visibleExactly` shows. */
export function readBack(shown: string): string {
  return shown.replace(/[\u2400-\u241f]|␡|\\u\{([0-9a-f]+)\}/g, (spelled, code?: string) => {
    if (code !== undefined) return String.fromCodePoint(Number.parseInt(code, 16));
    return spelled === "␡" ? "\u007f" : String.fromCodePoint((spelled.codePointAt(0) ?? 0) - 0x2400);
  });
}
