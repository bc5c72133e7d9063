"""An MCP server whose tool never answers. It tells the test by a socket when a call begins and when it is cancelled."""

from __future__ import annotations

import json
import socket
import sys
from typing import Any


def send(message: dict[str, Any]) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def main() -> None:
    test = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    tool = {"name": "wait", "inputSchema": {"type": "object"}}
    for line in sys.stdin:
        message = json.loads(line)
        method, id = message.get("method"), message.get("id")
        if method == "initialize":
            version = message["params"]["protocolVersion"]
            info = {"name": "slow", "version": "1"}
            send({"id": id, "result": {"protocolVersion": version, "capabilities": {"tools": {}}, "serverInfo": info}})
        elif method == "tools/list":
            send({"id": id, "result": {"tools": [tool]}})
        elif method == "tools/call":
            token = message["params"].get("_meta", {}).get("progressToken")
            if token is not None:
                send({"method": "notifications/progress", "params": {"progressToken": token, "progress": 1}})
            test.sendall(b"began\n")
        elif method == "notifications/cancelled":
            test.sendall(b"cancelled\n")
        elif id is not None:
            send({"id": id, "result": {}})


if __name__ == "__main__":
    main()
