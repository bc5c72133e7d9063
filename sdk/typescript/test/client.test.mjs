import assert from "node:assert/strict";
import { after, afterEach, before, test } from "node:test";
import * as sdk from "../dist/esm/index.js";
import { answer, hangUp, proxy, refuse, serve, silence } from "./support.mjs";

const { Batch, FerroMcpClient, reference } = sdk;
let server, guarded, between;
const KEY = "fmk_sdk_test_key";
const quick = { baseDelayMs: 1, maxDelayMs: 50 };
const direct = (more = {}) => new FerroMcpClient({ baseUrl: server.url, ...more });
const through = (more = {}) => new FerroMcpClient({ baseUrl: between.url, retry: quick, ...more });
const echo = (client, options) => client.callTool("echo", { msg: "hi" }, options);

before(async () => {
  server = await serve("builtin: { batch: true, files: { roots: [DIR] } }\n");
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256").update(KEY).digest("hex");
  guarded = await serve(`tenants: { a: { keys: ["sha256:${hash}"], quotas: { tool_calls: 2/min, batch_size: 2 } } }\n`);
  between = await proxy(server.url);
});
after(async () => { await between.stop(); await server.stop(); await guarded.stop() });
afterEach(() => { assert.equal(between.faults.length, 0, "every fault was used"); between.seen.length = 0 });

test("tools are listed", async () => {
  const page = await direct().listTools();
  assert.equal(page.tools.find((tool) => tool.name === "echo").annotations.readOnlyHint, true);
  assert.equal(page.next_cursor, null);
});
test("a page has no more tools than asked for", async () => {
  const page = await direct().listTools({ limit: 1 });
  assert.equal(page.tools.length, 1);
  assert.equal(typeof page.next_cursor, "string");
});
test("the iterator gives all pages, each tool once", async () => {
  const names = [];
  for await (const tool of direct().tools({ limit: 1 })) names.push(tool.name);
  const all = (await direct().listTools()).tools.map((tool) => tool.name);
  assert.deepEqual(names, all);
  assert.ok(all.length > 3);
});
test("leaving the iterator asks for no more pages", async () => {
  for await (const _ of through().tools({ limit: 1 })) break;
  assert.equal(between.seen.length, 1);
});
test("a bad cursor is an invalid request", () => assert.rejects(direct().listTools({ cursor: "x" }), sdk.InvalidRequestError));
test("a limit out of bounds is an invalid request", () => assert.rejects(direct().listTools({ limit: 0 }), sdk.InvalidRequestError));

test("a call gives output, content, request id and latency", async () => {
  const result = await echo(direct());
  assert.equal(result.output, "hi");
  assert.deepEqual(result.content, [{ type: "text", text: "hi" }]);
  assert.match(result.requestId, /^[0-9a-f]{32}$/);
  assert.ok(result.latencyMs >= 0);
});
for (const [name, text] of [["empty", ""], ["of other scripts", "día 日本 👩‍👩‍👧"], ["with controls and quotes", "\n\"\\\u2028"], ["long", "x".repeat(100_000)]]) {
  test(`text that is ${name} comes back as it was`, async () => assert.equal((await direct().callTool("echo", { msg: text })).output, text));
}
test("fifty calls at the same time keep apart", async () => {
  const client = direct();
  const all = await Promise.all(Array.from({ length: 50 }, (_, n) => client.callTool("echo", { msg: `${n}` })));
  assert.deepEqual(all.map((result) => result.output), Array.from({ length: 50 }, (_, n) => `${n}`));
});
test("an unknown tool", () => assert.rejects(direct().callTool("nothing"), (error) =>
  error instanceof sdk.ToolNotFoundError && error.status === 404 && error.mayHaveRun === false));
test("arguments of a wrong type say where and which rule", () => assert.rejects(direct().callTool("echo", { msg: 7 }), (error) =>
  error instanceof sdk.InvalidArgumentsError && error.rule === "schema.arguments" && error.issues[0].pointer === "/msg" && /^[0-9a-f]{32}$/.test(error.requestId)));
test("arguments that are no object", () => assert.rejects(direct().callTool("echo", [1]), sdk.InvalidArgumentsError));
test("a body over the limit", () => assert.rejects(direct().callTool("echo", { msg: "x".repeat(5 << 20) }), (error) =>
  error instanceof sdk.PayloadTooLargeError || error instanceof sdk.ConnectionError));
test("a failure of the tool itself is a ToolError with its content", () => assert.rejects(direct().callTool("read_file", { path: "no.txt" }), (error) =>
  error instanceof sdk.ToolError && error.code === "tool_error" && error.mayHaveRun && error.content.length > 0));
test("a string over the limit", () => assert.rejects(direct().callTool("echo", { msg: "x".repeat(200_000) }), (error) =>
  error instanceof sdk.InvalidArgumentsError && error.issues[0].pointer === "/msg"));
test("a deadline that is no number above 0", () => assert.rejects(echo(direct(), { deadlineMs: 0 }), sdk.InvalidRequestError));
test("a tenant that is not one's own", () => assert.rejects(echo(direct(), { tenantId: "other" }), sdk.PermissionDeniedError));

test("no key", () => assert.rejects(echo(new FerroMcpClient({ baseUrl: guarded.url })), (error) =>
  error instanceof sdk.UnauthenticatedError && error.status === 401));
test("a wrong key", () => assert.rejects(echo(new FerroMcpClient({ baseUrl: guarded.url, apiKey: "nobody" })), sdk.UnauthenticatedError));
test("a good key, a provider of keys, and a used up quota that says when", async () => {
  assert.equal((await echo(new FerroMcpClient({ baseUrl: guarded.url, apiKey: KEY }))).output, "hi");
  const client = new FerroMcpClient({ baseUrl: guarded.url, apiKey: async () => KEY, retry: quick });
  assert.equal((await echo(client)).output, "hi");
  await assert.rejects(echo(client), (error) => error instanceof sdk.QuotaExceededError && error.retryAfterMs > 1000 && error.status === 429);
});
test("a batch over the tenant's size is refused at once", () => assert.rejects(
  new FerroMcpClient({ baseUrl: guarded.url, apiKey: KEY }).batchCall(Array(3).fill({ tool: "echo" })),
  (error) => error instanceof sdk.QuotaExceededError && error.rule === "quota.batch_size"));
test("the provider is asked before every attempt", async () => {
  let asked = 0;
  between.faults.push(refuse(503, { code: "unavailable" }));
  await echo(through({ apiKey: () => `key-${(asked += 1)}` })).catch(() => undefined);
  assert.deepEqual(between.seen.map((request) => request.headers.authorization), ["Bearer key-1", "Bearer key-2"]);
});
for (const apiKey of ["", "a b", "secret\r\nx-evil: 1", "sécret", "secret\0"]) {
  test(`the key ${JSON.stringify(apiKey)} is not sent and not told`, async () => {
    await assert.rejects(echo(through({ apiKey })), (error) => error instanceof TypeError && !error.message.includes("cret"));
    assert.equal(between.seen.length, 0);
  });
}
test("an error of the provider is the caller's", () => assert.rejects(
  echo(through({ apiKey: () => { throw new RangeError("no key") } })), RangeError));

test("the health of the server", async () => assert.equal((await direct().health()).status, "ok"));
test("the health is open without a key", async () => assert.equal((await new FerroMcpClient({ baseUrl: guarded.url }).health()).name, "ferromcp"));

const CODES = {
  invalid_request: "InvalidRequestError", unauthenticated: "UnauthenticatedError", permission_denied: "PermissionDeniedError",
  tool_not_found: "ToolNotFoundError", invalid_arguments: "InvalidArgumentsError", payload_too_large: "PayloadTooLargeError",
  rate_limited: "RateLimitedError", quota_exceeded: "QuotaExceededError", timeout: "TimeoutError", unavailable: "UnavailableError",
  upstream_error: "UpstreamError", cancelled: "CancelledError", internal: "InternalError", tool_error: "ToolError",
  of_a_later_server: "FerroMcpError", __proto__x: "FerroMcpError",
};
for (const [code, name] of Object.entries(CODES)) {
  test(`code ${code} is ${name}`, async () => {
    between.faults.push(refuse(500, { code, rule: "some.rule", retry_after_ms: 7 }));
    await assert.rejects(echo(through({ retry: false })), (error) => error.name === name && error.constructor === sdk[name]
      && error instanceof sdk.FerroMcpError && error.code === code && error.rule === "some.rule" && error.retryAfterMs === 7);
  });
}

for (const code of ["rate_limited", "unavailable"]) {
  test(`${code} is tried again: nothing ran`, async () => {
    between.faults.push(refuse(503, { code, retry_after_ms: 2 }), refuse(503, { code, retry_after_ms: 2 }));
    assert.equal((await echo(through())).output, "hi");
    assert.equal(between.seen.length, 3);
  });
}
test("attempts are bounded, and the last error stands", async () => {
  between.faults.push(...Array(2).fill(refuse(503, { code: "unavailable" })));
  await assert.rejects(echo(through({ retry: { ...quick, attempts: 2 } })), sdk.UnavailableError);
  assert.equal(between.seen.length, 2);
});
test("the wait that the server asks for is kept", async () => {
  between.faults.push(refuse(429, { code: "rate_limited", retry_after_ms: 40 }));
  const start = performance.now();
  await echo(through());
  assert.ok(performance.now() - start >= 38);
});
for (const [form, value] of [["seconds", () => "60"], ["a date", () => new Date(Date.now() + 60_000).toUTCString()]]) {
  test(`Retry-After as ${form} beyond the longest wait: no retry`, async () => {
    between.faults.push(refuse(429, { code: "rate_limited" }, { "retry-after": value() }));
    await assert.rejects(echo(through()), (error) => error.retryAfterMs > 58_000 && error.retryAfterMs <= 60_000);
    assert.equal(between.seen.length, 1);
  });
}
const UNSURE = {
  "a connection that ends": [hangUp, "ConnectionError"],
  "a timeout": [refuse(504, { code: "timeout", details: { may_have_run: true } }), "TimeoutError"],
  "unavailable, but it may have run": [refuse(503, { code: "unavailable", rule: "upstream.died", details: { may_have_run: true } }), "UnavailableError"],
  "an internal error": [refuse(500, { code: "internal", details: { may_have_run: true } }), "InternalError"],
  "the page of a proxy": [answer(502, "<html>bad gateway</html>"), "ProtocolError"],
  "an answer that breaks off": [(request, response) => {
    request.resume();
    response.writeHead(200, { "content-length": "100" });
    response.write('{"success":', () => response.destroy());
  }, "ConnectionError"],
};
for (const [what, [fault, name]] of Object.entries(UNSURE)) {
  test(`${what}: a call that may have run is not made again`, async () => {
    between.faults.push(fault);
    await assert.rejects(echo(through()), (error) => error.name === name && error.mayHaveRun);
    assert.equal(between.seen.length, 1);
  });
  test(`${what}: an idempotent call is made again`, async () => {
    between.faults.push(fault);
    assert.equal((await echo(through(), { idempotent: true })).output, "hi");
    assert.equal(between.seen.length, 2);
  });
}
test("a list is asked for again", async () => {
  between.faults.push(hangUp);
  assert.ok((await through().listTools()).tools.length > 0);
});
for (const [what, body] of [["no object", "[]"], ["null", "null"], ["a failure without an error", '{"success":false}'], ["cut JSON", '{"success":true'], ["empty", ""], ["other JSON", '{"a":1}']]) {
  test(`an answer that is ${what}`, async () => {
    between.faults.push(answer(200, body));
    await assert.rejects(echo(through()), sdk.ProtocolError);
  });
}
test("a redirect is not followed: it would carry the key away", async () => {
  between.faults.push(answer(307, "", { location: server.url }));
  await assert.rejects(echo(through()), sdk.ConnectionError);
});
test("nobody listens", () => assert.rejects(echo(new FerroMcpClient({ baseUrl: "http://127.0.0.1:1" })), sdk.ConnectionError));

test("timeoutMs ends a request without an answer", async () => {
  between.faults.push(silence);
  await assert.rejects(echo(through(), { timeoutMs: 30 }), (error) => error instanceof sdk.TimeoutError && error.mayHaveRun);
});
test("timeoutMs counts waits between attempts too", async () => {
  between.faults.push(refuse(503, { code: "unavailable", retry_after_ms: 60_000 }));
  await assert.rejects(echo(through({ timeoutMs: 50, retry: { maxDelayMs: 100_000 } })), sdk.TimeoutError);
});
test("a signal that was aborted before: nothing is sent", async () => {
  await assert.rejects(echo(through(), { signal: AbortSignal.abort(new RangeError("mine")) }), RangeError);
  assert.equal(between.seen.length, 0);
});
test("a signal ends a running request with its reason, and the connection", async () => {
  const controller = new AbortController();
  const gone = new Promise((resolve) => between.faults.push((request, response) => {
    response.on("close", resolve);
    controller.abort(new RangeError("mine"));
  }));
  await assert.rejects(echo(through(), { signal: controller.signal }), RangeError);
  await gone;
});
test("the client's signal ends all its requests", async () => {
  const controller = new AbortController();
  const client = through({ signal: controller.signal });
  between.faults.push(silence, () => controller.abort());
  const both = await Promise.allSettled([echo(client), echo(client)]);
  assert.deepEqual(both.map((end) => end.reason?.name), ["AbortError", "AbortError"]);
});
test("no listener stays on a signal", async () => {
  const { getEventListeners } = await import("node:events");
  const { signal } = new AbortController();
  await echo(direct(), { signal });
  assert.equal(getEventListeners(signal, "abort").length, 0);
});
for (const baseUrl of ["ftp://a", "http://u:p@a", "http://a/?q=1", "nothing"]) {
  test(`baseUrl ${baseUrl} is refused`, () => assert.throws(() => new FerroMcpClient({ baseUrl }), TypeError));
}
for (const retry of [{ attempts: 0 }, { attempts: 1.5 }, { baseDelayMs: -1 }, { maxDelayMs: NaN }]) {
  test(`retry ${JSON.stringify(retry)} is refused`, () => assert.throws(() => new FerroMcpClient({ baseUrl: "http://a", retry }), TypeError));
}
test("a fetch of one's own is used", async () => {
  let used = 0;
  await echo(direct({ fetch: (...all) => { used += 1; return fetch(...all) } }));
  assert.equal(used, 1);
});

test("a batch with references, each call with an answer", async () => {
  const batch = new Batch();
  const who = batch.add("echo", { msg: '{"name":"Ada"}' });
  batch.add("echo", { msg: who.ref("/name") }, { id: "name", timeoutMs: 5000 });
  batch.add("nothing");
  const result = await direct().batchCall(batch, { parallel: true });
  assert.deepEqual([result.successCount, result.errorCount], [2, 1]);
  assert.equal(result.responses[1].id, "name");
  assert.equal(result.responses[1].output, "Ada");
  assert.ok(result.responses[2].error instanceof sdk.ToolNotFoundError);
});
test("stopOnError makes no more calls", async () => {
  const result = await direct().batchCall([{ tool: "nothing" }, { tool: "echo", arguments: { msg: "a" } }], { stopOnError: true });
  assert.equal(result.responses[1].error.rule, "batch.stopped");
  assert.ok(result.responses[1].error instanceof sdk.CancelledError);
});
test("a batch of a circle is refused", () => assert.rejects(
  direct().batchCall([{ id: "a", tool: "echo", arguments: { msg: reference("a") } }]), (error) => error.rule === "batch.cycle"));
test("an empty batch is refused", () => assert.rejects(direct().batchCall([]), sdk.InvalidRequestError));
test("maxParallel out of bounds is refused", () => assert.rejects(direct().batchCall([{ tool: "echo" }], { maxParallel: 101 }), sdk.InvalidRequestError));
test("the builder refuses an id twice", () => {
  const batch = new Batch();
  batch.add("echo", {}, { id: "a" });
  assert.throws(() => batch.add("echo", {}, { id: "a" }), TypeError);
});
test("the builder's own ids keep clear of given ones", () => {
  const batch = new Batch();
  batch.add("echo", {}, { id: "call-2" });
  assert.equal(batch.add("echo").id, "call-3");
});
test("a reference checks its pointer", () => assert.throws(() => reference("a", "name"), TypeError));

const two = { requests: [{ tool: "echo", arguments: { msg: "a" } }, { tool: "echo", arguments: { msg: "b" } }] };
test("a stream tells of progress, then gives the result", async () => {
  const seen = [];
  for await (const event of direct().callToolStream("batch_call", two)) seen.push(event);
  assert.deepEqual(seen.slice(0, -1), [{ type: "progress", progress: 1, total: 2 }, { type: "progress", progress: 2, total: 2 }]);
  assert.equal(seen.at(-1).type, "result");
  assert.equal(seen.at(-1).output.success_count, 2);
});
test("a stream of a quick call is its result", async () => {
  const seen = [];
  for await (const event of direct().callToolStream("echo", { msg: "día" })) seen.push(event);
  assert.deepEqual(seen, [{ type: "result", output: "día", content: [{ type: "text", text: "día" }] }]);
});
const drain = async (stream) => { for await (const _ of stream); };
test("a stream of an unknown tool", () => assert.rejects(drain(direct().callToolStream("日本")), (error) => error instanceof sdk.FerroMcpError && error.code !== "protocol"));
test("a stream of a failing tool", () => assert.rejects(drain(direct().callToolStream("read_file", { path: "no.txt" })), sdk.ToolError));
test("a stream without a key", () => assert.rejects(drain(new FerroMcpClient({ baseUrl: guarded.url }).callToolStream("echo")), sdk.FerroMcpError));
test("a stream that ends before its result", async () => {
  between.faults.push(answer(200, 'data: {"method":"notifications/progress","params":{"progress":1}}\n\n', { "content-type": "text/event-stream" }));
  const seen = [];
  await assert.rejects((async () => { for await (const event of through().callToolStream("echo")) seen.push(event) })(), sdk.ConnectionError);
  assert.equal(seen.length, 1);
});
test("a stream with an event that is no JSON", async () => {
  between.faults.push(answer(200, "data: x\n\n", { "content-type": "text/event-stream" }));
  await assert.rejects(drain(through().callToolStream("echo")), sdk.ProtocolError);
});
test("leaving a stream closes its connection", async () => {
  const closed = new Promise((resolve) => between.faults.push((request, response) => {
    request.resume();
    response.on("close", resolve);
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write('data: {"method":"notifications/progress","params":{"progress":1}}\n\n');
  }));
  for await (const event of through().callToolStream("echo")) { assert.equal(event.type, "progress"); break }
  await closed;
});
test("timeoutMs ends a stream", async () => {
  between.faults.push((request, response) => { response.writeHead(200, { "content-type": "text/event-stream" }); response.flushHeaders() });
  await assert.rejects(drain(through().callToolStream("echo", {}, { timeoutMs: 100 })), sdk.TimeoutError);
});
