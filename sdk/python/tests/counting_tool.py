"""An MCP server with two tools: `note` gives its arguments back, `wait` never answers. It tells the test of each call, and of each
that is cancelled, and goes on once the test knows."""

from __future__ import annotations

import json
import socket
import sys
from typing import Any


def send(message: dict[str, Any]) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def main() -> None:
    test = socket.create_connection(("127.0.0.1", int(sys.argv[1])))

    def tell(what: bytes) -> None:
        test.sendall(what + b"\n")
        test.recv(1)

    tools = [{"name": name, "inputSchema": {"type": "object"}} for name in ("note", "wait")]
    for line in sys.stdin:
        message = json.loads(line)
        method, id, params = message.get("method"), message.get("id"), message.get("params", {})
        if method == "initialize":
            info = {"name": "counting", "version": "1"}
            result = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}}, "serverInfo": info}
            send({"id": id, "result": result})
        elif method == "tools/list":
            send({"id": id, "result": {"tools": tools}})
            tell(b"listed")
        elif method == "tools/call":
            given = params.get("arguments", {})
            if params["name"] == "wait":
                token = params.get("_meta", {}).get("progressToken")
                if token is not None:
                    send({"method": "notifications/progress", "params": {"progressToken": token, "progress": 1}})
                tell(b"began")
                continue
            tell(b"began")
            send({"id": id, "result": {"content": [{"type": "text", "text": "done"}], "structuredContent": given}})
        elif method == "notifications/cancelled":
            tell(b"cancelled")
        elif id is not None:
            send({"id": id, "result": {}})


if __name__ == "__main__":
    main()
