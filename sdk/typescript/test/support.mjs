// The real server, and a proxy in front of it that breaks things.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const BINARY = process.env.FERROMCP_BIN ?? fileURLToPath(new URL("../../../target/debug/ferromcp", import.meta.url));

/** Starts `ferromcp serve` with a configuration; `DIR` in it is a directory of its own. */
export async function serve(config) {
  const directory = mkdtempSync(join(tmpdir(), "ferromcp-sdk-"));
  writeFileSync(join(directory, "hello.txt"), "hello from a file");
  const file = join(directory, "ferromcp.yaml");
  writeFileSync(file, config.replaceAll("DIR", directory));
  const child = spawn(BINARY, ["serve", "--config", file, "--addr", "127.0.0.1:0"], { stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  const url = await new Promise((resolve, reject) => {
    child.stderr.on("data", (data) => {
      said += data;
      const found = /http:\/\/127\.0\.0\.1:\d+(?=\/mcp\s)/.exec(said);
      if (found) resolve(found[0]);
    });
    child.on("error", reject);
    child.on("exit", () => reject(new Error(`the server did not start: ${said}`)));
  });
  return {
    url,
    directory,
    async stop() {
      const ended = new Promise((resolve) => child.once("exit", resolve));
      child.kill("SIGTERM");
      await ended;
      rmSync(directory, { recursive: true });
    },
  };
}

/** Passes requests on to `target`, after the faults that are queued in `faults`: (request, response) => void. */
export async function proxy(target) {
  const faults = [];
  const seen = [];
  const server = http.createServer((request, response) => {
    seen.push(request);
    const fault = faults.shift();
    if (fault) return fault(request, response);
    const headers = { ...request.headers, host: new URL(target).host };
    const onward = http.request(target + request.url, { method: request.method, headers }, (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    });
    response.on("close", () => onward.destroy());
    onward.on("error", () => response.destroy());
    request.pipe(onward);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    faults,
    seen,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A fault: an answer of its own. */
export const answer = (status, body, headers = {}) => (request, response) => {
  request.resume();
  response.writeHead(status, { "content-type": "application/json", ...headers });
  response.end(typeof body === "string" ? body : JSON.stringify(body));
};
export const refuse = (status, error, headers) => answer(status, { success: false, error: { message: "injected", ...error } }, headers);
/** A fault: the connection ends without an answer. */
export const hangUp = (request) => request.socket.destroy();
/** A fault: nothing at all, until the client goes. */
export const silence = () => undefined;
