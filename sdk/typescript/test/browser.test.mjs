// The ESM build in a real browser, in a page of another origin than the server's.
import assert from "node:assert/strict";
import { accessSync, constants, mkdtempSync, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, afterEach, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { answer, proxy, refuse, serve } from "./support.mjs";

// The last is the one that `cargo xtask test` installs where there is none.
const BROWSER = process.env.CHROMIUM_BIN ?? process.env.PATH.split(delimiter)
  .flatMap((place) => ["chromium", "chromium-browser", "google-chrome"].map((name) => join(place, name)))
  .concat(fileURLToPath(new URL("../../../.peers/chromium/chromium", import.meta.url))).find(runs);
const skip = BROWSER === undefined ? "no Chromium: cargo xtask peers --install (Linux on x86-64), install chromium, or set CHROMIUM_BIN" : false;
const BUILD = fileURLToPath(new URL("../dist/esm/", import.meta.url));
let pages, port, server, between, directory, browser, page;

function runs(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** A page of `host`, with the package as `sdk` and a client of `url` as `client`. */
async function open(host, url) {
  const opened = await browser.newPage();
  await opened.goto(`http://${host}:${port}/`);
  await opened.evaluate(async (baseUrl) => {
    globalThis.sdk = await import("/index.js");
    globalThis.client = new sdk.FerroMcpClient({ baseUrl, retry: { baseDelayMs: 1, maxDelayMs: 50 } });
    globalThis.told = (work) => work().then((value) => ({ value }), (error) => ({
      name: error.name, code: error.code, rule: error.rule, message: error.message,
      known: error instanceof sdk.FerroMcpError, may: error.mayHaveRun, after: error.retryAfterMs,
    }));
  }, url);
  return opened;
}

if (!skip) {
  before(async () => {
    pages = http.createServer((request, response) => {
      const script = /^\/(\w+\.js)$/.exec(request.url);
      response.setHeader("content-type", script ? "text/javascript" : "text/html");
      response.end(script ? readFileSync(join(BUILD, script[1])) : "<!doctype html><title>page</title>");
    });
    await new Promise((resolve) => pages.listen(0, "127.0.0.1", resolve));
    port = pages.address().port;
    server = await serve(`listen: { allowed_origins: ["http://app.test:${port}"] }\nbuiltin: { batch: true, files: { roots: [DIR] } }\n`);
    between = await proxy(server.url);
    directory = mkdtempSync(join(tmpdir(), "ferromcp-browser-"));
    browser = await chromium.launchPersistentContext(directory, {
      executablePath: BROWSER,
      chromiumSandbox: false,
      args: ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync",
        "--host-resolver-rules=MAP *.test 127.0.0.1"],
    });
    page = await open("app.test", between.url);
    // From here on the browser knows that it may ask, so that every request that the proxy sees is one of the package.
    await page.evaluate(async () => {
      await client.callTool("echo", { msg: "first" });
      for await (const _ of client.callToolStream("echo", { msg: "first" }));
    });
    between.seen.length = 0;
  });
  after(async () => {
    await browser?.close();
    await between?.stop();
    await server?.stop();
    pages?.closeAllConnections();
    pages?.close();
    if (directory) rmSync(directory, { recursive: true, force: true });
  });
  afterEach(() => { assert.equal(between.faults.length, 0, "every fault was used"); between.seen.length = 0 });
}

const fromPage = { "access-control-allow-origin": "*" };
const echo = () => page.evaluate(() => told(async () => (await client.callTool("echo", { msg: "día" })).output));

test("browser: tools are listed, page by page", { skip }, async () => {
  const names = await page.evaluate(async () => {
    const all = [];
    for await (const tool of client.tools({ limit: 1 })) all.push(tool.name);
    return all;
  });
  assert.ok(names.includes("echo") && names.includes("batch_call"));
  assert.equal(between.seen.filter((request) => request.method === "GET").length, names.length);
});
test("browser: a call", { skip }, async () => assert.deepEqual(await echo(), { value: "día" }));
test("browser: a stream tells of progress, then gives the result", { skip }, async () => {
  const seen = await page.evaluate(async () => {
    const requests = [{ tool: "echo", arguments: { msg: "a" } }, { tool: "echo", arguments: { msg: "b" } }];
    const events = [];
    for await (const event of client.callToolStream("batch_call", { requests })) events.push(event);
    return events;
  });
  assert.deepEqual(seen.map((event) => event.type), ["progress", "progress", "result"]);
  assert.equal(seen[2].output.success_count, 2);
});
test("browser: a batch with a reference", { skip }, async () => {
  const outputs = await page.evaluate(async () => {
    const batch = new sdk.Batch();
    const who = batch.add("echo", { msg: '{"name":"Ada"}' });
    batch.add("echo", { msg: who.ref("/name") });
    return (await client.batchCall(batch)).responses.map((response) => response.output);
  });
  assert.deepEqual(outputs, ['{"name":"Ada"}', "Ada"]);
});
test("browser: errors have their classes, rules and waits", { skip }, async () => {
  const errors = await page.evaluate(() => Promise.all([
    told(() => client.callTool("nothing")), told(() => client.callTool("echo", { msg: 7 })), told(() => client.callTool("read_file", { path: "no.txt" })),
  ]));
  assert.deepEqual(errors.map((error) => [error.name, error.known]), [["ToolNotFoundError", true], ["InvalidArgumentsError", true], ["ToolError", true]]);
  assert.equal(errors[1].rule, "schema.arguments");
  between.faults.push(refuse(429, { code: "rate_limited" }, { ...fromPage, "access-control-expose-headers": "retry-after", "retry-after": "60" }));
  assert.equal((await echo()).after, 60_000);
});
test("browser: what did not run is called again, what may have is not", { skip }, async () => {
  between.faults.push(refuse(503, { code: "unavailable" }, fromPage));
  assert.deepEqual(await echo(), { value: "día" });
  assert.equal(between.seen.length, 2);
  between.faults.push(answer(502, "<html>", { ...fromPage, "content-type": "text/html" }));
  assert.deepEqual([(await echo()).name, between.seen.length], ["ProtocolError", 3]);
  // A browser itself repeats a request whose kept connection ended without a byte; half an answer it does not.
  between.faults.push((request, response) => {
    request.resume();
    response.writeHead(200, { ...fromPage, "content-type": "application/json", "content-length": "100" });
    response.write('{"success":', () => response.destroy());
  });
  const { name, may } = await echo();
  assert.deepEqual([name, may, between.seen.length], ["ConnectionError", true, 4]);
});
test("browser: an abort ends the request and its connection", { skip }, async () => {
  const closed = new Promise((resolve) => between.faults.push((request, response) => {
    response.on("close", resolve);
    page.evaluate(() => controller.abort(new RangeError("mine")));
  }));
  const error = await page.evaluate(() => {
    globalThis.controller = new AbortController();
    return told(() => client.callTool("echo", { msg: "a" }, { signal: controller.signal }));
  });
  assert.equal(error.name, "RangeError");
  await closed;
});
test("browser: leaving a stream ends its connection", { skip }, async () => {
  const closed = new Promise((resolve) => between.faults.push((request, response) => {
    request.resume();
    response.on("close", resolve);
    response.writeHead(200, { ...fromPage, "content-type": "text/event-stream" });
    response.write('data: {"method":"notifications/progress","params":{"progress":1}}\n\n');
  }));
  await page.evaluate(async () => { for await (const _ of client.callToolStream("batch_call", {})) break; });
  await closed;
});
test("browser: a page of an origin that is not allowed gets no answer", { skip }, async () => {
  const other = await open("other.test", server.url);
  const error = await other.evaluate(() => told(() => client.callTool("echo", { msg: "a" })));
  assert.deepEqual([error.name, error.known], ["ConnectionError", true]);
  await other.close();
  const own = await open("app.test", server.url);
  assert.equal((await own.evaluate(() => client.callTool("echo", { msg: "a" }))).output, "a");
  await own.close();
});
