"""The chart's pod, running, and the transcript of docs/install.md. Needs no cluster, and proves nothing about one: pods.py."""

import json
import os
import re
import shlex
import signal
import sys

import pytest

import charts
from charts import ROOT, Release
from conftest import path
from pods import ADDRESS, Pod
from value_sets import SETS, cluster

CONFIG = """
listen: {{ http: "0.0.0.0:8080", allowed_hosts: [mcp.example.com] }}
tenants:
  main: {{ keys: ["${{file:/run/secrets/ferromcp/key-hash}}"], tools: {{ allow: [{tools}] }} }}
builtin: {{ files: {{ roots: [/var/lib/ferromcp] }} }}
"""


@pytest.fixture(scope="module")
def key(ferromcp):
    said = ferromcp("keys", "new", "main", "--json")
    assert said.returncode == 0, said.stderr
    return json.loads(said.stdout)


def values(key, tools="echo") -> dict:
    return {"secret": {"values": {"key-hash": key["hash"]}}, "config": CONFIG.format(tools=tools)}


def request(key: dict, tool: str, arguments: dict, host="localhost:8080") -> list[str]:
    headers = [f"host: {host}", f"x-api-key: {key['key']}", "content-type: application/json"]
    body = json.dumps({"tool": tool, "arguments": arguments})
    return ["curl", "--silent", "http://127.0.0.1:8080/v1/tools/call", "--data", body,
            *(part for header in headers for part in ("--header", header))]  # fmt: skip


def call(pod: Pod, *what) -> dict:
    return json.loads(pod.run(*request(*what)).stdout)


def test_the_pod_answers_probes_serves_takes_changes_over_and_ends(image, key, tmp_path):
    before, after = Release(values(key)), Release(values(key, "echo, list_dir"))
    with Pod(before, image, tmp_path) as pod:
        pod.wait_for("listening http")
        assert pod.probe("startup") and pod.probe("liveness") and pod.probe("readiness")
        # Not because every host is answered: these two paths are for probes, which only know the address.
        assert call(pod, key, "echo", {"msg": "hi"}, f"{ADDRESS}:8080")["success"] is False
        assert call(pod, key, "echo", {"msg": "hi"}, "mcp.example.com")["output"] == "hi"
        assert call(pod, key, "list_dir", {"path": "."})["error"]["code"] == "tool_not_found"

        process = pod.pid
        pod.volumes.update(after)
        pod.wait_for_text("configuration reloaded")
        assert call(pod, key, "list_dir", {"path": "."})["success"] is True
        assert pod.pid == process

        # One that is no good changes nothing.
        pod.volumes.update(Release(values(key, "echo") | {"config": values(key)["config"] + "\nnonsense: 1\n"}))
        pod.wait_for_text("configuration not reloaded")
        pod.wait_for_text("nonsense")
        assert call(pod, key, "list_dir", {"path": "."})["success"] is True
        assert pod.stop() == 0


@pytest.mark.parametrize("name", SETS)
def test_with_every_set_of_values_it_serves_and_ends(name, image, tmp_path):
    with Pod(Release(SETS[name]), image, tmp_path, cluster(tmp_path)) as pod:
        pod.wait_for("listening http")
        assert pod.probe("startup") and pod.probe("liveness") and pod.probe("readiness"), pod.lines
        health = ["/usr/bin/ferromcp", "health"]
        if name == "TLS and gRPC":
            said = pod.execute(*health, "--url", f"grpcs://localhost:{pod.port('grpc')}", "--ca", "/etc/tls/ca.crt")
            assert said.returncode == 0, said.stderr
        if pod.container["startupProbe"].get("httpGet", {}).get("scheme") == "HTTP":
            # FERROMCP_URL leads there.
            assert pod.execute(*health).returncode == 0
        assert pod.stop() == 0


def test_what_changes_in_the_release_is_a_new_pod_only_where_it_must_be(key):
    def template(release):
        return release.one("Deployment")["spec"]["template"]

    before = template(Release(values(key)))
    assert template(Release(values(key, "echo, list_dir"))) == before
    other = {"hash": "sha256:" + "0" * 64}
    assert template(Release(values(other))) == before
    # Environment variables stay what they were.
    plain = {"config": "listen: { http: \"0.0.0.0:8080\" }\ntenants: { main: { keys: [\"${KEY_HASH}\"] } }\n"}
    first, second = (
        template(Release(plain | {"secret": {"env": True, "values": {"KEY_HASH": k["hash"]}}})) for k in (key, other)
    )
    assert first != second


def test_a_key_is_rotated_without_a_new_pod(image, key, ferromcp, tmp_path):
    other = json.loads(ferromcp("keys", "new", "main", "--json").stdout)
    with Pod(Release(values(key)), image, tmp_path) as pod:
        pod.wait_for("listening http")
        assert call(pod, key, "echo", {"msg": "old"}, "mcp.example.com")["output"] == "old"
        process = pod.pid
        pod.volumes.update(Release(values(other)))
        pod.wait_for_text("configuration reloaded")
        assert call(pod, other, "echo", {"msg": "new"}, "mcp.example.com")["output"] == "new"
        assert call(pod, key, "echo", {"msg": "old"}, "mcp.example.com")["error"]["code"] == "unauthenticated"
        assert pod.pid == process and pod.stop() == 0


# An HTTP API whose one operation answers when its standard input ends.
API = """
import http.server, json, sys

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/slow":
            print("called", flush=True)
            sys.stdin.read()
            body = b'"slowly"'
        else:
            answer = {"200": {"description": "what it says", "content": {"application/json": {"schema": {}}}}}
            paths = {"/slow": {"get": {"operationId": "slow", "responses": answer}}}
            body = json.dumps({"openapi": "3.1.0", "info": {"title": "t", "version": "1"}, "paths": paths,
                               "servers": [{"url": "http://127.0.0.1:9000"}]}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass

server = http.server.ThreadingHTTPServer(("127.0.0.1", 9000), Handler)
print("listening", flush=True)
server.serve_forever()
"""


def test_a_call_in_flight_ends_before_the_pod_does(image, key, tmp_path):
    servers = "servers: { api: { openapi: \"http://127.0.0.1:9000/openapi.json\" } }\n"
    some = values(key, '"*"')
    with Pod(Release(some), image, tmp_path) as pod:
        pod.wait_for("listening http")
        with pod.start(sys.executable, "-c", API) as api:
            assert api.stdout.readline() == "listening\n"
            pod.volumes.update(Release(some | {"config": some["config"] + servers}))
            pod.wait_for_text("configuration reloaded")
            with pod.start(*request(key, "api__slow", {})) as caller:
                assert api.stdout.readline() == "called\n"
                os.kill(pod.pid, signal.SIGTERM)
                pod.wait_for_text("stopping")
                assert not pod.probe("readiness") and pod.process.poll() is None
                api.stdin.close()
                answer = json.loads(caller.stdout.read())
            assert (answer["success"], answer["output"]) == (True, '"slowly"'), answer
            assert pod.finish()[0] == 0


def test_a_secret_in_the_environment_and_a_volume_that_is_kept(image, key, ferromcp, tmp_path):
    config = """
listen: { http: "0.0.0.0:8080" }
tenants: { main: { keys: ["${KEY_HASH}"] } }
audit: { file: /var/lib/ferromcp/audit }
"""
    own = {"kind": "Secret", "metadata": {"name": "mine"}, "stringData": {"KEY_HASH": key["hash"]}}
    release = Release(
        {"config": config, "secret": {"existing": "mine", "env": True}, "persistence": {"enabled": True}}
    )
    for turn in ("one", "two"):
        with Pod(release, image, tmp_path, [own]) as pod:
            pod.wait_for("listening http")
            assert call(pod, key, "echo", {"msg": turn})["output"] == turn
            assert pod.stop() == 0
    verified = ferromcp("audit", "verify", tmp_path / "volumes/state/audit")
    assert verified.returncode == 0, verified.stdout + verified.stderr


class Transcript:
    """What a newcomer types, out of docs/install.md, and does it: with Helm as a library, and a pod without a cluster."""

    def __init__(self, text: str, image, key, work, version):
        self.blocks = re.findall(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S)
        self.image, self.key, self.work, self.version = image, key, work, version
        self.release = self.values = self.pod = None
        self.done: list[str] = []
        self.shown = ""

    def run(self):
        for language, content in self.blocks:
            if language == "yaml":
                name = re.match(r"# (\S+\.yaml)\n", content)
                assert name, f"which file is this?\n{content}"
                (self.work / name[1]).write_text(content)
                continue
            assert language == "sh", language
            for line in content.replace("\\\n", " ").splitlines():
                if line.startswith("# "):
                    self.compare(line.removeprefix("# "))
                elif line:
                    command = re.sub(r"  +# .*$", "", line)
                    words = shlex.split(command)
                    self.done.append(" ".join(words[:2]))
                    getattr(self, words[0])(command, words)

    def compare(self, expected: str):
        pattern = re.escape(expected).replace(re.escape("..."), ".*")
        assert re.fullmatch(pattern, self.shown.strip(), re.S), f"docs: {expected}\nhere: {self.shown}"

    def docker(self, line: str, words: list):
        if words[1] == "run":
            assert words[2] == "--rm"
            name, *arguments = words[3:]
            assert arguments == ["keys", "new", "main"]
        elif words[1] == "build":
            name = words[words.index("--tag") + 1]
        else:
            assert words[1] == "push"
            name = words[2]
        self.names = getattr(self, "names", set()) | {name}
        assert name.endswith(f":{self.version}")

    def helm(self, line: str, words: list):
        if words[1] == "test":
            (pod,) = self.release.all("Pod")
            assert words[2] == self.release.one("Deployment")["metadata"]["labels"]["app.kubernetes.io/instance"]
            (container,) = pod["spec"]["containers"]
            service = self.release.one("Service")
            *arguments, url = container["args"]
            assert url == f"http://{service['metadata']['name']}:{service['spec']['ports'][0]['port']}"
            # There is no name server here, so the Service's name is the pod's address.
            url = url.replace(service["metadata"]["name"], ADDRESS)
            said = self.pod.run(path("FERROMCP_BIN"), *arguments, url)
            assert said.returncode == 0, said.stderr
            return
        filled = line.replace("sha256:...", self.key["hash"])
        release, self.values = charts.Command(filled, self.work).release(self.values)
        if words[1] == "install":
            assert {c["image"] for spec in release.pods for c in spec["containers"]} == self.names
            self.pod = Pod(release, self.image, self.work).__enter__()
        else:
            old, new = (r.one("Deployment")["spec"]["template"] for r in (self.release, release))
            assert old == new, "the upgrade would replace the pod, and the docs say that it does not"
            self.pod.volumes.update(release)
            self.pod.wait_for_text("configuration reloaded")
        self.release = release

    def kubectl(self, line: str, words: list):
        assert words[1:3] == ["--namespace", self.release.one("Deployment")["metadata"]["namespace"]]
        verb, *rest = words[3:]
        if verb == "rollout":
            assert rest == ["status", f"deployment/{self.release.one('Deployment')['metadata']['name']}"]
            self.pod.wait_for("listening http")
            assert self.pod.probe("startup") and self.pod.probe("readiness")
        elif verb == "logs":
            assert "configuration reloaded" in line and any("configuration reloaded" in said for said in self.pod.lines)
        else:
            assert verb == "port-forward", line
            service = self.release.one("Service")
            assert rest[0] == f"service/{service['metadata']['name']}"
            local, remote = map(int, rest[1].split(":"))
            (port,) = [port for port in service["spec"]["ports"] if port["port"] == remote]
            # So that curl in the pod's network reaches what the forwarded port would reach.
            assert local == self.pod.port(port["targetPort"])

    def curl(self, line: str, words: list):
        said = self.pod.run("sh", "-c", line, KEY=self.key["key"])
        assert said.returncode == 0, said.stderr
        self.shown = said.stdout


def test_the_transcript_of_the_docs(image, key, tmp_path, version):
    text = (ROOT / "docs/install.md").read_text().split("\n## Kubernetes\n")[1].split("\n## ")[0]
    transcript = Transcript(text, image, key, tmp_path, version)
    try:
        transcript.run()
        assert {"docker build", "docker run", "helm install", "helm test", "helm upgrade"} <= set(transcript.done)
        assert sum(done.startswith("curl") for done in transcript.done) >= 2
        assert transcript.pod.stop() == 0
    finally:
        if transcript.pod:
            transcript.pod.__exit__()
