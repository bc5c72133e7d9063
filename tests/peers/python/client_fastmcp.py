"""PyPI `fastmcp`: the most used Python framework's client, both eras."""

import asyncio
import sys
from contextlib import asynccontextmanager

from fastmcp import Client
from fastmcp.client.transports import StdioTransport, StreamableHttpTransport
from mcp import MCPError

import cases


class FastMcpPeer:
    def __init__(self, client: Client) -> None:
        self.client = client
        self.version = str(client.protocol_version)

    async def tools(self):
        return [(tool.name, tool.input_schema) for tool in await self.client.list_tools()]

    async def call(self, name, arguments, progress=None):
        result = await self.client.call_tool(name, arguments, progress_handler=progress, raise_on_error=False)
        return bool(result.is_error), "".join(block.text for block in result.content if block.type == "text")

    def error_code(self, error):
        return error.error.code if isinstance(error, MCPError) else None


@asynccontextmanager
async def connect(options: cases.Options):
    if options.transport == "http":
        transport = StreamableHttpTransport(options.url)
    else:
        transport = StdioTransport(options.command, options.args, keep_alive=False)
    async with Client(transport, mode=options.mode) as client:
        yield FastMcpPeer(client)


sys.exit(asyncio.run(cases.run(cases.parse_arguments(), connect)))
