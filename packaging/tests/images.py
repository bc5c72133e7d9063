"""Container images: built with buildah, or put together as the Dockerfile says; and run as an engine would run them."""

import contextlib
import json
import os
import shlex
import shutil
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

USER = 65532


@dataclass
class Config:
    """What an image says about how it is run."""

    user: str = ""
    entrypoint: list = field(default_factory=list)
    command: list = field(default_factory=list)
    health: list = field(default_factory=list)
    directory: str = ""
    environment: dict = field(default_factory=dict)
    labels: dict = field(default_factory=dict)
    copies: list = field(default_factory=list, compare=False)


@dataclass
class Image:
    root: Path
    config: Config
    engine: str


def engine() -> str | None:
    """buildah, if it can work here."""
    return shutil.which("buildah") if os.geteuid() == 0 else None


def read_dockerfile(path: Path) -> Config:
    """The last stage of a Dockerfile, which copies from one stage that has everything below /rootfs."""
    text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("#"))
    config, arguments = Config(), {}
    for line in text.replace("\\\n", "").split("\nFROM ")[-1].splitlines()[1:]:
        word, _, rest = line.strip().partition(" ")
        if word == "ARG":
            arguments.update([rest.split("=", 1)])
        elif word == "ENV":
            config.environment.update(part.split("=", 1) for part in shlex.split(rest))
        elif word == "LABEL":
            labels = dict(part.split("=", 1) for part in shlex.split(rest))
            for name, value in labels.items():
                for argument, default in arguments.items():
                    value = value.replace(f"${{{argument}}}", default)
                config.labels[name] = value
        elif word == "USER":
            config.user = rest
        elif word == "WORKDIR":
            config.directory = rest
        elif word == "ENTRYPOINT":
            config.entrypoint = json.loads(rest)
        elif word == "CMD":
            config.command = json.loads(rest)
        elif word == "HEALTHCHECK":
            config.health = json.loads(rest.split(" CMD ", 1)[1])
        elif word == "COPY":
            *options, source, to = rest.split()
            assert "--from=files" in options, line
            owner = next((o.split("=")[1] for o in options if o.startswith("--chown=")), "0:0")
            config.copies.append((source.removeprefix("/rootfs/"), to, owner))
        else:
            assert word in ("", "EXPOSE", "VOLUME", "STOPSIGNAL"), f"{line}: not understood without an engine"
    return config


def without_engine(rootfs: Path, config: Config, work: Path) -> Path:
    """The root filesystem that the steps of the Dockerfile make."""
    root = work / "root"
    for source, to, owner in config.copies:
        target = root / to.lstrip("/")
        shutil.copytree(rootfs / source, target, dirs_exist_ok=True)
        if os.geteuid() == 0:
            user, group = map(int, owner.split(":"))
            for path in [target, *target.rglob("*")]:
                os.chown(path, user, group)
    return root


@contextlib.contextmanager
def built(context: Path, work: Path):
    """Builds the image from what `cargo xtask image` put into target/image/rootfs."""
    store = ["--root", work / "store", "--runroot", work / "run", "--storage-driver", "vfs"]

    def buildah(*arguments) -> str:
        run = subprocess.run(["buildah", *store, *arguments], capture_output=True, text=True, timeout=300)
        assert run.returncode == 0, f"buildah {arguments[0]}: {run.stderr}"
        return run.stdout.strip()

    buildah("bud", "--isolation", "chroot", "--format", "docker", "--build-arg", "FILES=prebuilt",
            "--tag", "localhost/ferromcp:test", context)  # fmt: skip
    container = buildah("from", "localhost/ferromcp:test")
    try:
        said = json.loads(buildah("inspect", "--type", "image", "localhost/ferromcp:test"))["Docker"]["config"]
        config = Config(
            user=said["User"],
            entrypoint=said["Entrypoint"],
            command=said["Cmd"],
            health=said["Healthcheck"]["Test"][1:],
            directory=said["WorkingDir"],
            # PATH is what engines give an image that sets none.
            environment={k: v for k, v in (item.split("=", 1) for item in said["Env"]) if k != "PATH"},
            labels={k: v for k, v in said["Labels"].items() if not k.startswith("io.buildah.")},
        )
        yield Image(Path(buildah("mount", container)), config, "buildah")
    finally:
        buildah("umount", container)
        buildah("rm", container)
        shutil.rmtree(work / "store", ignore_errors=True)


# Namespaces for mounts and processes, a read-only root, no capabilities, no way to get any: as with
# `docker run --read-only --cap-drop ALL --security-opt no-new-privileges --tmpfs /tmp`.
ISOLATE = """
root=$1 user=$2 volume=$3 etc=$4; shift 4
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount --rbind /dev "$root/dev"
mount --bind "$volume" "$root/var/lib/ferromcp"
mount -o remount,bind,ro "$root"
cd "$etc"
find . -type f | while read -r file; do mount --bind "$file" "$root/$file"; done
exec setpriv --no-new-privs chroot --userspec="$user" --groups= "$root" "$@"
"""


class Container:
    """A program of an image, isolated as an engine does it. Its standard error is read line by line."""

    def __init__(self, image: Image, arguments: list, work: Path, environment=None, files=None, enter=()):
        """`enter`: a command in front, which changes the network."""
        if os.geteuid() != 0:
            pytest.skip("needs root: mounts and chroot")
        etc, volume = work / "mounts", work / "volume"
        for name, content in (files or {}).items():
            file = etc / name.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content)
            # Engines make what they mount over.
            place = image.root / name.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch()
        for directory in (etc, volume):
            directory.mkdir(parents=True, exist_ok=True)
        os.chown(volume, USER, USER)
        command = ["unshare", "--mount", "--pid", "--ipc", "--uts", "--fork", "--kill-child",
                   "sh", "-ec", ISOLATE, "sh", image.root, image.config.user, volume, etc]  # fmt: skip
        self.process = subprocess.Popen(
            [*enter, *command, *image.config.entrypoint, *arguments],
            env={"PATH": os.environ["PATH"], **image.config.environment, **(environment or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.follow()

    def follow(self):
        self.lines: list[str] = []
        self.news = threading.Condition()
        self.ended = False
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stderr:
            with self.news:
                self.lines.append(line.rstrip("\n"))
                self.news.notify_all()
        with self.news:
            self.ended = True
            self.news.notify_all()

    def wait_for(self, start: str) -> str:
        """The rest of the first line that begins so."""
        return self._line(lambda line: line.startswith(start), start).removeprefix(start)

    def wait_for_text(self, text: str) -> str:
        """The first line that has the text in it."""
        return self._line(lambda line: text in line, text)

    def _line(self, wanted, shown: str) -> str:
        def found():
            return next((line for line in self.lines if wanted(line)), None)

        with self.news:
            self.news.wait_for(lambda: self.ended or found() is not None, 60)
            assert found() is not None, f"no line with `{shown}` in:\n" + "\n".join(self.lines)
            return found()

    def finish(self) -> tuple[int, str, str]:
        """Waits for its end: exit code, standard output, standard error."""
        output = self.process.stdout.read()
        code = self.process.wait(60)
        with self.news:
            self.news.wait_for(lambda: self.ended, 60)
        return code, output, "\n".join(self.lines)

    @property
    def pid(self) -> int:
        """The program itself, which is process 1 in its namespace."""
        return processes(self.process.pid)[1]

    def stop(self) -> int:
        os.kill(self.pid, signal.SIGTERM)
        return self.finish()[0]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()


def processes(pid: int) -> list[int]:
    """A process and all below it."""
    found = [pid]
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            found.extend(processes(int(child)))
    return found


def inside(pid: int, name: str) -> Path:
    """A file as a process sees it."""
    return Path("/proc", str(pid), "root", name)


def status(pid: int) -> dict[str, str]:
    """/proc/PID/status."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.strip() for name, value in (line.split(":", 1) for line in lines)}
