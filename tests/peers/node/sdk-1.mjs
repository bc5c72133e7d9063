// @modelcontextprotocol/sdk 1.x: the library most hosts of the legacy era are built on.

import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { parseArguments, runAll } from './cases.mjs';

const options = parseArguments();

await runAll(options, async () => {
  const client = new Client({ name: 'peer-sdk-1', version: '1.0.0' });
  const transport =
    options.transport === 'http'
      ? new StreamableHTTPClientTransport(new URL(options.url))
      : new StdioClientTransport({ command: options.command, args: options.args, stderr: 'inherit' });
  let version;
  const setProtocolVersion = transport.setProtocolVersion?.bind(transport);
  transport.setProtocolVersion = (negotiated) => {
    version = negotiated;
    setProtocolVersion?.(negotiated);
  };
  await client.connect(transport);
  return {
    version,
    listTools: () => client.listTools(),
    callTool: (name, input, more) => client.callTool({ name, arguments: input }, undefined, more),
    close: async () => {
      await transport.terminateSession?.();
      await client.close();
    },
  };
});
