// An MCP server on stdio that offers the tools of a JSON file. A call gives back its arguments, and is a line in the second file.
import { appendFileSync, readFileSync } from "node:fs";
import { createInterface } from "node:readline";

const tools = JSON.parse(readFileSync(process.argv[2], "utf8"));
const answers = {
  initialize: ({ protocolVersion }) => ({ protocolVersion, capabilities: { tools: {} }, serverInfo: { name: "tools", version: "1" } }),
  "tools/list": () => ({ tools }),
  "tools/call": ({ arguments: given }) => {
    if (process.argv[3]) appendFileSync(process.argv[3], `${JSON.stringify(given)}\n`);
    return { content: [{ type: "text", text: "done" }], structuredContent: given };
  },
  ping: () => ({}),
};
for await (const line of createInterface({ input: process.stdin })) {
  const { id, method, params } = JSON.parse(line);
  if (id === undefined) continue;
  const answer = Object.hasOwn(answers, method) ? { result: answers[method](params) } : { error: { code: -32601, message: "no such method" } };
  process.stdout.write(`${JSON.stringify({ jsonrpc: "2.0", id, ...answer })}\n`);
}
