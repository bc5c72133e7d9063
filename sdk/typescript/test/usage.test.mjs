// What the tenant has used, from the real server.
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, afterEach, before, test } from "node:test";
import * as sdk from "../dist/esm/index.js";
import { answer, hangUp, proxy, refuse, serve, silence } from "./support.mjs";

const KEYS = { spent: "fmk_usage_spent", free: "fmk_usage_free", gone: "fmk_usage_gone" };
const hash = (name) => `sha256:${createHash("sha256").update(KEYS[name]).digest("hex")}`;
let server, open, between;

before(async () => {
  server = await serve(JSON.stringify({
    limits: { rate: "10/h", burst: 50 },
    tenants: {
      spent: { keys: [hash("spent")], limits: { rate: "10/h", burst: 20 }, quotas: { tool_calls: "3/h", concurrent: 2, batch_size: 4 } },
      free: { keys: [hash("free")] },
      gone: { keys: [hash("gone")], suspended: true },
    },
  }));
  open = await serve("builtin: { batch: true }\n");
  between = await proxy(server.url);
});
after(async () => { await between.stop(); await server.stop(); await open.stop() });
afterEach(() => { assert.equal(between.faults.length, 0, "every fault was used"); between.seen.length = 0 });

const as = (name, url = server.url) => new sdk.FerroMcpClient({ baseUrl: url, apiKey: KEYS[name], retry: { baseDelayMs: 1, maxDelayMs: 50 } });
const through = () => as("free", between.url);
const echo = (client) => client.callTool("echo", { msg: "hi" });

test("values change with calls, until the quota is reached, and only the tenant's own", async () => {
  const client = as("spent");
  const first = await client.usage();
  assert.deepEqual(first, {
    tenant: "spent",
    rate: { limit: 20, used: 0, remaining: 20, resets_in_ms: 0, calls: 10, window_ms: 3_600_000 },
    client_rate: { limit: 50, used: 0, remaining: 50, resets_in_ms: 0, calls: 10, window_ms: 3_600_000 },
    concurrent: { limit: 2, now: 0, remaining: 2 },
    quotas: { tool_calls: { limit: 3, used: 0, remaining: 3, window_ms: 3_600_000, resets_in_ms: 0 }, batch_size: { limit: 4 } },
  });
  for (let used = 1; used <= 3; used += 1) {
    await echo(client);
    const { quotas, rate, client_rate } = await client.usage();
    assert.deepEqual([quotas.tool_calls.used, quotas.tool_calls.remaining], [used, 3 - used]);
    assert.deepEqual([rate.used, client_rate.used], [used, used]);
    assert.ok(quotas.tool_calls.resets_in_ms > 3_000_000);
  }
  await assert.rejects(echo(client), (error) => error instanceof sdk.QuotaExceededError && error.rule === "quota.tool_calls");
  const { quotas } = await client.usage();
  assert.deepEqual([quotas.tool_calls.used, quotas.tool_calls.remaining], [3, 0]);
  const other = await as("free").usage();
  assert.deepEqual([other.tenant, other.rate, other.concurrent, other.quotas], ["free", null, null, {}]);
  assert.equal(other.client_rate.used, 0);
});
test("a server without tenants limits nobody", async () => {
  const none = { tenant: "local", rate: null, client_rate: null, concurrent: null, quotas: {} };
  assert.deepEqual(await new sdk.FerroMcpClient({ baseUrl: open.url }).usage(), none);
});
test("a wrong key", () => assert.rejects(new sdk.FerroMcpClient({ baseUrl: server.url, apiKey: "nobody" }).usage(), (error) =>
  error instanceof sdk.UnauthenticatedError && error.status === 401));
test("no key", () => assert.rejects(new sdk.FerroMcpClient({ baseUrl: server.url }).usage(), (error) =>
  error instanceof sdk.UnauthenticatedError && error.rule === "auth.missing"));
test("a tenant that is suspended", () => assert.rejects(as("gone").usage(), (error) =>
  error instanceof sdk.PermissionDeniedError && error.rule === "auth.tenant.suspended"));

const LOST = { "a lost connection": hangUp, "the page of a proxy": answer(502, "<html>"), "a server that drains": refuse(503, { code: "unavailable" }) };
for (const [what, fault] of Object.entries(LOST)) {
  test(`${what}: it is asked for again`, async () => {
    between.faults.push(fault);
    assert.equal((await through().usage()).tenant, "free");
    assert.equal(between.seen.length, 2);
  });
}
for (const body of ["[]", "null", "{}", '{"tenant":7,"quotas":{}}', '{"tenant":"a"}', '{"tenant":"a","quotas":[]}']) {
  test(`an answer that is ${body}`, async () => {
    between.faults.push(answer(200, body));
    await assert.rejects(through().usage(), sdk.ProtocolError);
  });
}
test("a signal ends it with its reason, and the connection", async () => {
  const controller = new AbortController();
  const closed = new Promise((resolve) => between.faults.push((request, response) => {
    response.on("close", resolve);
    controller.abort(new RangeError("mine"));
  }));
  await assert.rejects(through().usage({ signal: controller.signal }), RangeError);
  await closed;
});
test("a signal that was aborted before: nothing is sent", async () => {
  await assert.rejects(through().usage({ signal: AbortSignal.abort(new RangeError("mine")) }), RangeError);
  assert.equal(between.seen.length, 0);
});
test("timeoutMs ends it", async () => {
  between.faults.push(silence);
  await assert.rejects(through().usage({ timeoutMs: 50 }), sdk.TimeoutError);
});
