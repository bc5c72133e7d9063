// A small server on @modelcontextprotocol/server 2.x, of both eras: the known-good side when a client script is
// checked, and an upstream of the modern era. Usage: reference-server.mjs stdio | reference-server.mjs http PORT

import { createServer } from 'node:http';
import { createMcpHandler, fromJsonSchema, McpServer } from '@modelcontextprotocol/server';
import { serveStdio } from '@modelcontextprotocol/server/stdio';

const schema = (properties) =>
  fromJsonSchema({ type: 'object', properties, required: Object.keys(properties), additionalProperties: false });

function build() {
  const server = new McpServer({ name: 'reference', version: '1.0.0' });
  const text = (value) => ({ content: [{ type: 'text', text: value }] });
  server.registerTool('echo', { description: 'Says it again', inputSchema: schema({ msg: { type: 'string' } }) }, async ({ msg }) =>
    text(msg),
  );
  server.registerTool(
    'count',
    { description: 'Counts with progress', inputSchema: schema({ to: { type: 'integer', minimum: 1, maximum: 100 } }) },
    async ({ to }, ctx) => {
      const progressToken = ctx.mcpReq._meta?.progressToken;
      for (let progress = 1; progress <= to && progressToken !== undefined; progress += 1) {
        await ctx.mcpReq.notify({ method: 'notifications/progress', params: { progressToken, progress, total: to } });
        // The clients of this family lose a notification that arrives in one read with the result.
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
      return text(`counted to ${to}`);
    },
  );
  server.registerTool(
    'wait',
    { description: 'Waits, or stops when cancelled', inputSchema: schema({ seconds: { type: 'number', minimum: 0, maximum: 600 } }) },
    async ({ seconds }, ctx) => {
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, seconds * 1000);
        ctx.mcpReq.signal.addEventListener('abort', () => resolve(clearTimeout(timer)));
      });
      return text('done');
    },
  );
  return server;
}

async function toFetch(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = ['GET', 'HEAD'].includes(request.method) ? undefined : Buffer.concat(chunks);
  const abort = new AbortController();
  return { abort, request: new Request(`http://${request.headers.host}${request.url}`, { method: request.method, headers: request.headers, body, signal: abort.signal }) };
}

const [mode, port] = process.argv.slice(2);
if (mode === 'stdio') {
  serveStdio(build);
} else if (mode === 'http') {
  const handler = createMcpHandler(build);
  createServer(async (incoming, outgoing) => {
    try {
      const { abort, request } = await toFetch(incoming);
      outgoing.on('close', () => abort.abort());
      const answer = await handler.fetch(request);
      outgoing.writeHead(answer.status, Object.fromEntries(answer.headers));
      if (answer.body) for await (const chunk of answer.body) outgoing.write(chunk);
    } catch (error) {
      if (!outgoing.headersSent) outgoing.writeHead(500);
      console.error(error);
    }
    outgoing.end();
  }).listen(Number(port), '127.0.0.1');
} else {
  console.error('usage: reference-server.mjs stdio | reference-server.mjs http PORT');
  process.exit(2);
}
