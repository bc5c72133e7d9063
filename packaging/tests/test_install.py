"""The transcripts of docs/install.md, carried out: the archive by a shell, containers by what stands for Docker here."""

import argparse
import contextlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml

import images
from conftest import ROOT, path
from images import Container
from pods import NETWORK

TEXT = (ROOT / "docs/install.md").read_text()


def blocks(section: str) -> list[list[tuple[str, list[str]]]]:
    """The blocks of a section: commands, each with the lines of output that are shown."""
    text = TEXT.split(f"\n## {section}\n")[1].split("\n## ")[0]
    result = []
    for block in re.findall(r"^```sh\n(.*?)^```$", text, re.M | re.S):
        commands = []
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("# "):
                commands[-1][1].append(line.removeprefix("# "))
            elif line:
                commands.append((re.sub(r"  +# .*$", "", line), []))
        result.append(commands)
    return result


def compare(shown: list[str], output: str):
    if shown:
        pattern = re.escape("\n".join(shown)).replace(re.escape("..."), ".*")
        assert re.fullmatch(pattern, output.strip()), f"docs: {shown}\nhere: {output}"


class Network:
    """A network with nothing in it but loopback, where the ports of the docs are free."""

    def __enter__(self):
        if os.geteuid() != 0:
            pytest.skip("needs root: networks, mounts and chroot")
        wait = "print(flush=True)\nimport sys\nsys.stdin.read()"
        self.process = subprocess.Popen(
            ["unshare", "--net", sys.executable, "-c", NETWORK + wait],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout.readline() == "\n"
        self.enter = ["nsenter", f"--net=/proc/{self.process.pid}/ns/net", "--"]
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait(60)

    def run(self, *command, **options) -> subprocess.CompletedProcess:
        return subprocess.run([*self.enter, *command], capture_output=True, text=True, timeout=60, **options)


# A person waits until it is there.
STARTED = "\nuntil curl -s -o /dev/null localhost:8080/readyz; do kill -0 $! && sleep 0.02; done"


def test_the_archive_is_checked_unpacked_and_serves(tmp_path):
    (commands,) = blocks("The program")
    # What one downloads.
    for file in path("FERROMCP_DIST").glob("*.tar.gz"):
        shutil.copy(file, tmp_path)
    shutil.copy(path("FERROMCP_DIST") / "SHA256SUMS", tmp_path)
    script = "set -e\nexec 3>&2 2>log\n"
    for number, (command, _) in enumerate(commands):
        script += f"echo '=== {number}'\n{command}" + (STARTED if command.endswith("&") else "") + "\n"
    with Network() as network:
        said = network.run("sh", "-c", script + "kill $!\nwait $!", cwd=tmp_path)
    assert said.returncode == 0, said.stdout + (tmp_path / "log").read_text()
    outputs = re.split(r"^=== \d+\n", said.stdout, flags=re.M)[1:]
    assert len(outputs) == len(commands) >= 6
    for (_, shown), output in zip(commands, outputs, strict=True):
        compare(shown, output)
    assert sum(len(shown) for _, shown in commands) == 3


RUN = argparse.ArgumentParser(exit_on_error=False)
for switch in ("--rm", "--detach", "--read-only"):
    RUN.add_argument(switch, action="store_true")
for option in ("--name", "--memory", "--publish"):
    RUN.add_argument(option)
for option in ("--env", "--cap-drop", "--security-opt"):
    RUN.add_argument(option, action="append", default=[])
RUN.add_argument("image")
RUN.add_argument("arguments", nargs="*")


class Docker:
    """What Docker would do, with the image as buildah or the Dockerfile's steps make it. Only what the docs use is understood."""

    def __init__(self, image, network, work, ferromcp, stack):
        self.image, self.network, self.work, self.ferromcp, self.stack = image, network, work, ferromcp, stack
        self.names, self.key, self.running = set(), None, None

    def do(self, line: str) -> str:
        if self.key:
            line = line.replace("sha256:...", self.key["hash"])
        if " docker " in f" {line} ":
            environment, _, rest = line.partition("docker ")
            words = shlex.split(rest)
            return getattr(self, words[0])(words[1:], dict(w.split("=", 1) for w in shlex.split(environment)))
        environment = os.environ | {"KEY": self.key["key"]}
        said = self.network.run("sh", "-ec", line, env=environment)
        assert said.returncode == 0, said.stderr
        return said.stdout

    def build(self, words, _) -> str:
        assert words[0] == "--tag" and words[2:] == ["."]
        self.names.add(words[1])
        return ""

    def start(self, arguments, environment, files=None):
        work = self.work / f"container-{len(list(self.work.iterdir()))}"
        return self.stack.enter_context(
            Container(self.image, arguments, work, environment, files, self.network.enter)
        )

    def run(self, words, _) -> str:
        asked = RUN.parse_args(words)
        assert asked.image in self.names
        if asked.rm:
            assert asked.arguments[:2] == ["keys", "new"]
            code, output, errors = self.start([*asked.arguments, "--json"], {}).finish()
            assert code == 0, errors
            self.key = json.loads(output)
            return output
        # As every container is run here.
        assert asked.read_only and asked.cap_drop == ["ALL"] and asked.security_opt == ["no-new-privileges"]
        assert asked.publish == "127.0.0.1:8080:8080" and asked.memory == "512m"
        environment = dict(entry.split("=", 1) for entry in asked.env)
        self.up(self.start(asked.arguments or self.image.config.command, environment))
        return ""

    def compose(self, words, environment) -> str:
        service = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["ferromcp"]
        if words[0] == "ps":
            assert words[1:] == ["--format", "{{.Health}}"]
            probe = self.start(self.image.config.health[1:], {})
            return "healthy\n" if probe.finish()[0] == 0 else "unhealthy\n"
        assert words == ["up", "--build", "--detach"]
        (name,) = service["environment"]
        assert service["environment"][name].startswith("${" + next(iter(environment)))
        source, target, _ = service["volumes"][0].split(":")
        files = {f"{target}/{file.name}": file.read_text() for file in (ROOT / source).iterdir()}
        self.up(self.start(service["command"], environment, files))
        return ""

    def up(self, container):
        self.down()
        container.wait_for("listening http://0.0.0.0:8080")
        self.running = container

    def down(self):
        if self.running:
            memory = int(images.status(self.running.pid)["VmHWM"].split()[0])
            assert memory <= 64 * 1024
            assert self.running.stop() == 0


def test_containers_are_built_run_and_called(image, ferromcp, tmp_path):
    with Network() as network, contextlib.ExitStack() as stack:
        docker = Docker(image, network, tmp_path, ferromcp, stack)
        shown_lines = 0
        for command, shown in (entry for block in blocks("Container") for entry in block):
            compare(shown, docker.do(command))
            shown_lines += len(shown)
        assert shown_lines == 2
        # What compose started answers as well.
        (call,) = [command for command, _ in blocks("Container")[0] if command.startswith("curl")]
        assert '"output":"hello"' in docker.do(call)
        docker.down()
