import assert from "node:assert/strict";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import path from "node:path";
import { describe, it } from "node:test";
import { inspect } from "node:util";
import fc from "fast-check";
import { countOf, type Flag, parseArguments, UsageError } from "../../src/cli/arguments.ts";
import { explainConfig, loadConfig } from "../../src/config.ts";
import { settings } from "../../src/settings.ts";
import { readHead, readLine, sealHead } from "../../src/stores/audit/chain.ts";
import { linesFromEnd } from "../../src/stores/audit/read-back.ts";
import { readCertificate } from "../../src/tls/certificate.ts";
import { allLines, aNote, auditKey, currentText, keptHead, verify, writeLog } from "../audit/logs.ts";
import { temporaryFolder } from "../support/fixtures.ts";
import { cases, foreignBytes, foreignJson, foreignText, givesOrRefuses, takesTimeInProportion } from "./foreign.ts";

const fixtures = path.join(import.meta.dirname, "../fixtures/tls");

describe("an audit log from outside", () => {
  const notes = [aNote(), aNote({ actor: "ada", detail: { why: "ü😀" } }), aNote({ event: "token_revoked" })];

  it("has lines and a head that a server wrote, byte for byte, or none", async () => {
    await using folder = await temporaryFolder();
    const head = keptHead();
    await writeLog(folder.path, head, notes);
    const lines = await allLines(folder.path);
    const heads = [head.text ?? "", sealHead(auditKey, { seq: 7, mac: "x".repeat(43) })];
    const latin1 = foreignBytes([...lines, ...heads].map((it) => Buffer.from(it, "latin1"))).map((it) =>
      it.toString("latin1"),
    );
    fc.assert(
      fc.property(latin1, (text) => {
        assert.equal(readLine(auditKey, text) !== undefined, lines.includes(text));
        assert.equal(readHead(auditKey, text) !== undefined, heads.includes(text));
      }),
      cases(3_000),
    );
  });

  it("is judged, whatever its files hold", async () => {
    await using folder = await temporaryFolder();
    const head = keptHead();
    await writeLog(folder.path, head, notes);
    const whole = Buffer.from(currentText(folder.path), "latin1");
    const file = path.join(folder.path, "audit.jsonl");
    await fc.assert(
      fc.asyncProperty(
        foreignBytes([whole]),
        foreignText([head.text ?? ""]),
        fc.boolean(),
        async (bytes, text, kept) => {
          await writeFile(file, bytes);
          const verdict = await verify(folder.path, kept ? head : keptHead(text));
          assert.ok(verdict.whole || verdict.problem !== undefined);
          if (verdict.whole) assert.ok(bytes.indexOf(whole) === 0);
          for await (const line of linesFromEnd(file)) assert.ok(!line.includes("\n"));
        },
      ),
      cases(300),
    );
  });

  it("takes no longer to read than it is long", async () => {
    for (const unit of ['{"', ',"mac":"', `,"mac":"${"A".repeat(43)}"}`, "{", "1"]) {
      const make = (length: number) => unit.repeat(Math.ceil(length / unit.length));
      await takesTimeInProportion(make, (it: string) => readLine(auditKey, `{${it}`));
      await takesTimeInProportion(make, (it: string) => readHead(auditKey, `{"seq":${it}`));
      await takesTimeInProportion(make, (it: string) => readHead(auditKey, `{"seq":1,"mac":"${it}`));
    }
  });
});

describe("a configuration from outside", () => {
  const valid = [
    { port: 0, host: "localhost", lease_ms: 1_000, retry: { task: { max_attempts: 3 } } },
    { allowed_hosts: "a.example, b.example", allowed_origins: "https://a.example:8443", insecure: true },
  ];

  it("in a file is taken, or refused with what is wrong", async () => {
    await using folder = await temporaryFolder();
    const file = path.join(folder.path, "hivepost.config.json");
    const json = foreignJson(valid).map((it) => Buffer.from(JSON.stringify(it) ?? ""));
    const bytes = fc.oneof(json, foreignBytes(valid.map((it) => Buffer.from(JSON.stringify(it)))));
    await fc.assert(
      fc.asyncProperty(bytes, async (text) => {
        await writeFile(file, text);
        const config = await givesOrRefuses(() => loadConfig({ config: file }, {}), ["invalid_input"]);
        if (config) assert.ok(Number.isInteger(config.port) && config.port >= 0 && config.port <= 65_535);
        await givesOrRefuses(() => explainConfig({ config: file }, {}), ["invalid_input"]);
      }),
      cases(250),
    );
  });

  it("in flags and the environment is taken, or refused with what is wrong", async () => {
    const name = fc.constantFrom(...Object.keys(settings));
    const text = foreignText(["4483", "true", "localhost", "a.example, b.example", "https://a.example", "~/x", "1e3"]);
    await fc.assert(
      fc.asyncProperty(name, text, text, async (setting, flag, variable) => {
        const environment = { [`HIVEPOST_${setting.toUpperCase()}`]: variable, HIVEPOST_CONFIG: "" };
        await givesOrRefuses(() => loadConfig({ [setting]: flag }, {}), ["invalid_input"]);
        await givesOrRefuses(() => loadConfig({}, environment), ["invalid_input"]);
      }),
      cases(400),
    );
  });

  it("takes no longer than it is long", async () => {
    for (const unit of ["a", "a.", "a-", "a, ", "https://a, ", "[::", "1", " "]) {
      const make = (length: number) => `${unit.repeat(length / unit.length)}!`;
      await takesTimeInProportion(make, (it: string) => loadConfig({ allowed_hosts: it }, {}));
      await takesTimeInProportion(make, (it: string) => loadConfig({ allowed_origins: it }, {}));
    }
  });
});

describe("a command line from outside", () => {
  const flags: readonly Flag[] = [
    { name: "limit", takes: "value", help: "" },
    { name: "group", takes: "list", help: "", short: "g" },
    { name: "json", takes: "switch", help: "", short: "j" },
    { name: "metadata", takes: "value", help: "", pattern: /^metadata\.[\w.]+$/ },
  ];
  const words = ["--limit=5", "--limit", "-g", "--json", "-jg", "--metadata.a.b", "--", "-", "word", "--no-json", "-5"];

  it("is split into flags and words, or told how it would be right", () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(fc.constantFrom(...words), foreignText(words)), { maxLength: 8 }), (argv) => {
        try {
          const given = parseArguments(argv, flags);
          for (const name of given.flags.keys()) assert.ok(/^(limit|group|json|metadata\.[\w.]+)$/.test(name), name);
          countOf(given, "limit", { minimum: 1, maximum: 10 });
        } catch (error) {
          assert.ok(error instanceof UsageError, inspect(error));
          assert.ok(error.message.length < 400 && !/\p{Cc}/u.test(error.message), inspect(error.message));
        }
      }),
      cases(3_000),
    );
  });

  it("takes no longer than it is long", async () => {
    for (const unit of ["a", "-", "metadata.", "--", "=", "j"]) {
      for (const start of ["", "--", "--metadata.", "-j", "--limit="]) {
        const make = (length: number) => start + unit.repeat(length / unit.length);
        await takesTimeInProportion(make, (it: string) => parseArguments([it], flags), 1_000);
      }
    }
  });
});

describe("a certificate from outside", () => {
  const now_ms = Date.parse("2026-11-20T00:00:00Z");

  it("with its key is usable, or refused with the file named and the key not shown", async () => {
    await using folder = await temporaryFolder();
    await mkdir(path.join(folder.path, "tls"));
    const [cert_file, key_file] = [path.join(folder.path, "tls", "cert.pem"), path.join(folder.path, "tls", "key.pem")];
    const read = (name: string) => readFile(path.join(fixtures, name));
    const certificates = [await read("server.pem"), await read("renewed.pem"), await read("authority.pem")];
    const keys = [await read("server.key"), await read("renewed.key"), await read("encrypted.key")];
    const secrets = keys.map((it) => it.toString().split("\n")[1] ?? "");
    await fc.assert(
      fc.asyncProperty(foreignBytes(certificates), foreignBytes(keys), fc.boolean(), async (cert, key, isWhole) => {
        await writeFile(cert_file, cert);
        await writeFile(key_file, isWhole ? (keys[0] ?? "") : key);
        const codes = ["certificate_unusable"] as const;
        const found = await givesOrRefuses(() => readCertificate({ cert_file, key_file }, now_ms), codes, secrets);
        if (found) assert.ok(found.expires_ms > now_ms && typeof found.covers("localhost") === "boolean");
      }),
      cases(250),
    );
  });
});
