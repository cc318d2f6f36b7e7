import assert from "node:assert/strict";
import { globSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";

/**
 * Where something secret, or something made with a secret, is compared with what came from outside. Both sides are digests or MACs of
 * one length. A new place belongs in here.
 */
const comparisons: Readonly<Record<string, string>> = {
  "src/client/outbox-cipher-node.ts": "the print of an outbox's key",
  "src/crypto/tokens.ts": "hashes of tokens",
  "src/server/tickets.ts": "hashes of tickets",
  "src/stores/audit/chain.ts": "MACs of lines and heads",
};

/** Where values with such a name are compared otherwise, though nothing secret is: each with its reason. */
const harmless: Readonly<Record<string, string>> = {
  "src/stores/audit/judge.ts": "links of a chain whose MACs were checked in chain.ts: both sides stand in the file",
};

const guarded = [
  "src/app/access.ts",
  "src/client/outbox*.ts",
  "src/crypto/**/*.ts",
  "src/server/authenticate.ts",
  "src/server/stream.ts",
  "src/server/tickets.ts",
  "src/stores/audit/*.ts",
];

const secretName = String.raw`[\w.?]*(?:hash|mac|secret|digest|print|seal|ticket|tag|hmac)`;
const operator = "(?:===?|!==?)(?!=)";
/** An absent value is no secret; nor are a length and a kind, which are told from a literal. */
const plain = String.raw`(?:undefined|null|"[^"]*"|\d+)`;
const comparedWithPlain = new RegExp(
  String.raw`[\w.?]+\s*${operator}\s*${plain}|${plain}\s*${operator}\s*[\w.?]+`,
  "g",
);
const leaky = new RegExp(
  String.raw`\b${secretName}\b(?!\.length)(?:\([^()]*\))?\s*${operator}|${operator}\s*${secretName}(?:Of)?\b(?!\.length)`,
  "i",
);
const isLeaky = (line: string) => leaky.test(line.replaceAll(comparedWithPlain, ""));

describe("what is secret", () => {
  it("is compared by timingSafeEqual in the places listed, and in no others", () => {
    const places = globSync("src/**/*.ts").filter((it) => readFileSync(it, "utf8").includes("timingSafeEqual("));
    assert.deepEqual(places.sort(), Object.keys(comparisons).sort());
  });

  it("is compared by no operator that stops at the first difference", () => {
    const files = globSync(guarded).sort();
    assert.ok(files.length > 20);
    const found = files.flatMap((file) =>
      withoutComments(readFileSync(file, "utf8"))
        .split("\n")
        .flatMap((line, i) => (isLeaky(line) && !(file in harmless) ? [`${file}:${i + 1}: ${line.trim()}`] : [])),
    );
    assert.deepEqual(found, []);
    for (const file of Object.keys(harmless))
      assert.ok(isLeaky(readFileSync(file, "utf8")), `${file} needs no exception`);
  });

  it("would be found, were it compared so", () => {
    for (const line of [
      "if (mac !== macOf(key, text)) return;",
      "return seal === sealOf(key, link) ? link : undefined;",
      "entry.hash === hashToken(text)",
      "if (given === stored.hash) return true;",
      "token.secret == guess",
      "waiting.ticket !== ticket",
    ]) {
      assert.ok(isLeaky(line), line);
    }
    for (const line of [
      "if (mac === undefined)",
      "secret?.length !== secret_bytes",
      'part === "seal"',
      "a.length === b.length",
    ]) {
      assert.ok(!isLeaky(line), line);
    }
  });
});

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|\/\/[^\n]*/g, (all) => all.replaceAll(/[^\n]/g, " "));
}
