"""PyPI `mcp` with a client certificate. Arguments: URL CA CERTIFICATE KEY_FILE. Prints what each era got."""

import asyncio
import json
import ssl
import sys

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

MODERN = "2026-07-28"


async def main() -> None:
    url, ca, certificate, key = sys.argv[1:5]
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(certificate, key)
    answers = {}
    for mode in (MODERN, "legacy"):
        async with httpx2.AsyncClient(verify=context, timeout=60) as http:
            async with Client(streamable_http_client(url, http_client=http), mode=mode) as client:
                result = await client.call_tool("echo", {"msg": "hi"})
                answers[mode] = result.content[0].text
    print(json.dumps(answers))


asyncio.run(main())
