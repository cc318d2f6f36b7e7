/**
 * The little of Markdown that our own documents use, as HTML: headings (with the anchors that links expect), paragraphs,
 * lists, tables, fenced code, and in a line code, bold, emphasis and links. Everything else is text.
 */
export function renderMarkdown(text: string): string {
  const lines = text.split("\n");
  const html: string[] = [];
  for (let i = 0; i < lines.length; ) {
    const block = readBlock(lines, i);
    html.push(block.html);
    i = block.next;
  }
  return html.join("\n");
}

export function escapeHtml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll('"', "&quot;");
}

type Block = { readonly html: string; readonly next: number };

function readBlock(lines: readonly string[], at: number): Block {
  const line = lines[at] ?? "";
  if (line.trim() === "") return { html: "", next: at + 1 };
  if (line.startsWith("```")) return readCode(lines, at);
  const heading = /^(#{1,6}) +(.*)$/.exec(line);
  if (heading) return { html: renderHeading(heading[1]?.length ?? 1, heading[2] ?? ""), next: at + 1 };
  if (line.startsWith("|")) return readWhile(lines, at, (it) => it.startsWith("|"), renderTable);
  if (/^[-*] /.test(line)) return readWhile(lines, at, (it) => /^([-*] | {2})/.test(it), renderList);
  return readWhile(lines, at, isPlain, (text) => `<p>${renderLine(text.join(" "))}</p>`);
}

function isPlain(line: string): boolean {
  return line.trim() !== "" && !/^(#{1,6} |```|\||[-*] )/.test(line);
}

function readWhile(
  lines: readonly string[],
  at: number,
  belongs: (line: string) => boolean,
  render: (lines: readonly string[]) => string,
): Block {
  let next = at + 1;
  while (next < lines.length && belongs(lines[next] ?? "")) next += 1;
  return { html: render(lines.slice(at, next)), next };
}

function readCode(lines: readonly string[], at: number): Block {
  let end = at + 1;
  while (end < lines.length && !lines[end]?.startsWith("```")) end += 1;
  return { html: `<pre><code>${escapeHtml(lines.slice(at + 1, end).join("\n"))}</code></pre>`, next: end + 1 };
}

function renderHeading(level: number, text: string): string {
  const anchor = text
    .toLowerCase()
    .replace(/[^\w\- ]/g, "")
    .replaceAll(" ", "-");
  return `<h${level} id="${anchor}">${renderLine(text)}</h${level}>`;
}

function renderList(lines: readonly string[]): string {
  const items: string[] = [];
  for (const line of lines) {
    if (/^[-*] /.test(line)) items.push(line.slice(2));
    else items.push(`${items.pop() ?? ""} ${line.trim()}`);
  }
  return `<ul>${items.map((it) => `<li>${renderLine(it)}</li>`).join("")}</ul>`;
}

function renderTable(lines: readonly string[]): string {
  const rows = lines.filter((it) => !/^\|[\s:|-]+\|$/.test(it)).map((it) => it.replace(/^\||\|$/g, "").split("|"));
  const [head = [], ...body] = rows;
  const row = (cells: readonly string[], tag: string) =>
    `<tr>${cells.map((it) => `<${tag}>${renderLine(it.trim())}</${tag}>`).join("")}</tr>`;
  return `<table><thead>${row(head, "th")}</thead><tbody>${body.map((it) => row(it, "td")).join("")}</tbody></table>`;
}

/** Code first, so that nothing inside it is taken for markup. */
function renderLine(text: string): string {
  return text
    .split(/(`[^`]+`)/)
    .map((part) => (/^`[^`]+`$/.test(part) ? `<code>${escapeHtml(part.slice(1, -1))}</code>` : renderSpan(part)))
    .join("");
}

function renderSpan(text: string): string {
  return escapeHtml(text)
    .replace(/\*\*([^*]+)\*\*/g, "<strong>$1</strong>")
    .replace(/\*([^*]+)\*/g, "<em>$1</em>")
    .replace(/\[([^\]]+)\]\(((?:https?:\/\/|[/#])[^)\s]*)\)/g, '<a href="$2">$1</a>');
}
