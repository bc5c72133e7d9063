"""A pod without a cluster: what kubelet does with the Deployment's pod, as far as the program can notice.

Volumes are laid out and swapped as kubelet's atomic writer does it. The program runs in the image's root filesystem, read
only, with the pod's user, environment, arguments and mounts, and in a network of its own where the pod has an address.
There is no API server, no Service and no proxy here.
"""

import base64
import contextlib
import os
import re
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import pytest

from charts import Release
from images import Container, Image

ADDRESS = "10.244.7.5"

# Loopback, and the pod's own address on it: SIOCSIFFLAGS and SIOCSIFADDR, netdevice(7).
NETWORK = f"""
import fcntl, socket, struct
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    fcntl.ioctl(s, 0x8914, struct.pack("16sH14x", b"lo", 0x41))
    fcntl.ioctl(s, 0x8916, struct.pack("16sHH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton("{ADDRESS}")))
"""
ISOLATE = """
python=$1 network=$2 root=$3 user=$4 group=$5; shift 5
"$python" -c "$network"
mount --make-rprivate /
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -o remount,bind,ro "$root"
while [ "$1" != -- ]; do
    mount --bind "$2" "$root/$3"
    if [ "$1" = ro ]; then mount -o remount,bind,ro "$root/$3"; fi
    shift 3
done
shift
exec setpriv --no-new-privs chroot --userspec="$user:$group" --groups="$group" "$root" "$@"
"""
NUMBERS = count(1)


def lay_out(directory: Path, files: dict[str, str], mode=0o644, group=None):
    """Puts files in place, or others in their place, at one moment: a directory with all of them, and a link that is swapped.

    As `pkg/volume/util/atomic_writer.go` of Kubernetes does it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    data = directory / "..data"
    old = directory / os.readlink(data) if data.is_symlink() else None
    new = directory / time.strftime(f"..%Y_%m_%d_%H_%M_%S.{next(NUMBERS):09}")
    new.mkdir()
    for name, content in files.items():
        file = new / name
        file.write_text(content)
        file.chmod(mode)
        if group is not None and os.geteuid() == 0:
            os.chown(file, 0, group)
    swap = directory / "..data_tmp"
    swap.symlink_to(new.name)
    swap.rename(data)
    for name in files:
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"..data/{name}")
    if old is not None:
        for file in old.iterdir():
            if file.name not in files:
                (directory / file.name).unlink()
            file.unlink()
        old.rmdir()


class Volumes:
    """The volumes of the Deployment's pod. `others` are ConfigMaps and Secrets that the release does not make."""

    def __init__(self, release: Release, work: Path, others: list[dict] = ()):
        self.work, self.others = work / "volumes", list(others)
        self.spec = release.one("Deployment")["spec"]["template"]["spec"]
        self.container = self.spec["containers"][0]
        self.group = self.spec["securityContext"]["fsGroup"]
        self.update(release)

    def object(self, kind: str, name: str) -> dict[str, str]:
        (found,) = [d for d in self.documents if d["kind"] == kind and d["metadata"]["name"] == name]
        encoded = found.get("data") or {}
        if kind == "ConfigMap":
            return encoded
        return {k: base64.b64decode(v).decode() for k, v in encoded.items()} | (found.get("stringData") or {})

    def update(self, release: Release):
        self.documents = release.documents + self.others
        for volume in self.spec["volumes"]:
            directory = self.work / volume["name"]
            if "configMap" in volume:
                lay_out(directory, self.object("ConfigMap", volume["configMap"]["name"]))
            elif "secret" in volume:
                secret = volume["secret"]
                lay_out(directory, self.object("Secret", secret["secretName"]), secret.get("defaultMode", 0o644), self.group)
            else:
                assert "emptyDir" in volume or "persistentVolumeClaim" in volume, volume
                directory.mkdir(parents=True, exist_ok=True)
                if os.geteuid() == 0:
                    os.chown(directory, 0, self.group)
                directory.chmod(0o2775)

    def environment(self) -> dict[str, str]:
        result = {}
        for source in self.container.get("envFrom", []):
            result |= self.object("Secret", source["secretRef"]["name"])
        for entry in self.container.get("env", []):
            reference = entry.get("valueFrom", {}).get("secretKeyRef")
            result[entry["name"]] = (
                self.object("Secret", reference["name"])[reference["key"]] if reference else entry["value"]
            )
        return result

    def mounts(self) -> list[tuple[str, Path, str]]:
        return [
            ("ro" if mount.get("readOnly") else "rw", self.work / mount["name"], mount["mountPath"])
            for mount in self.container["volumeMounts"]
        ]

    def outside(self, text: str) -> str:
        """The text with the paths of mounts as they are on this machine."""
        places = {path: str(directory) for _, directory, path in self.mounts()}
        longest_first = sorted(places, key=len, reverse=True)
        return re.sub("|".join(map(re.escape, longest_first)), lambda found: places[found[0]], text)


class Pod(Container):
    """The Deployment's pod, running."""

    def __init__(self, release: Release, image: Image, work: Path, others: list[dict] = ()):
        if os.geteuid() != 0:
            pytest.skip("needs root: mounts, networks and chroot")
        self.volumes = Volumes(release, work, others)
        self.spec, self.container = self.volumes.spec, self.volumes.container
        mounts = []
        for mode, directory, path in self.volumes.mounts():
            # Engines make what they mount over.
            (image.root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
            mounts += [mode, directory, path.lstrip("/")]
        # Kubelet's own file, for the name `localhost`.
        (self.volumes.work / "hosts").write_text(f"127.0.0.1 localhost\n{ADDRESS} ferromcp\n")
        (image.root / "etc/hosts").touch()
        mounts += ["rw", self.volumes.work / "hosts", "etc/hosts"]
        context = self.spec["securityContext"]
        self.environment = {"PATH": os.environ["PATH"], **image.config.environment, **self.volumes.environment()}
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--ipc", "--uts", "--net", "--fork", "--kill-child",
             "sh", "-ec", ISOLATE, "sh", sys.executable, NETWORK, image.root,
             str(context["runAsUser"]), str(context["runAsGroup"]), *mounts, "--",
             *image.config.entrypoint, *self.container["args"]],
            env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.follow()

    def run(self, *command, **environment) -> subprocess.CompletedProcess:
        """Runs a command in the pod's network, as `kubectl port-forward` connects there."""
        return subprocess.run(
            ["nsenter", "--target", str(self.pid), "--net", "--", *command],
            capture_output=True, text=True, timeout=60, env=os.environ | environment,
        )  # fmt: skip

    @contextlib.contextmanager
    def start(self, *command):
        """A command in the pod's network, for as long as the block runs."""
        process = subprocess.Popen(
            ["nsenter", "--target", str(self.pid), "--net", "--", *command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    def port(self, name: str | int) -> int:
        named = {port["name"]: port["containerPort"] for port in self.container["ports"]}
        return name if isinstance(name, int) else named[name]

    def probe(self, which: str) -> bool:
        """What kubelet would find. It connects to the pod's address, and names it as the host."""
        probe = self.container[f"{which}Probe"]
        if "exec" in probe:
            return self.execute(*probe["exec"]["command"]).returncode == 0
        if "tcpSocket" in probe:
            connect = f"import socket; socket.create_connection(('{ADDRESS}', {self.port(probe['tcpSocket']['port'])}))"
            return self.run(sys.executable, "-c", connect).returncode == 0
        get = probe["httpGet"]
        url = f"{get['scheme'].lower()}://{ADDRESS}:{self.port(get['port'])}{get['path']}"
        said = self.run("curl", "--silent", "--insecure", "--output", "/dev/null", "--write-out", "%{http_code}", url)
        return 200 <= int(said.stdout) < 400

    def execute(self, *command) -> subprocess.CompletedProcess:
        """Runs a command in the container, as `kubectl exec` does."""
        return subprocess.run(
            ["nsenter", "--target", str(self.pid), "--mount", "--pid", "--net", "--root", "--wd", "--", *command],
            capture_output=True, text=True, timeout=60, env=self.environment,
        )  # fmt: skip
