import { globSync, readFileSync } from "node:fs";

/** A piece of a document between ``` lines. */
export type Block = {
  readonly language: string;
  readonly text: string;
  /** Line of the document on which the block opens, from 1. */
  readonly line: number;
};

export type MarkdownDocument = {
  readonly file: string;
  readonly text: string;
  readonly blocks: readonly Block[];
  /** What stands between single backticks outside the blocks. */
  readonly spans: readonly string[];
  /** The anchors that its headings give, as GitHub makes them. */
  readonly anchors: readonly string[];
};

/** Every document of the project. */
export function readDocuments(): MarkdownDocument[] {
  return globSync(["*.md", "docs/**/*.md"]).sort().map(readDocument);
}

export function readDocument(file: string): MarkdownDocument {
  const text = readFileSync(file, "utf8");
  const blocks = [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map((it) => ({
    language: it[1] ?? "",
    text: it[2] ?? "",
    line: text.slice(0, it.index).split("\n").length,
  }));
  const prose = text.replaceAll(/^```\w*\n[\s\S]*?^```$/gm, "");
  const spans = [...prose.matchAll(/`([^`\n]+)`/g)].map((it) => it[1] ?? "");
  const anchors = [...prose.matchAll(/^#+ (.+)$/gm)].map((it) => anchorOf(it[1] ?? ""));
  return { file, text, blocks, spans, anchors };
}

/** The part of a document under one heading, down to the next one of the same or a higher level. */
export function section(document: MarkdownDocument, heading: string): string {
  const start = document.text.split("\n").indexOf(heading);
  if (start < 0) throw new Error(`${document.file} has no heading "${heading}"`);
  const level = heading.indexOf(" ");
  const lines = document.text.split("\n").slice(start + 1);
  const end = lines.findIndex((line) => /^#+ /.test(line) && line.indexOf(" ") <= level);
  return lines.slice(0, end < 0 ? undefined : end).join("\n");
}

/** The cells of the first table in a text, row by row, without its head. */
export function tableRows(text: string): string[][] {
  const lines = text.split("\n");
  const start = lines.findIndex((line) => line.startsWith("|"));
  const length = lines.slice(start).findIndex((line) => !line.startsWith("|"));
  const rows = start < 0 ? [] : lines.slice(start + 2, length < 0 ? undefined : start + length);
  return rows.map((row) =>
    row
      .replaceAll("\\|", "\u0000")
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim().replaceAll("\u0000", "|")),
  );
}

function anchorOf(heading: string): string {
  return heading
    .toLowerCase()
    .replaceAll(/[^\p{L}\p{N} _-]/gu, "")
    .replaceAll(" ", "-");
}
