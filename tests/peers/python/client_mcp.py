"""PyPI `mcp`: the official Python SDK, both eras."""

import asyncio
import sys
from contextlib import asynccontextmanager

from mcp import Client, MCPError, StdioServerParameters

import cases


class McpPeer:
    def __init__(self, client: Client) -> None:
        self.client = client
        self.version = str(client.protocol_version)

    async def tools(self):
        return [(tool.name, tool.input_schema) for tool in (await self.client.list_tools()).tools]

    async def call(self, name, arguments, progress=None):
        result = await self.client.call_tool(name, arguments, progress_callback=progress)
        return bool(result.is_error), "".join(block.text for block in result.content if block.type == "text")

    def error_code(self, error):
        return error.error.code if isinstance(error, MCPError) else None


@asynccontextmanager
async def connect(options: cases.Options):
    stdio = StdioServerParameters(command=options.command, args=options.args)
    target = options.url if options.transport == "http" else stdio
    async with Client(target, mode=options.mode) as client:
        yield McpPeer(client)


sys.exit(asyncio.run(cases.run(cases.parse_arguments(), connect)))
