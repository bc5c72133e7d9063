// The reference: it is made without a warning, what it says is complete, and its examples do what they say.
import assert from "node:assert/strict";
import { execFile, execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { serve } from "./support.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const make = (...rest) => promisify(execFile)(process.execPath, [join(root, "docs-tool/make.mjs"), ...rest]);
const sources = readdirSync(join(root, "src"));
let directory, pages;

before(async () => {
  directory = mkdtempSync(join(tmpdir(), "ferromcp-docs-"));
  pages = join(directory, "docs");
  await make("--out", pages);
});
after(() => rmSync(directory, { recursive: true }));

const page = (name) => readFileSync(join(pages, name), "utf8");

test("the landing page is the README, and every export has a page in a category", () => {
  assert.match(page("index.html"), /npm pack/);
  assert.match(page("index.html"), /href="https:[^"]+\/blob\/main\/docs\/batch\.md"/);
  assert.equal(page("index.html").match(/<h1/g).length, 1);
  const index = readFileSync(join(root, "src/index.ts"), "utf8");
  const listed = page("modules.html");
  const exports = [...index.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(([, names]) => names.split(","))
    .concat([...readFileSync(join(root, "src/types.ts"), "utf8").matchAll(/^export (?:type|interface) (\w+)/gm)].map(([, name]) => name))
    .map((name) => name.trim().replace("type ", "")).filter((name) => name !== "");
  assert.ok(exports.length > 40);
  for (const name of exports) assert.match(listed, new RegExp(`href="(classes|functions|interfaces|types)/${name}\\.html"`), name);
  assert.doesNotMatch(listed, /<h2>[^<]*Other/, "all have a category");
  assert.doesNotMatch(page("classes/ToolError.html"), /Constructors/, "errors are made by the client");
});
test("every link of the reference leads somewhere", () => {
  let links = 0;
  for (const name of readdirSync(pages, { recursive: true }).filter((name) => name.endsWith(".html"))) {
    for (const [, address] of page(name).matchAll(/\shref="([^"]*)"/g)) {
      if (/^https?:/.test(address)) continue;
      const [path, fragment] = address.split("#");
      const file = path === "" ? name : join(dirname(name), path);
      assert.ok(existsSync(join(pages, file)), `${name}: ${address}`);
      if (fragment) assert.ok(page(file).includes(`id="${fragment}"`), `${name}: ${address}`);
      links += 1;
    }
  }
  assert.ok(links > 1000, `${links}`);
});
test("what has no comment, is not exported or is linked to nowhere is refused", async () => {
  const copy = join(directory, "copy");
  for (const name of ["src", "README.md", "package.json", "tsconfig.json"]) cpSync(join(root, name), join(copy, name), { recursive: true });
  const change = (name, from, to) => {
    const text = readFileSync(join(copy, "src", name), "utf8");
    assert.ok(text.includes(from), from);
    writeFileSync(join(copy, "src", name), text.replace(from, to));
  };
  change("types.ts", "  /** Name for people. */\n", "");
  change("client.ts", "{@link ConnectionError}", "{@link ConnectionErrors}");
  change("index.ts", "type BatchHandle, ", "");
  const out = join(directory, "refused");
  await assert.rejects(make("--package", copy, "--out", out), ({ code, stderr }) => {
    assert.equal(code, 1);
    assert.match(stderr, /Tool\.title .*does not have any documentation/);
    assert.match(stderr, /ConnectionErrors/);
    assert.match(stderr, /BatchHandle, .*is referenced by .* but not included/);
    return true;
  });
  assert.ok(!existsSync(out));
});
test("the examples of the comments have the types they use, and run", async () => {
  const place = join(directory, "examples");
  mkdirSync(join(place, "node_modules/@ferromcp"), { recursive: true });
  symlinkSync(root, join(place, "node_modules/@ferromcp/sdk"));
  const server = await serve("builtin: { batch: true }\n");
  try {
    const examples = sources.flatMap((name) =>
      [...readFileSync(join(root, "src", name), "utf8").matchAll(/```ts\n([^]*?)\n \s*\* ```/g)]
        .map(([, text], number) => ({ name: `${name.replace(".ts", "")}${number}`, text: text.replaceAll(/^ +\* ?/gm, "") })));
    assert.ok(examples.length >= 10, `${examples.length}`);
    writeFileSync(join(place, "package.json"), '{ "type": "module" }');
    writeFileSync(join(place, "tsconfig.json"), JSON.stringify({
      compilerOptions: { target: "ES2022", lib: ["ES2023", "DOM"], types: [], module: "nodenext", strict: true, noUnusedLocals: true, outDir: "out", rootDir: "." },
      include: ["*.ts"],
    }));
    for (const { name, text } of examples) writeFileSync(join(place, `${name}.ts`), text.replaceAll("http://127.0.0.1:8080", server.url));
    execFileSync(process.execPath, [join(root, "node_modules/typescript/bin/tsc"), "-p", place], { stdio: "pipe", encoding: "utf8" });
    for (const { name, text } of examples) {
      const { stdout } = await promisify(execFile)(process.execPath, [join(place, "out", `${name}.js`)]);
      const wanted = [...text.matchAll(/\/\/ prints: (.*)/g)].map(([, line]) => line);
      assert.ok(wanted.length > 0, text);
      assert.deepEqual(stdout.trimEnd().split("\n"), wanted, text);
    }
  } finally {
    await server.stop();
  }
});
