// The package as it would be published.
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import * as esm from "../dist/esm/index.js";
import { serve } from "./support.mjs";

const root = fileURLToPath(new URL("..", import.meta.url));
const require = createRequire(import.meta.url);
const run = (program, ...rest) => execFileSync(program, rest, { cwd: root, encoding: "utf8", stdio: "pipe" });
const tool = (name, ...rest) => run(process.execPath, join(root, "node_modules", name), ...rest);
let directory, packed;

before(() => {
  directory = mkdtempSync(join(tmpdir(), "ferromcp-pack-"));
  [packed] = JSON.parse(run("npm", "pack", "--ignore-scripts", "--json", "--pack-destination", directory));
});
after(() => rmSync(directory, { recursive: true }));

test("the package has its two builds, its description and nothing else", () => {
  const files = packed.files.map((file) => file.path).sort();
  const built = ["cjs", "cli", "esm"].flatMap((kind) => readdirSync(join(root, "dist", kind)).map((name) => `dist/${kind}/${name}`));
  assert.deepEqual(files, ["README.md", "package.json", ...built].sort());
  assert.ok(packed.size < 40_000, `${packed.size} bytes`);
});
test("the package depends on nothing", () => {
  const description = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  assert.equal(description.dependencies, undefined);
  assert.equal(description.peerDependencies, undefined);
});
test("installed, it has its command", () => {
  const place = join(directory, "installed");
  mkdirSync(place);
  writeFileSync(join(place, "package.json"), "{}");
  const npm = (...rest) => execFileSync("npm", rest, { cwd: place, encoding: "utf8", stdio: "pipe" });
  npm("install", "--offline", "--no-audit", "--no-fund", join(directory, packed.filename));
  assert.deepEqual(readdirSync(join(place, "node_modules/@ferromcp")), ["sdk"]);
  assert.equal(execFileSync("npx", ["--no-install", "@ferromcp/sdk", "--version"], { cwd: place, encoding: "utf8" }).trim(), packed.version);
});
test("publint finds nothing", () => assert.match(tool("publint/src/cli.js", join(directory, packed.filename), "--strict"), /All good/));
test("are the types wrong: no, however they are resolved", () => {
  tool("@arethetypeswrong/cli/dist/index.js", join(directory, packed.filename), "--no-color");
});
test("require gives what import gives", () => {
  assert.deepEqual(Object.keys(require("../dist/cjs/index.js")).sort(), Object.keys(esm).sort());
});
test("no module of Node is used: browsers have none", () => {
  for (const kind of ["cjs", "esm"]) {
    for (const name of readdirSync(join(root, "dist", kind)).filter((name) => name.endsWith(".js"))) {
      const text = readFileSync(join(root, "dist", kind, name), "utf8").replaceAll(/\/\*\*[^]*?\*\//g, "");
      for (const [, from] of text.matchAll(/(?:from\s+|require\(|import\()"([^"]+)"/g)) assert.match(from, /^\.\//, name);
      assert.doesNotMatch(text, /\b(process|Buffer|__dirname)\b/, name);
    }
  }
});
test("the examples of the README run, in both module formats", async () => {
  const server = await serve("builtin: { batch: true }\n");
  try {
    const examples = [...readFileSync(join(root, "README.md"), "utf8").matchAll(/```(js|cjs)\n([^]*?)```/g)];
    assert.ok(examples.length >= 5);
    for (const [number, [, kind, text]] of examples.entries()) {
      const file = join(directory, `example${number}.${kind === "js" ? "mjs" : "cjs"}`);
      const from = join(root, "dist", kind === "js" ? "esm" : "cjs", "index.js");
      writeFileSync(file, text.replaceAll("@ferromcp/sdk", from).replaceAll("http://127.0.0.1:8080", server.url));
      const said = await new Promise((resolve, reject) => {
        import("node:child_process").then(({ execFile }) =>
          execFile(process.execPath, [file], (error, out) => (error ? reject(error) : resolve(out))));
      });
      const wanted = [...text.matchAll(/\/\/ prints: (.*)/g)].map(([, line]) => line);
      assert.deepEqual(said.trim().split("\n"), wanted, text);
    }
  } finally {
    await server.stop();
  }
});
