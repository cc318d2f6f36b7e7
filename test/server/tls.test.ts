import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { type RequestOptions, request } from "node:https";
import { connect as connectPlain } from "node:net";
import { describe, it } from "node:test";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { connect } from "../../src/client/client.ts";
import { AgentMessageQueue } from "../../src/client/queue.ts";
import { isLoopback, requireGuardedAddress } from "../../src/server/listener.ts";
import { type Certificate, readCertificate } from "../../src/tls/certificate.ts";
import { authority_file, certificatePair, testCertificate } from "../support/certificates.ts";
import { rawRequest } from "./raw-request.ts";
import { startHive, token } from "./test-hive.ts";

const ca = readFileSync(authority_file);
const now_ms = Date.now();

describe("a server with a certificate", () => {
  it("speaks TLS to REST, MCP and WebSocket alike, and says so in its address", async () => {
    await using hive = await startHive({ tls: testCertificate() });
    assert.equal(hive.url, `https://127.0.0.1:${hive.port}`);
    const health = await ask(`${hive.url}/health`);
    assert.deepEqual([health.status, health.headers["strict-transport-security"]], [200, "max-age=31536000"]);
    const card = await ask(`${hive.url}/.well-known/agent-card.json`);
    assert.equal(JSON.parse(card.text).url, hive.url);
    const listed = await ask(`${hive.url}/mcp`, { method: "POST", headers: mcpHeaders }, listTools);
    assert.match(listed.text, /sendMessage/);
    await using bus = connect(hive.url.replace("https", "wss"), { token, ca_file: authority_file });
    const sent = await bus.sendMessage({ to_agent: "bob", content: "private" });
    assert.equal((await bus.getMessage({ message_id: sent.id })).content, "private");
  });

  it("does not tell browsers to come to localhost by TLS only, where it would bind every other program", async () => {
    await using hive = await startHive({ tls: testCertificate() });
    const { headers } = await ask(`https://localhost:${hive.port}/health`);
    assert.equal(headers["strict-transport-security"], undefined);
    assert.equal(headers["x-content-type-options"], "nosniff");
  });

  it("refuses TLS 1.1 and suites without forward secrecy", async () => {
    await using hive = await startHive({ tls: testCertificate() });
    const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "ALL:@SECLEVEL=0" } as const;
    await assert.rejects(handshake(hive.port, old));
    await assert.rejects(handshake(hive.port, { maxVersion: "TLSv1.2", ciphers: "ECDHE-ECDSA-AES128-SHA" }));
    assert.equal((await handshake(hive.port, { maxVersion: "TLSv1.2" })).getProtocol(), "TLSv1.2");
    assert.equal((await handshake(hive.port, {})).getProtocol(), "TLSv1.3");
  });

  it("is not believed by a client that does not know its authority, at once and not after retries", async () => {
    await using hive = await startHive({ tls: testCertificate() });
    await using bus = connect(hive.url, { token, connect_timeout_ms: 600_000 });
    await assert.rejects(bus.health({}), { code: "unreachable", message: /no known authority .*HIVEPOST_CA_FILE/ });
  });

  it("is not believed under a name that its certificate does not stand for", async () => {
    await using hive = await startHive({ tls: testCertificate("elsewhere") });
    await using queue = new AgentMessageQueue({ url: hive.url, token, ca_file: authority_file });
    await assert.rejects(queue.sendMessage("ada", "bob", "hello"), { code: "unreachable", message: /another name/ });
  });

  it("is told apart from one without", async () => {
    await using plain = await startHive();
    const url = plain.url.replace("http", "https");
    await using bus = connect(url, { token, ca_file: authority_file });
    await assert.rejects(bus.health({}), { code: "unreachable", message: /does not speak TLS/ });
    await using hive = await startHive({ tls: testCertificate() });
    assert.equal(await rawRequest(hive.port, "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n").catch(() => ""), "");
    assert.equal((await ask(`${hive.url}/health`)).status, 200);
  });

  it("shows a renewed certificate to new connections, and keeps the old ones open", async () => {
    const listeners: ((certificate: Certificate) => void)[] = [];
    const current = readCertificate(certificatePair("server"), now_ms);
    await using hive = await startHive({
      tls: { current, onRenewal: (tell) => listeners.push(tell), [Symbol.dispose]: () => undefined },
    });
    await using bus = connect(hive.url, { token, ca_file: authority_file });
    await bus.health({});
    assert.equal((await handshake(hive.port, {})).getPeerCertificate().subject.CN, "server");
    for (const tell of listeners) tell(readCertificate(certificatePair("renewed"), now_ms));
    assert.equal((await handshake(hive.port, {})).getPeerCertificate().subject.CN, "renewed");
    assert.equal((await bus.health({})).status, "ok");
    await assert.rejects(handshake(hive.port, { maxVersion: "TLSv1.1", minVersion: "TLSv1" }));
  });

  it("stops without waiting for those that shake hands for ever, or say nothing after it", async () => {
    const hive = await startHive({ tls: testCertificate(), config: { stop_ms: 60_000 } });
    const mute = connectPlain(hive.port, "127.0.0.1").on("error", () => undefined);
    const halfway = connectPlain(hive.port, "127.0.0.1").on("error", () => undefined);
    // The head of a TLS record that never comes; HTTP does not know of such a connection.
    halfway.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00]));
    await Promise.all([once(mute, "connect"), once(halfway, "connect")]);
    const silent = await handshake(hive.port, {});
    const closed = [mute, halfway, silent].map((it) => once(it, "close"));
    await hive[Symbol.asyncDispose]();
    await Promise.all(closed);
  });

  it("gives up on a handshake that does not come", async () => {
    await using hive = await startHive({ tls: testCertificate(), timing: { headers_ms: 100, check_ms: 20 } });
    await once(
      connectPlain(hive.port, "127.0.0.1").on("error", () => undefined),
      "close",
    );
  });
});

describe("an address to listen on", () => {
  const guarded = (host: string, { tls = false, insecure = false } = {}) =>
    requireGuardedAddress({ host, insecure }, { tls }).then(
      () => true,
      (error) => {
        assert.equal(error.code, "invalid_input");
        assert.match(error.message, /--tls-cert and --tls-key, or say --insecure/);
        return false;
      },
    );

  it("is taken as it is only where no other machine reaches it, however it is written", async () => {
    const own = ["127.0.0.1", "127.9.8.7", "::1", "::ffff:127.0.0.1", "localhost", "127.1", "2130706433"];
    const others = ["0.0.0.0", "0", "::", "10.0.0.5", "fd00::7", "fe80::1", "::ffff:10.0.0.5", "::ffff:0.0.0.0"];
    for (const host of own) assert.equal(await guarded(host), true, host);
    for (const host of others) assert.equal(await guarded(host), false, host);
  });

  it("is taken wherever it is with TLS, or when told that something else guards it", async () => {
    for (const host of ["0.0.0.0", "::", "10.0.0.5"]) {
      assert.equal(await guarded(host, { tls: true }), true);
      assert.equal(await guarded(host, { insecure: true }), true);
    }
  });

  it("is judged by what its name means, not by the name", async () => {
    assert.deepEqual(["127.0.0.1", "128.0.0.1", "::2"].map(isLoopback), [true, false, false]);
    await assert.rejects(requireGuardedAddress({ host: "no.such.name.invalid", insecure: false }, { tls: false }), {
      syscall: "getaddrinfo",
    });
  });

  it("keeps a server that nothing guards from starting", async () => {
    await assert.rejects(startHive({ config: { host: "0.0.0.0" } }), { code: "invalid_input" });
    await using hive = await startHive({ config: { host: "0.0.0.0", insecure: true } });
    assert.ok(hive.port > 0);
  });
});

const listTools = '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{}}';
const mcpHeaders = { "content-type": "application/json", accept: "application/json, text/event-stream" };

async function ask(url: string, options: RequestOptions = {}, body = "") {
  const headers = { authorization: `Bearer ${token}`, ...(options.headers as Record<string, string> | undefined) };
  const asked = request(url, { ...options, headers, ca, agent: false });
  asked.end(body);
  const [answer] = await once(asked, "response");
  let text = "";
  for await (const chunk of answer) text += chunk;
  return { status: answer.statusCode, headers: answer.headers, text };
}

/** A connection past its handshake. */
async function handshake(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  const socket = connectTls({ port, host: "127.0.0.1", ca, ...options });
  await once(socket, "secureConnect");
  socket.unref();
  return socket;
}
