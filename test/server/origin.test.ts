import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { originGuard } from "../../src/server/origin.ts";

type Headers = Readonly<Record<string, string>>;
type Settings = { readonly host?: string; readonly allowed_hosts?: string; readonly allowed_origins?: string };

const guardOf = ({ host = "127.0.0.1", allowed_hosts = "", allowed_origins = "" }: Settings = {}, covered?: string) =>
  originGuard({
    config: { host, allowed_hosts, allowed_origins },
    tls: covered === undefined ? undefined : { current: { covers: (name) => name === covered } },
  });

/** Whether it lets a request pass; anything but a plain refusal is a mistake. */
function passes(guard: ReturnType<typeof guardOf>, headers: Headers): boolean {
  try {
    guard(headers);
    return true;
  } catch (error) {
    assert.equal((error as { code?: string }).code, "forbidden");
    return false;
  }
}

const allows = (settings: Settings, headers: Headers) => passes(guardOf(settings), headers);

describe("the guard of names", () => {
  it("knows this server by its address, by localhost and by no other name", () => {
    const ours = ["127.0.0.1:1", "localhost", "LOCALHOST:4483", "[::1]:9", "a.localhost:1"];
    const others = [
      "evil.example",
      "127.0.0.1.evil.example",
      "localhost.evil.example",
      "localhost.",
      "localhost@evil.example",
      "evil.example#localhost",
      "localhost:80:evil.example",
      "localhost/evil.example",
      "10.0.0.5",
      "0.0.0.0",
      "[::]",
      " localhost",
      ":4483",
      "",
    ];
    assert.deepEqual(
      [...ours, ...others].filter((host) => allows({}, { host })),
      ours,
    );
    assert.equal(allows({}, {}), false);
  });

  it("knows a server by the name or address it was told to listen on", () => {
    assert.equal(allows({ host: "hive.internal" }, { host: "HIVE.internal:4483" }), true);
    assert.equal(allows({ host: "fd00::7" }, { host: "[fd00::7]:4483" }), true);
    assert.equal(allows({ host: "hive.internal" }, { host: "other.internal" }), false);
  });

  it("knows a server that listens everywhere by any address, as a name alone could be pointed at it", () => {
    for (const host of ["0.0.0.0", "::"]) {
      assert.equal(allows({ host }, { host: "192.168.1.20:4483" }), true);
      assert.equal(allows({ host }, { host: "[fd00::7]" }), true);
      assert.equal(allows({ host }, { host: "evil.example" }), false);
    }
  });

  it("knows a server by the names that a proxy gives it, and no name that ends or begins like one", () => {
    const settings = { allowed_hosts: "hive.example.com, mail.example.com" };
    const named = ["hive.example.com", "mail.example.com:443", "x.hive.example.com", "hive.example.com.evil.example"];
    assert.deepEqual(
      named.map((host) => allows(settings, { host })),
      [true, true, false, false],
    );
  });

  it("knows a server by the names in its certificate", () => {
    const guard = guardOf({ host: "0.0.0.0" }, "hive.example.com");
    assert.equal(passes(guard, { host: "hive.example.com:4483" }), true);
    assert.equal(passes(guard, { host: "evil.example" }), false);
  });

  it("answers anything that may stand in a Host header", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary-ascii" }), (host) => {
        const known = /^(localhost|127\.0\.0\.1|\[::1\]|.+\.localhost)(:\d*)?$/i;
        if (passes(guardOf(), { host })) assert.match(host, known);
      }),
    );
  });
});

describe("the guard of origins", () => {
  const host = "localhost:4483";

  it("lets pages call only from where they were served, scheme and port included", () => {
    const origins = [
      "http://localhost:4483",
      "https://localhost:4483",
      "http://localhost:4484",
      "http://localhost",
      "http://127.0.0.1:4483",
      "null",
      "",
      "http://localhost:4483, http://evil.example",
    ];
    assert.deepEqual(
      origins.map((origin) => allows({}, { host, origin })),
      [true, false, false, false, false, false, false, false],
    );
  });

  it("takes the scheme's own port for said", () => {
    assert.equal(allows({}, { host: "localhost:80", origin: "http://localhost" }), true);
    const secure = guardOf({}, "hive.example.com");
    assert.equal(passes(secure, { host: "hive.example.com:443", origin: "https://hive.example.com" }), true);
    assert.equal(passes(secure, { host: "hive.example.com", origin: "http://hive.example.com" }), false);
  });

  it("lets the pages call that the operator has named, and says which one calls", () => {
    const guard = guardOf({ allowed_origins: "https://board.example.com, http://localhost:5173" });
    assert.equal(guard({ host, origin: "https://board.example.com" }), "https://board.example.com");
    assert.equal(guard({ host, origin: "http://localhost:5173" }), "http://localhost:5173");
    assert.equal(guard({ host, origin: "http://localhost:4483" }), undefined);
    for (const origin of ["http://board.example.com", "https://board.example.com.evil.example", "null"])
      assert.equal(passes(guard, { host, origin }), false, origin);
  });

  it("lets other sites link to the pages, and load or frame nothing", () => {
    const from = (site: string, mode: string, dest: string) =>
      allows({}, { host, "sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": dest });
    assert.equal(from("cross-site", "navigate", "document"), true);
    assert.equal(from("none", "navigate", "document"), true);
    assert.equal(from("same-origin", "no-cors", "image"), true);
    assert.equal(from("cross-site", "no-cors", "image"), false);
    assert.equal(from("same-site", "no-cors", "script"), false);
    assert.equal(from("cross-site", "navigate", "iframe"), false);
  });
});
