import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import path from "node:path";
import { describe, it } from "node:test";

/**
 * Which part of `src` may import which: a folder, a folder in it, or a file. ARCHITECTURE.md shows the same table; change
 * both together.
 */
const mayImport: Readonly<Record<string, readonly string[]>> = {
  base: [],
  contract: ["base"],
  crypto: ["base", "contract"],
  core: ["base", "contract"],
  "settings.ts": [],
  "config.ts": ["base", "contract", "core", "settings.ts"],
  app: ["base", "contract", "core", "crypto", "config.ts"],
  stores: ["base", "contract", "core", "crypto", "app/ports.ts"],
  tls: ["base", "contract"],
  server: ["base", "contract", "app", "mcp", "tls", "config.ts"],
  mcp: ["base", "contract", "core"],
  client: ["base", "contract", "crypto/aes-gcm.ts", "crypto/key-text.ts", "crypto/nonce-pool.ts", "crypto/sealed"],
  "index.ts": ["base", "contract", "client"],
  "serve.ts": ["base", "contract", "core", "crypto", "app", "stores", "tls", "server", "config.ts"],
  "offline.ts": ["base", "contract", "core", "crypto", "app", "stores", "config.ts"],
  cli: ["base", "contract", "core", "client", "mcp", "tls", "settings.ts", "config.ts", "serve.ts", "offline.ts"],
};
const maxLines = 400;

type Source = {
  readonly file: string;
  readonly part: string;
  /** Without comments, so that prose is not mistaken for code. */
  readonly code: string;
  readonly lines: number;
  readonly imports: readonly string[];
};

const sources = globSync("src/**/*.ts").sort().map(readSource);
const graph = new Map(sources.map((it) => [it.file, it.imports]));

describe("the architecture", () => {
  it("has a rule for every part of src, and a part for every rule", () => {
    assert.deepEqual([...new Set(sources.map((it) => it.part))].sort(), Object.keys(mayImport).sort());
  });

  it("lets each part import only what the table allows", () => {
    assert.deepEqual(
      sources.flatMap((source) =>
        source.imports
          .filter((target) => !allowed(source.part, target))
          .map((target) => `${source.file} imports ${target}, which ${source.part} may not`),
      ),
      [],
    );
  });

  it("imports only files that exist, by their full name", () => {
    assert.deepEqual(
      sources.flatMap(({ file, imports }) => imports.filter((it) => !graph.has(it)).map((it) => `${file} → ${it}`)),
      [],
    );
  });

  it("has no import cycle, type imports included", () => {
    assert.deepEqual(findCycle(graph), undefined);
  });

  it(`has no file of more than ${maxLines} lines`, () => {
    assert.deepEqual(
      sources.filter((it) => it.lines > maxLines).map((it) => `${it.file}: ${it.lines} lines; split it by subject`),
      [],
    );
  });

  it("keeps core pure: no clock, no randomness, no waiting, no Node", () => {
    const impure =
      /\b(Date\b|performance\b|Math\.random|crypto\b|process\b|async\b|await\b|Promise\b|node:|set(?:Timeout|Interval|Immediate)\b)/;
    assert.deepEqual(offenders("core", impure), []);
  });

  it("reads the environment in config.ts, the command line and the client's settings, and nowhere else", () => {
    const readers = ["config.ts", "cli", "serve.ts"];
    const elsewhere = sources.filter((it) => !readers.includes(it.part) && it.file !== "src/client/settings-node.ts");
    assert.deepEqual(
      elsewhere.filter((it) => /\bprocess\.env\b/.test(it.code)).map((it) => it.file),
      [],
    );
  });

  it("keeps what browsers seal with free of Node", () => {
    assert.deepEqual(
      sources
        .filter((it) => /^src\/(crypto|client)\/sealed\//.test(it.file) && /"node:/.test(it.code))
        .map((it) => it.file),
      [],
    );
  });

  it("takes the time from a Clock below the composition root", () => {
    const timed = ["contract", "app", "stores", "mcp"];
    assert.deepEqual(
      timed.flatMap((part) => offenders(part, /\b(Date\.now\(|new Date\(\)|Math\.random\()/)),
      [],
    );
  });

  it("knows HTTP only in server, and SQLite only in stores/sqlite and the client's outbox", () => {
    const httpAt = importers(/from "(fastify|ws|@fastify\/[^"]+|node:https?)"/);
    assert.deepEqual(
      httpAt.filter((it) => !/^src\/(server|client|cli)\//.test(it)),
      [],
    );
    const sqliteAt = importers(/from "node:sqlite"/);
    assert.deepEqual(
      sqliteAt.filter((it) => !/^src\/(stores\/sqlite\/|client\/outbox)/.test(it)),
      [],
    );
  });
});

function readSource(file: string): Source {
  const text = readFileSync(file, "utf8");
  const code = stripComments(text);
  const imports = [...code.matchAll(/(?:\bfrom |\bimport |\bimport\()"(\.[^"]+)"/g)].map(([, target = ""]) =>
    path.posix.join(path.posix.dirname(file), target),
  );
  return { file, part: partOf(file), code, lines: text.trimEnd().split("\n").length, imports };
}

/** Blanks comments and keeps the lines. Strings come first, so that `"http://…"` is no comment. */
function stripComments(text: string): string {
  const stringOrComment = /("(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`(?:[^`\\]|\\.)*`)|\/\*[\s\S]*?\*\/|\/\/[^\n]*/g;
  return text.replace(stringOrComment, (all, string?: string) => string ?? all.replaceAll(/[^\n]/g, " "));
}

function partOf(file: string): string {
  return file.split("/")[1] ?? "";
}

function allowed(part: string, target: string): boolean {
  const may = [part, ...(mayImport[part] ?? [])];
  return may.some((it) => target === `src/${it}` || target.startsWith(`src/${it}/`));
}

function offenders(part: string, pattern: RegExp): string[] {
  return sources
    .filter((it) => it.part === part)
    .flatMap(({ file, code }) =>
      code.split("\n").flatMap((line, i) => (pattern.test(line) ? [`${file}:${i + 1}: ${line.trim()}`] : [])),
    );
}

function importers(pattern: RegExp): string[] {
  return sources.filter((it) => pattern.test(it.code)).map((it) => it.file);
}

/** The first cycle found, as the files on it. */
function findCycle(imports: ReadonlyMap<string, readonly string[]>): readonly string[] | undefined {
  const done = new Set<string>();
  const visit = (file: string, trail: readonly string[]): readonly string[] | undefined => {
    if (trail.includes(file)) return [...trail.slice(trail.indexOf(file)), file];
    if (done.has(file)) return undefined;
    done.add(file);
    for (const next of imports.get(file) ?? []) {
      const cycle = visit(next, [...trail, file]);
      if (cycle) return cycle;
    }
    return undefined;
  };
  for (const file of imports.keys()) {
    const cycle = visit(file, []);
    if (cycle) return cycle;
  }
  return undefined;
}
