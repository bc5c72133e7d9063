"""An MCP server over stdio (2025-11-25) that does one thing at a time, as simple servers do.

Tools: pid; wait (until the file `until` exists, after making the file `started`); read_once, put_once, send_once (the
first one to write into `file` dies of it; they differ in their annotations only); fail; deafen (closes its input, lives on).
"""

import json
import os
import sys
import time

HINTS = {"pid": {"readOnlyHint": True}, "wait": {}, "read_once": {"readOnlyHint": True},
         "put_once": {"idempotentHint": True}, "send_once": {}, "deafen": {}, "fail": {"readOnlyHint": True}}


def call(name, arguments):
    if name == "pid":
        return str(os.getpid())
    if name == "wait":
        open(arguments["started"], "w").close()
        while not os.path.exists(arguments["until"]):
            time.sleep(0.01)
        return str(os.getpid())
    if name == "deafen":
        os.close(0)
        open(arguments["started"], "w").close()
        while True:
            time.sleep(1000)
    if name == "fail":
        raise ValueError("no")
    with open(arguments["file"], "a+") as file:
        file.seek(0)
        before = file.read()
        file.write(name + "\n")
    if not before:
        os._exit(3)
    return "done by the second"


for line in sys.stdin:
    request = json.loads(line)
    if "id" not in request:
        continue
    answer = {"jsonrpc": "2.0", "id": request["id"]}
    method, params = request["method"], request.get("params", {})
    if method == "initialize":
        answer["result"] = {"protocolVersion": "2025-11-25", "capabilities": {"tools": {"listChanged": True}},
                            "serverInfo": {"name": "serial", "version": "1"}}
    elif method == "tools/list":
        answer["result"] = {"tools": [{"name": name, "inputSchema": {"type": "object"}, "annotations": hints}
                                      for name, hints in HINTS.items()]}
    elif method == "tools/call":
        try:
            text = call(params["name"], params.get("arguments", {}))
            answer["result"] = {"content": [{"type": "text", "text": text}]}
        except ValueError as error:
            answer["error"] = {"code": -32050, "message": str(error)}
    elif method == "ping":
        answer["result"] = {}
    else:
        answer["error"] = {"code": -32601, "message": "no such method"}
    print(json.dumps(answer), flush=True)
