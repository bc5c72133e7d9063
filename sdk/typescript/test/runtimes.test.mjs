// The ESM build in other runtimes than this one, against the real server.
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { proxy, serve, silence } from "./support.mjs";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const RUNTIMES = {
  node: [process.execPath],
  deno: [path("../node_modules/.bin/deno"), "run", "--allow-net=127.0.0.1", "--allow-read"],
  bun: [path("../node_modules/.bin/bun"), "run"],
};
for (const [name, [program, ...args]] of Object.entries(RUNTIMES)) {
  test(`${name}: list, call, batch, stream, errors, abort, time limit`, async () => {
    const server = await serve("builtin: { batch: true }\n");
    const between = await proxy(server.url);
    between.faults.push(silence);
    try {
      const said = await new Promise((resolve, reject) =>
        execFile(program, [...args, path("smoke.mjs"), path("../dist/esm/index.js"), server.url, between.url], (error, out) => (error ? reject(error) : resolve(out))));
      assert.deepEqual(JSON.parse(said), {
        names: ["echo", "batch_call"], call: "día", batch: ['{"name":"Ada"}', "Ada"], events: ["progress", "result"],
        error: "schema.arguments", abort: "RangeError", late: "TimeoutError", nobody: "ConnectionError",
      });
    } finally {
      await between.stop();
      await server.stop();
    }
  });
}
