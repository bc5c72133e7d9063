// @modelcontextprotocol/client 2.x: speaks both eras; the modern one is pinned here, so nothing falls back unseen.

import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import { StdioClientTransport } from '@modelcontextprotocol/client/stdio';
import { MODERN, parseArguments, runAll } from './cases.mjs';

const options = parseArguments();

await runAll(options, async () => {
  const mode = options.era === 'modern' ? { pin: MODERN } : 'legacy';
  const client = new Client({ name: 'peer-client-2', version: '1.0.0' }, { versionNegotiation: { mode } });
  const transport =
    options.transport === 'http'
      ? new StreamableHTTPClientTransport(new URL(options.url))
      : new StdioClientTransport({ command: options.command, args: options.args, stderr: 'inherit' });
  await client.connect(transport);
  return {
    version: client.getNegotiatedProtocolVersion(),
    listTools: () => client.listTools(),
    callTool: (name, input, more) => client.callTool({ name, arguments: input }, more),
    close: async () => {
      if (options.era === 'legacy') await transport.terminateSession?.();
      await client.close();
    },
  };
});
