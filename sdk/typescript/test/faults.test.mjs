// A proxy that fails before the call and after it. The tool's own record tells how often it ran.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, beforeEach, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as sdk from "../dist/esm/index.js";
import { answer, hangUp, proxy, serve, silence } from "./support.mjs";

const program = fileURLToPath(new URL("tools-server.mjs", import.meta.url));
let directory, server, between;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "ferromcp-faults-"));
  writeFileSync(join(directory, "tools.json"), JSON.stringify([{ name: "note", inputSchema: { type: "object" } }]));
  const args = [program, join(directory, "tools.json"), join(directory, "ran")];
  server = await serve(`servers: { t: { command: ${JSON.stringify(process.execPath)}, args: ${JSON.stringify(args)} } }\n`);
  const client = new sdk.FerroMcpClient({ baseUrl: server.url });
  while ((await client.health()).sources.some((part) => part.state === "starting"));
  between = await proxy(server.url);
});
after(async () => { await between.stop(); await server.stop(); rmSync(directory, { recursive: true }) });
beforeEach(() => { writeFileSync(join(directory, "ran"), ""); between.seen.length = 0; between.faults.length = 0 });

const ran = () => readFileSync(join(directory, "ran"), "utf8").split("\n").length - 1;
const client = (more = {}) => new sdk.FerroMcpClient({ baseUrl: between.url, retry: { baseDelayMs: 1, maxDelayMs: 50 }, ...more });
const call = (options) => client().callTool("t__note", { text: "día" }, options);
const drain = async (options) => { for await (const _ of client().callToolStream("t__note", { text: "día" }, options)); };

/** A fault: the server carries out the call, and `spoil` makes of its whole answer what it likes. */
const carriedOut = (spoil) => (request, response) => {
  const headers = { ...request.headers, host: new URL(server.url).host };
  const onward = http.request(server.url + request.url, { method: request.method, headers }, async (answer) => {
    const parts = [];
    for await (const part of answer) parts.push(part);
    spoil(response, Buffer.concat(parts), answer);
  });
  request.pipe(onward);
};
const cut = (response, body, { headers }) => {
  response.writeHead(200, { "content-type": headers["content-type"], "content-length": String(body.length) });
  response.write(body.subarray(0, body.length >> 1), () => response.destroy());
};
const html = (status) => answer(status, "<html>", { "content-type": "text/html" });

const CALLS = {
  // fault, class of the error, how often the tool ran when the call may not be, and when it may be, repeated
  "reset before the call": [hangUp, "ConnectionError", 0, 1],
  "reset after the call": [carriedOut((response) => response.destroy()), "ConnectionError", 1, 2],
  "cut half way": [carriedOut(cut), "ConnectionError", 1, 2],
  "status 502": [html(502), "ProtocolError", 0, 1],
  "status 503": [html(503), "ProtocolError", 0, 1],
  "status 504 after the call": [carriedOut((response) => { response.writeHead(504, { "content-type": "text/html" }); response.end("<html>") }), "ProtocolError", 1, 2],
};
for (const [what, [fault, name, once, again]] of Object.entries(CALLS)) {
  test(`${what}: repeated only where it may be`, async () => {
    between.faults.push(fault);
    await assert.rejects(call(), (error) => error.name === name && error.mayHaveRun);
    assert.deepEqual([between.seen.length, ran()], [1, once]);
    between.faults.push(fault);
    assert.deepEqual((await call({ idempotent: true })).output, { text: "día" });
    assert.deepEqual([between.seen.length, ran()], [3, once + again]);
  });
  test(`${what}: a stream is sent once`, async () => {
    between.faults.push(fault);
    await assert.rejects(drain(), (error) => error.name === name);
    assert.deepEqual([between.seen.length, ran()], [1, once]);
  });
}
test("an answer of one byte at a time, with letters cut in two, is whole", async () => {
  const slowly = carriedOut(async (response, body, { headers }) => {
    response.writeHead(200, { "content-type": headers["content-type"] });
    for (const byte of body) await new Promise((resolve) => response.write(Buffer.of(byte), resolve));
    response.end();
  });
  between.faults.push(slowly, slowly);
  assert.deepEqual((await call()).output, { text: "día" });
  for await (const event of client().callToolStream("t__note", { text: "día" })) assert.deepEqual(event.output, { text: "día" });
  assert.equal(ran(), 2);
});
test("garbage is no answer, and is not asked for again", async () => {
  between.faults.push(carriedOut((response) => { response.writeHead(200, { "content-type": "application/json" }); response.end("\0{not json") }));
  await assert.rejects(call({ idempotent: true }), sdk.ProtocolError);
  assert.deepEqual([between.seen.length, ran()], [1, 1]);
});
test("a redirect is not followed", async () => {
  between.faults.push(answer(307, "", { location: `${server.url}/v1/tools/call` }));
  await assert.rejects(call(), sdk.ConnectionError);
  assert.equal(ran(), 0);
});
test("a huge answer is read", async () => {
  const text = "x".repeat(32 << 20);
  between.faults.push(answer(200, { success: true, output: text, content: [], request_id: "a", latency_ms: 1 }));
  assert.equal((await call()).output.length, text.length);
});

test("an answer without end is given up, with its connection", async () => {
  const part = Buffer.alloc(1 << 20, " ");
  const closed = new Promise((resolve) => between.faults.push(async (request, response) => {
    request.resume();
    response.on("close", resolve);
    response.writeHead(200, { "content-type": "application/json" });
    while (!response.destroyed) await new Promise((next) => { response.once("close", next); response.write(part, next) });
  }));
  await assert.rejects(call({ idempotent: true }), (error) => error instanceof sdk.ProtocolError && /larger than 268435456 bytes/.test(error.message));
  await closed;
  assert.equal(between.seen.length, 1);
});

const half = (type, body) => (request, response) => {
  request.resume();
  response.writeHead(200, { "content-type": type });
  response.write(body);
};
const HANGS = {
  "before an answer": [silence, call],
  "half way of an answer": [half("application/json", '{"success":'), call],
  "before a stream": [silence, drain],
  "half way of a stream": [half("text/event-stream", 'data: {"method"'), drain],
};
for (const [where, [fault, work]] of Object.entries(HANGS)) {
  test(`a hang ${where}: the time limit ends it and its connection, and nothing is repeated`, async () => {
    const closed = new Promise((resolve) => between.faults.push((request, response) => { response.on("close", resolve); fault(request, response) }));
    await assert.rejects(work({ timeoutMs: 100, idempotent: true }), sdk.TimeoutError);
    await closed;
    assert.equal(between.seen.length, 1);
  });
  test(`an abort ${where} ends it and its connection, with its reason`, async () => {
    const controller = new AbortController();
    const closed = new Promise((resolve) => between.faults.push((request, response) => {
      response.on("close", resolve);
      fault(request, response);
      setImmediate(() => controller.abort(new RangeError("mine")));
    }));
    await assert.rejects(work({ signal: controller.signal, idempotent: true }), RangeError);
    await closed;
    assert.equal(between.seen.length, 1);
  });
}
