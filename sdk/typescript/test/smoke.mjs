// What every runtime must do. Its arguments: the module to load, a server, and a proxy that does not answer its first request.
const [module, url, between] = process.argv.slice(2);
const { Batch, FerroMcpClient, InvalidArgumentsError } = await import(module);
const client = new FerroMcpClient({ baseUrl: url });
const names = [];
for await (const tool of client.tools({ limit: 1 })) names.push(tool.name);
const batch = new Batch();
const who = batch.add("echo", { msg: '{"name":"Ada"}' });
batch.add("echo", { msg: who.ref("/name") });
const requests = [{ tool: "echo", arguments: { msg: "a" } }];
const events = [];
for await (const event of client.callToolStream("batch_call", { requests })) events.push(event.type);
const controller = new AbortController();
controller.abort(new RangeError("mine"));
console.log(JSON.stringify({
  names,
  call: (await client.callTool("echo", { msg: "día" })).output,
  batch: (await client.batchCall(batch)).responses.map((response) => response.output),
  events,
  error: await client.callTool("echo", { msg: 7 }).catch((error) => error instanceof InvalidArgumentsError && error.rule),
  abort: await client.callTool("echo", { msg: "a" }, { signal: controller.signal }).catch((error) => error.name),
  late: await new FerroMcpClient({ baseUrl: between }).callTool("echo", {}, { timeoutMs: 200 }).catch((error) => error.name),
  nobody: await new FerroMcpClient({ baseUrl: "http://127.0.0.1:1" }).callTool("echo").catch((error) => error.name),
}));
