import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, globSync, readFileSync } from "node:fs";
import path from "node:path";
import { before, describe, it } from "node:test";
import { commandOfOperation } from "../src/cli/commands.ts";
import { errorStatus } from "../src/contract/errors.ts";
import { operations } from "../src/contract/operations.ts";
import { operationNames, routes } from "../src/contract/routes.ts";
import { type Setting, settings } from "../src/settings.ts";
import { type MarkdownDocument, readDocument, readDocuments, section, tableRows } from "./support/documents.ts";
import { followDocuments, type Walk } from "./support/newcomer.ts";

const documents = readDocuments();
const readme = readDocument("README.md");
const operating = readDocument("docs/operations.md");

describe("the list of errors", () => {
  const sections = readFileSync("docs/errors.md", "utf8")
    .split(/^### /m)
    .slice(1)
    .map((it) => ({ code: it.slice(0, it.indexOf("\n")), text: it.slice(it.indexOf("\n")) }));

  it("has a section for every code, and a code for every section", () => {
    assert.deepEqual(sections.map((it) => it.code).sort(), Object.keys(errorStatus).sort());
  });

  for (const { code, text } of sections) {
    it(`tells status, cause and remedy of ${code}`, () => {
      const [, status] = /^HTTP (\d+)/m.exec(text) ?? [];
      assert.equal(Number(status), errorStatus[code as keyof typeof errorStatus]);
      assert.match(text, /^\*\*Cause\.\*\* \S/m);
      assert.match(text, /^\*\*Remedy\.\*\* \S/m);
    });
  }
});

describe("the table of settings", () => {
  it("shows every setting with its default, its bounds and what it is for", () => {
    const expected = Object.entries<Setting>(settings).map(([name, it]) => [
      `\`${name}\``,
      it.default === "" ? "" : `\`${defaultText(it)}\``,
      boundsText(it),
      it.help,
    ]);
    assert.deepEqual(tableRows(section(operating, "## Settings")), expected);
  });
});

describe("the table of operations in the README", () => {
  it("shows every operation with its route, its command and what it does", () => {
    const expected = operationNames.map((name) => [
      `\`${name}\``,
      `\`${routes[name]}\``,
      `\`${commandOfOperation[name].name}\``,
      operations[name].summary,
    ]);
    assert.deepEqual(tableRows(section(readme, "## Operations")), expected);
  });
});

describe("what the documents name", () => {
  it("are links that lead somewhere", () => {
    const broken = documents.flatMap((document) =>
      linksOf(document)
        .filter((link) => !leadsSomewhere(document, link))
        .map((link) => `${document.file}: ${link}`),
    );
    assert.deepEqual(broken, []);
  });

  it("are files that exist", () => {
    const pathLike = /^(?:src|test|docs|bench|scripts|python|bin|examples|\.ci)\/[\w./*-]*$|^[\w-]+\.(?:md|json)$/;
    assertNothing(spansThat(pathLike), (it) => made.has(it) || globSync(it).length > 0);
  });

  it("are npm scripts that exist", () => {
    const { scripts } = JSON.parse(readFileSync("package.json", "utf8")) as { scripts: Record<string, string> };
    const named = documents.flatMap(({ file, text }) =>
      [...text.matchAll(/\bnpm run ([\w-]+)/g)].map((it) => ({ file, text: it[1] ?? "" })),
    );
    assert.ok(named.length > 0);
    assertNothing(named, (it) => it in scripts);
  });

  it("are environment variables that something reads", () => {
    const known = new Set([
      ...Object.keys(settings).map((it) => `HIVEPOST_${it.toUpperCase()}`),
      ...[...sourceText().matchAll(/HIVEPOST_[A-Z_]+[A-Z]/g)].map(([name]) => name),
    ]);
    assertNothing(mentions(/\bHIVEPOST_[A-Z_]+[A-Z]\b/g), (it) => known.has(it));
  });

  it("are paths that the server answers", () => {
    const besides = [
      "GET /openapi.json",
      "GET /docs",
      "GET /metrics",
      "GET /stream",
      "POST /mcp",
      "POST /stream/ticket",
    ];
    const known = [...Object.values(routes), ...besides].map(
      (route) => new RegExp(`^${route.replaceAll(/\{\w+\}/g, "[^/ ]+")}([?#].*)?$`),
    );
    const asked = spansThat(/^(GET|POST|PUT|PATCH|DELETE) \//);
    assertNothing(asked, (it) => known.some((route) => route.test(it)));
  });

  it("are commands and flags that the program has", () => {
    const known = helpFlags(["", ...commandLines().map(({ command }) => command)]);
    const unknown = commandLines().flatMap(({ file, command, flags }) =>
      flags.filter((flag) => !known.get(command)?.has(flag)).map((flag) => `${file}: hivepost ${command} ${flag}`),
    );
    assert.deepEqual(unknown, []);
    const everywhere = new Set([...known.values()].flatMap((it) => [...it]));
    assertNothing(spansThat(/^--[a-z-]+$/), (it) => everywhere.has(it) || otherPrograms.has(it));
  });
});

describe("a newcomer who types what the README says", () => {
  let walk: Walk = { blocks: [], metrics: "" };
  before(async () => {
    walk = await followDocuments([readme, operating]);
  });

  for (const { file, blocks } of [readme, operating]) {
    for (const { line, language } of blocks.filter((it) => ["sh", "ts", "py"].includes(it.language))) {
      it(`gets through the ${language} block at ${file}:${line}`, () => {
        const block = walk.blocks.find((it) => it.at === `${file}:${line}`);
        assert.ok(block);
        assert.equal(block.exit_code, 0, `${block.text}\n${block.output || "(not reached, or nothing printed)"}`);
        if (block.shown !== undefined) assertLike(block.output, block.shown);
      });
    }
  }

  it("finds every metric of the server in the table of metrics, and every one of the table at the server", () => {
    const counted = [...walk.metrics.matchAll(/^# TYPE (hivepost_\w+)/gm)].map(([, name]) => `\`${name}\``);
    const shown = tableRows(section(operating, "## Health and metrics")).map(([name]) => name ?? "");
    assert.deepEqual(shown.sort(), counted.sort());
  });
});

/** Files that documents may name though the checkout has none: what the program or its user makes. */
const made = new Set(["hivepost.config.json"]);
/** Flags of npm, Biome and the like. */
const otherPrograms = new Set(["--without-tests", "--write"]);

type Mention = { readonly file: string; readonly text: string };

function assertNothing(found: readonly Mention[], exists: (text: string) => boolean): void {
  assert.deepEqual(
    found.filter(({ text }) => !exists(text)).map(({ file, text }) => `${file}: ${text}`),
    [],
  );
}

function spansThat(pattern: RegExp): Mention[] {
  return documents.flatMap(({ file, spans }) => spans.filter((it) => pattern.test(it)).map((text) => ({ file, text })));
}

function mentions(pattern: RegExp): Mention[] {
  return documents.flatMap(({ file, text }) => [...text.matchAll(pattern)].map(([it]) => ({ file, text: it })));
}

function sourceText(): string {
  return globSync(["src/**/*.ts", "python/*.py", "bin/*.js"])
    .map((file) => readFileSync(file, "utf8"))
    .join("\n");
}

function defaultText(setting: Setting): string {
  const home = process.env["HOME"] ?? "";
  return String(setting.default).replace(home, "~");
}

function boundsText(setting: Setting): string {
  if ("minimum" in setting) return `${setting.minimum} to ${setting.maximum}`;
  return "choices" in setting ? (setting.choices ?? []).join(", ") : "";
}

function linksOf({ text }: MarkdownDocument): string[] {
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)].map((it) => it[1] ?? "").filter((it) => !/^https?:/.test(it));
}

function leadsSomewhere(document: MarkdownDocument, link: string): boolean {
  const [target = "", anchor] = link.split("#");
  const file = target === "" ? document.file : path.posix.join(path.posix.dirname(document.file), target);
  if (!existsSync(file)) return false;
  return anchor === undefined || readDocument(file).anchors.includes(anchor);
}

/** Each `hivepost …` in a block or between backticks: the command and its long flags. */
function commandLines(): { file: string; command: string; flags: string[] }[] {
  return documents.flatMap(({ file, spans, blocks }) =>
    [...spans, ...blocks.filter((it) => it.language !== "text").flatMap((it) => it.text.split("\n"))].flatMap((line) =>
      [
        ...line.matchAll(
          /(?:^|[|;&(] *|npx )hivepost (token [a-z]+|agent-keys [a-z]+|audit verify|[a-z-]+)([^|;&#]*)/g,
        ),
      ].map(([, command = "", rest = ""]) => ({
        file,
        command,
        flags: [...rest.matchAll(/(?<=\s)--[a-z-]+/g)].map(([flag]) => flag),
      })),
    ),
  );
}

/** The flags that each command's help shows. */
function helpFlags(commands: readonly string[]): Map<string, Set<string>> {
  const help = (command: string) =>
    execFileSync(process.execPath, ["bin/hivepost.js", "help", ...command.split(" ").filter(Boolean)], {
      encoding: "utf8",
    });
  return new Map(
    [...new Set(commands)].map((command) => [
      command,
      new Set([...help(command).matchAll(/--[a-z-]+[a-z]/g)].map(([flag]) => flag)),
    ]),
  );
}

/** Each shown line comes in the output, in this order; ids, times and numbers are this run's own, `…` is anything. */
function assertLike(output: string, shown: string): void {
  const lines = output.split("\n");
  let from = 0;
  for (const line of shown.split("\n").filter((it) => it.trim() !== "")) {
    const pattern = likeness(line);
    const found = lines.findIndex((it, i) => i >= from && pattern.test(it));
    assert.ok(found >= 0, `the output has no line like\n  ${line}\nafter its line ${from}:\n${output}`);
    from = found + 1;
  }
}

function likeness(line: string): RegExp {
  const uuid = "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}";
  const pattern = line
    .trim()
    .split(new RegExp(`(${uuid}|\\d[\\d.,:TZ-]*|…|\\s+)`))
    .map((part, i) => {
      if (i % 2 === 0) return part.replaceAll(/[\\^$.*+?()[\]{}|]/g, "\\$&");
      if (part === "…") return ".*";
      if (/^\s/.test(part)) return "\\s+";
      return new RegExp(`^${uuid}$`).test(part) ? uuid : "\\d[\\d.,:TZ-]*";
    });
  return new RegExp(`^\\s*${pattern.join("")}\\s*$`);
}
