// The command `gen`, against the real server; what no server of ours would say comes from a false one.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";
import { emit } from "../dist/cli/emit.js";
import { FerroMcpClient, InvalidArgumentsError } from "../dist/esm/index.js";
import { CASES, LOOSER } from "./schema-cases.mjs";
import { serve } from "./support.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const program = fileURLToPath(new URL("tools-server.mjs", import.meta.url));
const KEY = "fmk_sdk_gen_key";
let directory, guarded;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "ferromcp-gen-"));
  mkdirSync(join(directory, "node_modules/@ferromcp"), { recursive: true });
  symlinkSync(root, join(directory, "node_modules/@ferromcp/sdk"));
  writeFileSync(join(directory, "package.json"), '{ "type": "module" }');
  const hash = createHash("sha256").update(KEY).digest("hex");
  guarded = await serve(`tenants: { a: { keys: ["sha256:${hash}"], tools: { allow: [echo] } } }\n`);
});
after(async () => { await guarded.stop(); rmSync(directory, { recursive: true }) });

/** A process: its exit code and what it printed. */
function run(file, args, env = {}) {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("FERROMCP_")));
  return new Promise((resolve) => execFile(file, args, { cwd: directory, env: { ...clean, ...env }, maxBuffer: 1 << 28 }, (error, out, err) =>
    resolve({ code: error === null ? 0 : error.code, out, err })));
}
const gen = (args, env) => run(process.execPath, [join(root, "dist/cli/main.js"), "gen", ...args], env);
const tsc = (...args) => run(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "--strict", "--exactOptionalPropertyTypes",
  "--target", "es2022", "--module", "nodenext", "--lib", "es2022,dom", "--types", "", ...args]);

/** A real server in front of one that offers `tools`. */
async function offer(tools) {
  const file = join(directory, "offered.json");
  writeFileSync(file, JSON.stringify(tools));
  return serve(`servers: { t: { command: ${JSON.stringify(process.execPath)}, args: [${JSON.stringify(program)}, ${JSON.stringify(file)}] } }\n`);
}
const tool = (name, properties = {}, more = {}) => ({ name, inputSchema: { type: "object", properties, ...more } });

/** A server that answers `/v1/tools` in its own way. */
async function pretend(answer) {
  const server = http.createServer((request, response) => answer(response, new URL(request.url, "http://a").searchParams.get("cursor")));
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, stop: () => { server.closeAllConnections(); server.close() } };
}
const lists = (tools, next = null) => (response) => {
  response.setHeader("content-type", "application/json");
  response.end(JSON.stringify({ tools, next_cursor: next }));
};
const listed = (name, more = {}) => ({ name, input_schema: { type: "object" }, source: "t", available: true, ...more });

test("types and server agree on what fits a schema", async () => {
  const all = [...Object.entries(CASES), ...Object.entries(LOOSER)];
  const server = await offer(all.map(([, { schema, defs }], at) => tool(`case${at}`, { v: schema }, { required: ["v"], ...(defs && { $defs: defs }) })));
  try {
    const done = await gen(["--url", server.url, "--out", "cases.ts"]);
    assert.equal(done.code, 0, done.err);
    const text = readFileSync(join(directory, "cases.ts"), "utf8");
    const client = new FerroMcpClient({ baseUrl: server.url });
    const lines = ['import * as made from "./cases.js";'];
    for (const [at, [name, { schema: _, good, bad, says, typed }]] of all.entries()) {
      const type = `made.TCase${at}Arguments`;
      for (const v of good) {
        assert.deepEqual((await client.callTool(`t__case${at}`, { v })).output, { v }, name);
        lines.push(`export const _${lines.length}: ${type} = ${JSON.stringify({ v })}; // ${JSON.stringify(name)}`);
      }
      for (const v of bad) {
        await assert.rejects(client.callTool(`t__case${at}`, { v }), InvalidArgumentsError, `${name}: ${JSON.stringify(v)}`);
        if (says === undefined || typed) lines.push(`// @ts-expect-error ${JSON.stringify(name)}\nexport const _${lines.length}: ${type} = ${JSON.stringify({ v })};`);
      }
      if (says !== undefined) assert.ok(text.includes(says), `${name}: ${says}`);
    }
    assert.ok(lines.length > 120);
    writeFileSync(join(directory, "check-cases.ts"), lines.join("\n"));
    assert.deepEqual(await tsc("--noEmit", "check-cases.ts"), { code: 0, out: "", err: "" });
  } finally {
    await server.stop();
  }
});

test("what cannot be relied on is unknown, and says why", async () => {
  const odd = {
    "refers to http://example.com/a, which is not in it": { $ref: "http://example.com/a" },
    "refers to #/$defs/none, which is not in it": { $ref: "#/$defs/none" },
    "its type \"text\" is none": { type: "text" },
    "required is no list of names": { required: true },
    "anyOf is no list of schemas": { anyOf: {} },
    "properties is no schema": { properties: { a: 1 } },
    "its dialect is unknown: http://example.com/schema": { $schema: "http://example.com/schema" },
    "it has more than 100 levels": Array(120).fill(0).reduce((inner) => ({ items: inner }), {}),
    "it is no schema": 7,
  };
  const tools = Object.values(odd).map((schema, at) => listed(`t${at}`, { output_schema: schema }));
  const text = emit(tools);
  for (const [at, why] of Object.keys(odd).entries()) {
    assert.ok(text.includes(why), why);
    assert.ok(text.includes(`export type T${at}Output = unknown;`), why);
  }
  const some = emit([
    listed("cycle", { output_schema: { $ref: "#/$defs/a", $defs: { a: { anyOf: [{ $ref: "#/$defs/a" }, { type: "string" }] } } } }),
    listed("moved", { output_schema: { properties: { a: { $ref: "#/$defs/a" } }, type: "object", $defs: { a: { $id: "http://a/b", type: "string" } } } }),
    listed("dynamic", { output_schema: { type: "object", properties: { a: { $dynamicRef: "#a" } } } }),
    listed("old", { output_schema: { $schema: "http://json-schema.org/draft-07/schema#", type: "object", properties: { a: { $ref: "#/definitions/b", type: "string" } }, definitions: { b: { type: "array", items: [{ type: "number" }], minItems: 1, additionalItems: false } } } }),
    listed("nullable", { output_schema: { type: "object", properties: { a: { type: "string", nullable: true } } } }),
    listed("huge", { output_schema: { type: "object", properties: { a: { enum: [12345678901234567890n.toString() && 12345678901234567890] } } } }),
  ]);
  for (const wanted of ["refers to itself", "depends on an $id", "a dynamic reference", "export type OldOutputB = [number];", "a?: string | null", "{ a?: number }"]) {
    assert.ok(some.includes(wanted), `${wanted} in ${some}`);
  }
  writeFileSync(join(directory, "odd.ts"), text);
  writeFileSync(join(directory, "some.ts"), some);
  assert.deepEqual(await tsc("--noEmit", "odd.ts", "some.ts"), { code: 0, out: "", err: "" });
});

test("the same tools give the same file, in whatever order", () => {
  const properties = { b: { type: "string" }, a: { type: "number" } };
  const first = listed("x", { input_schema: { type: "object", properties, required: ["a", "b"] } });
  const turned = listed("x", { input_schema: { required: ["b", "a"], properties: { a: properties.a, b: properties.b }, type: "object" } });
  assert.equal(emit([first, listed("y")]), emit([listed("y"), turned]));
});

test("hostile names and texts stay names and texts", async () => {
  const attack = "*/ globalThis.broken = true; /* ${globalThis.broken = true} ` \\ ' \" \u2028 \u202e \0 \ud800 @ts-nocheck\n@ts-ignore\n// @deprecated {@link x}";
  const names = [attack, "__proto__", "constructor", "then", "default", "a-b", "a_b", "a b", "日本", "1", "", "tools", "👩‍👩‍👧", "\"];globalThis.broken = true;//"];
  const schema = { type: "object", title: attack, properties: Object.fromEntries([[attack, { description: attack, enum: [attack], default: attack }], ["x", { $ref: `#/$defs/${encodeURIComponent(attack.replace("\ud800", "").replaceAll("~", "~0").replaceAll("/", "~1"))}` }]]), $defs: { [attack.replace("\ud800", "")]: { type: "string", description: attack } }, patternProperties: { [attack]: { type: "string", pattern: attack } } };
  const wild = JSON.parse('{"type":"object","properties":{"__proto__":{"type":"number"}},"required":["__proto__"]}');
  const tools = names.map((name, at) => listed(name, { description: attack, title: attack, input_schema: at === 1 ? wild : schema, output_schema: { type: "object", $ref: `http://${attack}` } }));
  const server = await pretend((response) => lists(tools)(response));
  try {
    const done = await gen(["--url", server.url, "--out", "hostile.ts"]);
    assert.equal(done.code, 0, done.err);
  } finally {
    server.stop();
  }
  const text = readFileSync(join(directory, "hostile.ts"), "utf8");
  assert.doesNotMatch(text, /[\u2028\u202e\0]|^\s*\*?\s*@/mu);
  assert.match(text, /export type ABArguments = [^]*export type ABArguments2 = [^]*export type ABArguments3 = /);
  writeFileSync(join(directory, "check-hostile.ts"), 'import * as made from "./hostile.js";\nexport const a: made.ProtoArguments = JSON.parse("{}");\nconst n: number = a.__proto__;\nvoid n;\n');
  const compiled = await tsc("check-hostile.ts");
  assert.deepEqual(compiled, { code: 0, out: "", err: "" });
  const { tools: make } = await import(pathToFileURL(join(directory, "hostile.js")));
  const sent = [];
  const functions = make({ callTool: (name, args) => { sent.push([name, args]); return Promise.resolve() } });
  assert.deepEqual(new Set(Object.keys(functions)), new Set(names));
  for (const name of names) await Object.getOwnPropertyDescriptor(functions, name).value({ given: name });
  assert.deepEqual(sent, names.map((name) => [name, { given: name }]));
  assert.equal(globalThis.broken, undefined);
});

const USE = `
import { FerroMcpClient } from "@ferromcp/sdk";
import { stream, tools } from "./weather.js";
const client = new FerroMcpClient({ baseUrl: process.argv[2]! });
declare const process: { argv: string[] };
const { output } = await tools(client).t__weather({ city: "Oslo", days: 2 });
const city: string = output.city;
console.log(city);
for await (const event of stream(client, "t__weather", { city: "Rome" })) if (event.type === "result") console.log(event.output.city);
`;
const shape = { type: "object", properties: { city: { type: "string" }, days: { type: "integer" } }, required: ["city"] };
const weather = (change = {}) => ({ name: "weather", description: "The weather.", inputSchema: shape, outputSchema: shape, ...change });

test("the client that is made works, and a change of the tool no longer compiles where it is used", async () => {
  writeFileSync(join(directory, "use.ts"), USE);
  let server = await offer([weather()]);
  try {
    assert.equal((await gen(["--url", server.url, "--out", "weather.ts"])).code, 0);
    assert.deepEqual(await tsc("use.ts"), { code: 0, out: "", err: "" });
    assert.deepEqual(await run(process.execPath, ["use.js", server.url]), { code: 0, out: "Oslo\nRome\n", err: "" });
    const again = await gen(["--url", server.url, "--out", "weather.ts", "--check"]);
    assert.deepEqual(again, { code: 0, out: "", err: "weather.ts is up to date: 2 tools\n" });
  } finally {
    await server.stop();
  }
  const needs = (changed) => ({ ...shape, ...changed });
  for (const [tools, where] of [
    [[weather({ name: "forecast" })], /use\.ts\(6,.*t__weather/],
    [[weather({ inputSchema: needs({ required: ["city", "days", "unit"] }) })], /use\.ts\(6,.*unit/s],
    [[weather({ inputSchema: needs({ properties: { city: { type: "string" }, days: { type: "string" } } }) })], /use\.ts\(6,.*not assignable to type 'string'/],
    [[weather({ inputSchema: needs({ properties: { city: { type: "string" } } }) })], /use\.ts\(6,.*'days' does not exist/],
    [[weather({ outputSchema: needs({ properties: { city: { type: "number" } } }) })], /use\.ts\(7,.*not assignable to type 'string'/],
    [[weather({ outputSchema: undefined })], /use\.ts\(7,.*unknown/],
  ]) {
    server = await offer(tools);
    try {
      const before = readFileSync(join(directory, "weather.ts"), "utf8");
      const check = await gen(["--url", server.url, "--out", "weather.ts", "--check"]);
      assert.equal(check.code, 1);
      assert.match(check.err, /^weather\.ts differs from the server's tools: line \d+\n  in the file: .+\n  now: +.+\nRun the same without --check/);
      assert.equal(readFileSync(join(directory, "weather.ts"), "utf8"), before);
      assert.equal((await gen(["--url", server.url, "--out", "weather.ts"])).code, 0);
      const compiled = await tsc("--noEmit", "use.ts");
      assert.notEqual(compiled.code, 0);
      assert.match(compiled.out, where);
    } finally {
      await server.stop();
    }
  }
});

test("all pages are read, and a big list is made quickly and compiles", async () => {
  const server = await offer(Array.from({ length: 1500 }, (_, at) => tool(`tool${at}`, { a: { type: "string" } })));
  try {
    const done = await gen(["--url", server.url, "--out", "many.ts"]);
    assert.equal(done.err, "many.ts: 1501 tools\n");
    assert.equal(readFileSync(join(directory, "many.ts"), "utf8").match(/callTool</g).length, 1501);
    assert.deepEqual(await tsc("--noEmit", "many.ts"), { code: 0, out: "", err: "" });
  } finally {
    await server.stop();
  }
});

test("the key of a tenant shows its tools, from the option and the variable", async () => {
  const option = await gen(["--url", guarded.url, "--key", KEY, "--out", "-"]);
  const variable = await gen(["--out", "-"], { FERROMCP_TENANT_KEY: KEY, FERROMCP_URL: guarded.url });
  assert.deepEqual(option, variable);
  assert.match(option.out, /client\.callTool<unknown>\("echo", args, options\)/);
  assert.equal(option.code, 0);
});
test("no key and a wrong key", async () => {
  assert.match((await gen(["--url", guarded.url])).err, /^error: http:.*give a key with --key or FERROMCP_TENANT_KEY\n$/);
  const wrong = await gen(["--url", guarded.url, "--key", "fmk_nobody"]);
  assert.match(wrong.err, /is the key right, and for this server\?\n$/);
  assert.doesNotMatch(wrong.err, /fmk_/);
  assert.equal(wrong.code, 2);
});

test("the example of the README", async () => {
  const [, text] = /```ts\n([^]*?)```/.exec(readFileSync(join(root, "README.md"), "utf8"));
  const server = await serve("builtin: {}\n");
  try {
    assert.equal((await gen(["--url", server.url, "--out", "tools.ts"])).code, 0);
    writeFileSync(join(directory, "example.ts"), text.replaceAll("http://127.0.0.1:8080", server.url));
    assert.deepEqual(await tsc("example.ts"), { code: 0, out: "", err: "" });
    assert.deepEqual(await run(process.execPath, ["example.js"]), { code: 0, out: "hello\n", err: "" });
  } finally {
    await server.stop();
  }
});

const FALSE = {
  "a page of HTML": [(response) => response.writeHead(404).end("<html>"), /\(status 404\).*is --url the address of FerroMCP, without \/mcp or \/v1\?/],
  "other JSON": [(response) => response.end("{}"), /is this FerroMCP\?/],
  "a tool without a name": [lists([{}]), /a tool without a name/],
  "a tool that is null": [lists([null]), /a tool without a name/],
  "a tool twice": [lists([listed("a"), listed("a")]), /lists "a" twice/],
  "no tool": [lists([]), /lists no tool/],
  "the same page for ever": [(response, cursor) => lists(cursor === null ? [listed("a")] : [], "again")(response), /same page again and again/],
  "pages without end": [(response, cursor) => lists(Array.from({ length: 1000 }, (_, at) => listed(`${cursor}.${at}`)), `${Number(cursor) + 1}`)(response), /more than 10000 tools/],
  "bytes without end": [(response) => {
    response.setHeader("content-type", "application/json");
    const chunk = Buffer.alloc(1 << 20, 32);
    const more = () => { if (!response.destroyed) response.write(chunk, more) };
    more();
  }, /larger than 64 MiB/],
  "no answer": [() => undefined, /no answer within 200 ms; --timeout gives it longer/],
  "a connection that ends": [(response) => response.destroy(), /cannot be reached.*is the server running, and is --url right\?/],
  "a redirect": [(response) => response.writeHead(302, { location: "/" }).end(), /cannot be reached/],
};
for (const [what, [answer, message]] of Object.entries(FALSE)) {
  test(`a server with ${what}`, async () => {
    const server = await pretend(answer);
    try {
      const done = await gen(["--url", server.url, "--out", "none.ts", "--timeout", what === "no answer" ? "0.2" : "30"]);
      assert.match(done.err, message);
      assert.match(done.err, /^error: [^\n]*\n$/);
      assert.equal(done.code, 2);
      assert.ok(!readdirSync(directory).some((name) => name.startsWith("none.ts")));
    } finally {
      server.stop();
    }
  });
}
test("a part of the server that is down is told of", async () => {
  const server = await pretend((response) => response.end(JSON.stringify({ tools: [listed("a")], next_cursor: null, status: "degraded", sources: [{ name: "b", state: "down" }] })));
  try {
    const done = await gen(["--url", server.url, "--out", "-"]);
    assert.equal(done.err, "warning: not ready, so tools may be missing: b (down)\n");
    assert.equal(done.code, 0);
  } finally {
    server.stop();
  }
});

for (const [args, message] of [
  [["--nothing"], /'--nothing'.*--help shows all options/],
  [["--url", "ftp://a"], /--url ftp:\/\/a: .*as in http/],
  [["--url", "nothing"], /--url nothing: /],
  [["--timeout", "soon"], /--timeout soon: a number of seconds above 0/],
  [["--out", "-", "--check"], /--check compares with a file/],
  [["more"], /unknown: more\. The command is gen/],
]) {
  test(`gen ${args.join(" ")} is refused`, async () => {
    const done = await gen(args);
    assert.equal(done.code, 2);
    assert.match(done.err, message);
  });
}
test("help and version", async () => {
  assert.match((await gen(["--help"])).out, /^Writes a typed TypeScript client[^]*--check/);
  const { out } = await run(process.execPath, [join(root, "dist/cli/main.js"), "--version"]);
  assert.equal(out.trim(), JSON.parse(readFileSync(join(root, "package.json"), "utf8")).version);
  assert.match((await run(process.execPath, [join(root, "dist/cli/main.js")])).err, /no command is given/);
});
test("a file of somebody else is left alone, one that cannot be written is an error, and an unchanged one is not touched", async () => {
  const options = ["--url", guarded.url, "--key", KEY, "--out"];
  writeFileSync(join(directory, "mine.ts"), "export const mine = 1;\n");
  assert.match((await gen([...options, "mine.ts"])).err, /mine\.ts was not made by this command/);
  assert.equal(readFileSync(join(directory, "mine.ts"), "utf8"), "export const mine = 1;\n");
  assert.match((await gen([...options, "none/tools.ts"])).err, /none\/tools\.ts cannot be written/);
  assert.match((await gen([...options, "none/tools.ts", "--check"])).err, /does not exist\nRun the same without --check/);
  assert.match((await gen([...options, "."])).err, /cannot be read/);
  assert.equal((await gen([...options, "same.ts"])).code, 0);
  const { ino } = statSync(join(directory, "same.ts"));
  writeFileSync(join(directory, "same.ts"), readFileSync(join(directory, "same.ts"), "utf8").replaceAll("\n", "\r\n"));
  assert.equal((await gen([...options, "same.ts", "--check"])).code, 0);
  assert.equal((await gen([...options, "same.ts"])).code, 0);
  assert.equal(statSync(join(directory, "same.ts")).ino, ino);
});
