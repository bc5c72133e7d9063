"""An MCP server over stdio that misbehaves on request.

Usage: server.py [TRAIT...]. Traits say how it starts and lists; what a call does is said by the tool's name.
Traits: legacy, modern (speak only that era; by default both), deaf (ignores what it does not know), strict (exits when
the first message is not `initialize`), crash (exits at once), mute (never answers), garbage (prints what is no message),
pages (lists in pages, with bad items), slow (starts late), tasks (has tasks, of its era),
logging (takes a log level), pid=FILE (writes its process id there).
"""

import json
import os
import sys
import time

TRAITS = set(sys.argv[1:])
MODERN = "2026-07-28"
LINES = sys.stdin.buffer
RESOURCES = [{"uri": "mem://a", "name": "a"}, {"uri": "mem://b", "name": "b"}]
TOOLS = [
    "echo", "hang", "late", "twice", "stray", "die", "half", "mutter", "big", "progress", "log", "ask", "add", "error",
    "input", "odd", "invalid", "seen", "quiz", "urls", "withdraw",
    "moody",
]

FORM = {
    "message": "Your name?", "x-kept": 1.50,
    "requestedSchema": {"type": "object", "properties": {"name": {"type": "string"}}},
}
URL = {"mode": "url", "url": "https://example.com/consent", "message": "Please consent"}
CAPABILITIES = {
    "tools": {"listChanged": True},
    "resources": {"subscribe": True, "listChanged": True},
    "prompts": {},
    "completions": {},
}

if "logging" in TRAITS:
    CAPABILITIES["logging"] = {}
if "tasks" in TRAITS:
    CAPABILITIES["extensions"] = {"io.modelcontextprotocol/tasks": {}}
    CAPABILITIES["tasks"] = {"list": {}, "cancel": {}, "requests": {"tools": {"call": {}}}}
    TOOLS += ["job", "push"]

state = {
    "tasks": {}, "following": [], "levels": [], "answered": 0,
    "tools": list(TOOLS), "cancelled": [], "late": [], "asked": None, "listen": None, "subscribed": [], "first": True,
}


def write(line):
    try:
        sys.stdout.write(line)
        sys.stdout.flush()
    except OSError:
        # `mutter` has closed it.
        pass


def send(message):
    write(json.dumps(message) + "\n")


def result(request, value):
    if "_meta" in request.get("params", {}) and is_modern(request):
        value = {"resultType": "complete", **value}
    send({"jsonrpc": "2.0", "id": request["id"], "result": value})


def fail(request, code, message, data=None):
    error = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    send({"jsonrpc": "2.0", "id": request["id"], "error": error})


def notify(method, params=None):
    params = dict(params or {})
    if state["listen"] is not None:
        params["_meta"] = {"io.modelcontextprotocol/subscriptionId": state["listen"]}
    send({"jsonrpc": "2.0", "method": method, "params": params})


def text(value, **more):
    return {"content": [{"type": "text", "text": value}], **more}


def is_modern(request):
    meta = request.get("params", {}).get("_meta", {})
    return meta.get("io.modelcontextprotocol/protocolVersion") == MODERN


def listed(name):
    if name == "job":
        return {"name": name, "inputSchema": {"type": "object"}, "execution": {"taskSupport": "required"}}
    return {"name": name, "inputSchema": {"type": "object"}, "x-vendor": {"kept": 1.50}}


def list_tools(request):
    if "pages" not in TRAITS:
        return result(request, {"tools": [listed(name) for name in state["tools"]]})
    cursor = request["params"].get("cursor")
    if cursor is None:
        items = [listed("echo"), {"inputSchema": {}}, 7, listed("")]
        return result(request, {"tools": items, "nextCursor": ""})
    if cursor == "":
        return result(request, {"tools": [listed("echo"), listed("seen")], "nextCursor": "two\n"})
    assert cursor == "two\n", cursor
    return result(request, {"tools": [listed("hidden"), listed("last")]})


def call(request, line):
    name = request["params"]["name"]
    arguments = request["params"].get("arguments", {})
    token = request["params"]["_meta"]["progressToken"]
    if name == "echo":
        result(request, text(line))
    elif name == "hang":
        pass
    elif name == "late":
        state["late"].append(request)
    elif name == "twice":
        result(request, text("one"))
        result(request, text("two"))
    elif name == "stray":
        send({"jsonrpc": "2.0", "id": 999999, "result": {}})
        send({"jsonrpc": "2.0", "id": "one", "result": {}})
        send({"jsonrpc": "2.0", "id": request["id"] + 1000, "error": {"code": 1, "message": "?"}})
        write("Traceback (most recent call last):\n{\n[]\n[1]\nnull\n\n{}\n")
        result(request, text("fine"))
    elif name == "die":
        print("first line", file=sys.stderr)
        print("out of cheese", file=sys.stderr, flush=True)
        os._exit(3)
    elif name == "half":
        write('{"jsonrpc":"2.0","id":%d,"resu' % request["id"])
        os._exit(0)
    elif name == "mutter":
        # Closes its output and goes on living.
        sys.stdout.flush()
        os.close(1)
    elif name == "big":
        result(request, text("x" * arguments["bytes"]))
    elif name == "progress":
        for step in range(3):
            params = {"progressToken": token, "progress": step, "total": 2, "message": "step %d" % step}
            send({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        params = {"progressToken": token + 500, "progress": 9}
        send({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})
        result(request, text("done"))
    elif name == "log":
        params = {"level": "warning", "logger": "l", "data": {"n": 1}}
        send({"jsonrpc": "2.0", "method": "notifications/message", "params": params})
        result(request, text("logged"))
    elif name == "ask":
        state["asked"] = (request, {}, 3)
        for method in ("ping", "sampling/createMessage", "roots/list"):
            send({"jsonrpc": "2.0", "id": method, "method": method, "params": {}})
    elif name == "add":
        state["tools"].append("extra")
        for _ in range(3):
            notify("notifications/tools/list_changed")
        result(request, text("added"))
    elif name == "error":
        fail(request, -32050, "no such luck", {"why": [1.0]})
    elif name == "quiz" and is_modern(request):
        quiz(request, line)
    elif name == "quiz":
        state["asked"] = (request, {}, 2)
        send({"jsonrpc": "2.0", "id": "q-1", "method": "elicitation/create", "params": FORM})
        send({"jsonrpc": "2.0", "id": 2.5, "method": "roots/list"})
    elif name == "urls":
        if arguments.get("consented"):
            return result(request, text("consented"))
        fail(request, -32042, "consent first", {"elicitations": [dict(URL, elicitationId="e1")]})
        notify("notifications/elicitation/complete", {"elicitationId": "e1"})
    elif name == "moody":
        # Goes on for ever, whatever it is answered.
        state["asked"] = (None, {}, 1)
        send({"jsonrpc": "2.0", "id": "m", "method": "elicitation/create", "params": FORM})
    elif name == "withdraw":
        state["asked"] = (request, {}, 1)
        send({"jsonrpc": "2.0", "id": "w", "method": "elicitation/create", "params": FORM})
        notify("notifications/progress", {"progressToken": token, "progress": 1})
    elif name == "input":
        result(request, {"resultType": "input_required", "inputRequests": {}})
    elif name == "odd":
        write('{"jsonrpc":"2.0","id":%d,"result":{"content":[],"a":1,"a":2}}\n' % request["id"])
    elif name == "invalid":
        write('{"jsonrpc":"2.0","id":%d,"result":{"content":[tru]}}\n' % request["id"])
    elif name == "job" and is_modern(request):
        capabilities = request["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"]
        needed = {"extensions": {"io.modelcontextprotocol/tasks": {}}}
        if capabilities.get("extensions") != needed["extensions"]:
            return fail(request, -32021, "tasks needed", {"requiredCapabilities": needed})
        result(request, {"resultType": "task", **begin(arguments, "ttlMs", "pollIntervalMs")})
    elif name == "job":
        if "task" not in request["params"]:
            return fail(request, -32601, "only as a task")
        result(request, {"task": begin(arguments, "ttl", "pollInterval")})
    elif name == "push":
        task = state["tasks"][arguments["taskId"]]
        task.update(arguments["change"])
        if arguments["taskId"] in state["following"]:
            notify("notifications/tasks", task)
        result(request, text(json.dumps(task)))
    elif name == "seen":
        seen = {"tasks": len(state["tasks"]), "following": state["following"], "levels": state["levels"],
                "answered": state["answered"], "cancelled": state["cancelled"], "subscribed": state["subscribed"], "tools": len(state["tools"])}
        result(request, text(json.dumps(seen), structuredContent=seen))
    else:
        result(request, text("this is " + name))


def begin(arguments, ttl, poll):
    id = "t/%d" % (len(state["tasks"]) + 1)
    task = {
        "taskId": id, "status": "working", "createdAt": "2026-07-28T12:00:00Z", "lastUpdatedAt": "2026-07-28T12:00:00Z",
        ttl: arguments.get("ttl", 60000), poll: arguments.get("poll", 50), "x-kept": 1.50,
    }
    state["tasks"][id] = dict(task, **arguments.get("becomes", {}))
    return task


def about_task(message, line):
    method, params = message["method"], message["params"]
    task = state["tasks"].get(params["taskId"])
    if task is None:
        return fail(message, -32602, "no such task")
    if method == "tasks/get":
        return result(message, task)
    if method == "tasks/result":
        if task["status"] == "input_required":
            state["asked"] = (message, {}, 1)
            return send({"jsonrpc": "2.0", "id": "t-q", "method": "elicitation/create", "params": FORM})
        return result(message, text(line))
    if method == "tasks/cancel":
        task["status"] = "cancelled"
    else:
        task.pop("inputRequests", None)
        task.update(status="completed", result=text(line))
    result(message, {})


def quiz(request, line):
    """Two rounds: a form, then a form under the same name, with a state that must come back."""
    params = request["params"]
    round = {None: 1, "one \u00e9": 2, "two": 3}[params.get("requestState")]
    if round == 3:
        return result(request, text(line))
    form = {"method": "elicitation/create", "params": FORM}
    questions = {"name": form, "roots": {"method": "roots/list"}} if round == 1 else {"name": form}
    result(request, {
        "resultType": "input_required", "inputRequests": questions, "requestState": ["one \u00e9", "two"][round - 1],
    })


def cancelled(params):
    state["cancelled"].append(params["requestId"])
    for request in state["late"]:
        if request["id"] == params["requestId"]:
            result(request, text("too late"))


def updated(uri):
    notify("notifications/resources/updated", {"uri": uri})


def serve(message, line):
    method = message.get("method")
    if method is None:
        request, answers, count = state["asked"]
        answers[message["id"]] = message.get("result", message.get("error"))
        if len(answers) == count and request is None:
            state["answered"] += 1
        elif len(answers) == count:
            result(request, text(json.dumps(answers), structuredContent=answers))
    elif "id" not in message:
        if method == "notifications/cancelled":
            cancelled(message["params"])
    elif method == "initialize" and "modern" not in TRAITS:
        assert message["params"]["capabilities"] == {"elicitation": {"form": {}, "url": {}}, "roots": {}, "sampling": {"tools": {}}}
        result(message, {
            "protocolVersion": "2025-06-18", "capabilities": CAPABILITIES, "serverInfo": {"name": "s", "version": "1"},
            "instructions": "be nice",
        })
    elif method == "server/discover" and "legacy" not in TRAITS:
        result(message, {"supportedVersions": [MODERN], "capabilities": CAPABILITIES, "instructions": "be modern"})
    elif method == "tools/list":
        list_tools(message)
    elif method == "resources/list":
        result(message, {"resources": RESOURCES})
    elif method == "resources/templates/list" and "deaf" in TRAITS:
        result(message, {"resourceTemplates": []})
    elif method == "prompts/list":
        result(message, {"prompts": [{"name": "greet"}]})
    elif method == "tools/call":
        call(message, line)
    elif method == "resources/read":
        if message["params"]["uri"] == "mem://none":
            fail(message, -32602 if is_modern(message) else -32002, "no such resource")
        else:
            result(message, {"contents": [{"uri": message["params"]["uri"], "text": line}]})
    elif method in ("prompts/get", "completion/complete"):
        result(message, {"messages": [], "completion": {"values": [line]}})
    elif method == "resources/subscribe":
        state["subscribed"].append(message["params"]["uri"])
        result(message, {})
        updated(message["params"]["uri"])
    elif method == "resources/unsubscribe":
        state["subscribed"].remove(message["params"]["uri"])
        result(message, {})
    elif method == "subscriptions/listen" and is_modern(message):
        wanted = message["params"]["notifications"]
        if "taskIds" in wanted:
            state["following"] += wanted["taskIds"]
            return notify("notifications/subscriptions/acknowledged", {"notifications": wanted})
        state["listen"] = message["id"]
        state["subscribed"] = wanted.get("resourceSubscriptions", [])
        notify("notifications/subscriptions/acknowledged", {"notifications": wanted})
        for uri in state["subscribed"]:
            updated(uri)
    elif method == "logging/setLevel":
        state["levels"].append(message["params"]["level"])
        result(message, {})
    elif method.startswith("tasks/") and "tasks" in TRAITS:
        about_task(message, line)
    elif "deaf" not in TRAITS:
        fail(message, -32601, "Method not found")


def main():
    for trait in TRAITS:
        if trait.startswith("pid="):
            with open(trait[4:], "a") as file:
                file.write("%d\n" % os.getpid())
    if "crash" in TRAITS:
        print("bad option --crash", file=sys.stderr)
        sys.exit(2)
    if "garbage" in TRAITS:
        print("Welcome to the server!\n{\"a\":\n\x01\x02", flush=True)
    if "slow" in TRAITS:
        time.sleep(4)
    while True:
        line = LINES.readline()
        if not line:
            return
        message = json.loads(line)
        if "strict" in TRAITS and state["first"] and message.get("method") != "initialize":
            sys.exit("expected initialize")
        state["first"] = False
        if "mute" not in TRAITS:
            serve(message, line.decode())


main()
