"""The container image: what it says about itself, and that it works as an engine runs it."""

import http.client
import json
import re
import subprocess
import threading

import pytest

import images
from conftest import ROOT
from images import Container

LARGEST_MEMORY = 64 * 1024  # KiB
SERVE = ["serve", "--config", "/etc/ferromcp/ferromcp.yaml", "--addr", "0.0.0.0:0"]
NAME = "upstream.example.test"


@pytest.fixture(scope="module")
def key(image, tmp_path_factory):
    """A key, made by the image."""
    with Container(image, ["keys", "new", "main", "--json"], tmp_path_factory.mktemp("keys")) as container:
        code, output, errors = container.finish()
    assert code == 0, errors
    return json.loads(output)


def port_of(container: Container) -> int:
    return int(container.wait_for("listening http").rsplit(":", 1)[1].split()[0].split("/")[0])


class Client:
    def __init__(self, port: int, key: str | None):
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self.headers = {"content-type": "application/json"} | ({"x-api-key": key} if key else {})

    def call(self, tool: str, arguments: dict) -> tuple[int, dict]:
        body = json.dumps({"tool": tool, "arguments": arguments})
        self.connection.request("POST", "/v1/tools/call", body, self.headers)
        answer = self.connection.getresponse()
        return answer.status, json.loads(answer.read())


def test_it_runs_as_a_number_without_a_shell(image, dockerfile, version):
    config = image.config
    assert config == dockerfile
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", config.user)
    assert config.entrypoint == ["/usr/bin/ferromcp"]
    assert config.health == ["/usr/bin/ferromcp", "health"]
    assert config.labels["org.opencontainers.image.version"] == version
    programs = {path.name for path in (image.root / "usr/bin").iterdir()}
    assert programs == {"ferromcp"} and not (image.root / "bin").exists()


def test_it_says_what_it_is_made_of(image):
    path = image.config.labels["io.github.ferromcp.sbom"]
    bill = json.loads((image.root / path.lstrip("/")).read_text())
    assert any(component["name"] == "rustls" for component in bill["components"])


def test_without_a_key_it_does_not_start_and_says_why(image, tmp_path):
    with Container(image, image.config.command, tmp_path) as container:
        code, _, errors = container.finish()
    assert code == 2
    assert "FERROMCP_KEY_HASH" in errors


def test_it_serves_with_a_read_only_root_and_no_rights(image, key, tmp_path):
    environment = {"FERROMCP_KEY_HASH": key["hash"]}
    with Container(image, SERVE, tmp_path, environment) as container:
        port = port_of(container)
        assert Client(port, None).call("echo", {"msg": "hi"})[0] == 401
        status, answer = Client(port, key["key"]).call("echo", {"msg": "hi"})
        assert (status, answer["output"]) == (200, "hi")

        process = images.status(container.pid)
        assert process["Uid"].split() == [str(images.USER)] * 4
        assert int(process["CapEff"], 16) == int(process["CapPrm"], 16) == 0 and process["NoNewPrivs"] == "1"
        with pytest.raises(OSError, match="Read-only"):
            images.inside(container.pid, "usr/bin/other").open("w")

        url = {"FERROMCP_URL": f"http://127.0.0.1:{port}"}
        probe = image.config.health[1:]
        with Container(image, probe, tmp_path, url) as health:
            assert health.finish()[0] == 0
        assert container.stop() == 0
        with Container(image, probe, tmp_path, url) as health:
            assert health.finish()[0] == 1


def test_it_finds_names_trusts_authorities_and_starts_programs(image, key, ferromcp, tmp_path):
    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], cwd=tmp_path, check=True, capture_output=True)

    new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    openssl(*new, "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    openssl(*new, "-subj", "/CN=server", "-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=CA:FALSE",
            "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", "server.key", "-out", "server.pem")  # fmt: skip
    (tmp_path / "upstream.yaml").write_text(
        f"listen: {{ tls: {{ cert: server.pem, key: server.key }}, allowed_hosts: [{NAME}] }}\n"
    )
    with Upstream(tmp_path / "upstream.yaml") as upstream, names() as resolver:
        config = f"""
listen: {{ http: "0.0.0.0:8080" }}
tenants: {{ main: {{ keys: ["${{FERROMCP_KEY_HASH}}"] }} }}
servers:
  remote: {{ url: "https://{NAME}:{upstream.port}/mcp" }}
  child: {{ command: /usr/bin/ferromcp, args: [serve, --mode, stdio] }}
"""
        authorities = (image.root / "etc/ssl/certs/ca-certificates.crt").read_text()
        assert authorities.count("BEGIN CERTIFICATE") > 50
        files = {
            "/etc/ferromcp/ferromcp.yaml": config,
            "/etc/resolv.conf": f"nameserver {resolver}\n",
            "/etc/ssl/certs/ca-certificates.crt": authorities + (tmp_path / "ca.pem").read_text(),
        }
        environment = {"FERROMCP_KEY_HASH": key["hash"]}
        with Container(image, SERVE, tmp_path / "container", environment, files) as container:
            client = Client(port_of(container), key["key"])
            for server in ("remote", "child"):
                container.wait_for_text(f" ready server={server} ")
            for tool in ("remote__echo", "child__echo"):
                status, answer = client.call(tool, {"msg": tool})
                assert (status, answer.get("output")) == (200, tool), "\n".join(container.lines)
            assert container.stop() == 0


class Upstream(Container):
    """`ferromcp serve` of this machine."""

    def __init__(self, config):
        from conftest import path

        self.process = subprocess.Popen(
            [path("FERROMCP_BIN"), "serve", "--addr", "127.0.0.1:0", "--config", config],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.follow()
        self.port = port_of(self)


class names:  # noqa: N801 - used as a statement
    """A name server that says 127.0.0.1 to whoever asks for an IPv4 address. Its own address is the value."""

    def __enter__(self) -> str:
        import socket

        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.77", 53))
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()
        return "127.0.0.77"

    def serve(self):
        while True:
            question, sender = self.socket.recvfrom(512)
            if not question:
                return
            end = question.index(b"\0", 12) + 5
            address = question[end - 4 : end - 2] == b"\0\1"
            # RFC 1035, section 4.1: the question again, and one answer that points to its name.
            head = question[:2] + b"\x81\x80\0\1" + (b"\0\1" if address else b"\0\0") + b"\0\0\0\0"
            answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1" if address else b""
            self.socket.sendto(head + question[12:end] + answer, sender)

    def __exit__(self, *_):
        # Nothing, from itself: the end.
        self.socket.sendto(b"", self.socket.getsockname())
        self.thread.join(60)
        self.socket.close()


def test_under_load_it_stays_small(image, key, tmp_path):
    failures = []
    with Container(image, SERVE, tmp_path, {"FERROMCP_KEY_HASH": key["hash"]}) as container:
        port = port_of(container)

        def load(number: int):
            client = Client(port, key["key"])
            for turn in range(300):
                text = "x" * (90_000 if turn % 10 == 0 else 100 + number)
                status, answer = client.call("echo", {"msg": text})
                if status != 200 or answer["output"] != text:
                    failures.append((status, str(answer)[:200]))
                    return

        threads = [threading.Thread(target=load, args=(number,)) for number in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        peak = {pid: int(images.status(pid)["VmHWM"].split()[0]) for pid in images.processes(container.pid)}
        assert container.stop() == 0
    assert not failures, failures
    print(f"resident at most: {[f'{value / 1024:.1f} MiB' for value in peak.values()]} after 9,600 calls ({image.engine})")
    assert peak and max(peak.values()) <= LARGEST_MEMORY, peak


def test_the_sample_configuration_is_good(ferromcp, key):
    import os

    environment = os.environ | {"FERROMCP_KEY_HASH": key["hash"]}
    checked = ferromcp("check", ROOT / "packaging/container/ferromcp.yaml", env=environment)
    assert checked.returncode == 0, checked.stderr
